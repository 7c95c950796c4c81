"""Data folders outside of /var/lib: the units must be allowed to write there, and must wait for the disk that it is on.

One drop-in per configuration in /etc/ralnode that names such a folder. Without `RequiresMountsFor=` a node would be started
before, or without, its disk.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ralnode.cli.install.layout import Layout
from ralnode.cli.install.step import Step, writing

DROP_IN: Final = "50-data-folder.conf"
_HEAD: Final = "# Made by `ralnode install` from data_dir in {config}; it is made anew whenever that is run.\n"


def drop_ins(layout: Layout) -> Iterator[tuple[Path, str]]:
    """(file, its text) for each unit whose configuration names a folder elsewhere."""
    for config in sorted(layout.config_dir.glob("*.toml")):
        folder = _data_dir(config)
        if folder is not None and not folder.is_relative_to("/var/lib"):
            yield _place(layout, config), _text(config.relative_to(layout.root), folder)


def stale(layout: Layout) -> list[Path]:
    """Those that are there although no configuration asks for them any more."""
    wanted = {place for place, _text in drop_ins(layout)}
    return [place for place in made(layout) if place not in wanted]


def made(layout: Layout) -> list[Path]:
    return sorted(layout.at("/etc/systemd/system").glob(f"ralnode*.service.d/{DROP_IN}"))


def steps(layout: Layout) -> list[Step]:
    """A file is written whole; what the owner has put beside it is left alone."""
    writes = [writing(place, text) for place, text in drop_ins(layout)]
    return writes + [removing(place) for place in stale(layout)]


def removing(place: Path) -> Step:
    def do() -> None:
        place.unlink()
        if not any(place.parent.iterdir()):
            place.parent.rmdir()

    return Step(f"remove {place}", lambda: not place.exists(), do)


def _data_dir(config: Path) -> Path | None:
    """What cannot be read, or not be written into a unit, is left to the node to complain of."""
    try:
        found = tomllib.loads(config.read_text(encoding="utf-8")).get("node", {}).get("data_dir")
    except (OSError, ValueError, AttributeError):
        return None
    is_plain = isinstance(found, str) and found.startswith("/") and found.isprintable()
    return Path(found) if is_plain else None


def _place(layout: Layout, config: Path) -> Path:
    unit = "ralnode" if config.stem == "ralnode" else f"ralnode@{config.stem}"
    return layout.at(f"/etc/systemd/system/{unit}.service.d/{DROP_IN}")


def _text(config: Path, folder: Path) -> str:
    """`-`: a folder that is not there is the node's to complain of, in better words."""
    quoted = str(folder).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'{_HEAD.format(config=f"/{config}")}[Unit]\nRequiresMountsFor="{quoted}"\n\n[Service]\nReadWritePaths="-{quoted}"\n'
