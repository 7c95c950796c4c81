"""Small text files that are no secrets: written whole or not at all. See secretfile.py for those that are."""

from __future__ import annotations

from pathlib import Path


def write_whole(place: Path, text: str, mode: int, folder_mode: int = 0o777) -> None:
    """Replaces what is there; makes the folder. Raises OSError."""
    place.parent.mkdir(mode=folder_mode, parents=True, exist_ok=True)
    beside = place.with_name(f".{place.name}.new")
    beside.write_text(text, encoding="utf-8")
    beside.chmod(mode)
    beside.replace(place)
