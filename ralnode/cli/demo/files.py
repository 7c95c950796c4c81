"""The files that the demo seeds: the committed `sources/` and generated ones of other kinds, the same bytes every time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import ralnode

PIECE_BYTES: Final = 1 << 20
COMMITTED: Final = Path(ralnode.__file__).parents[1] / "sources"
"""Only in a checkout; an installed ralnode makes do with the generated files."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A generated file (or folder of `count` files): its part of the whole size, and what is in it."""

    name: str
    part: float
    piece: Callable[[Random], bytes]
    """About PIECE_BYTES of content."""
    count: int = 1


def _noise(dice: Random) -> bytes:
    return dice.randbytes(PIECE_BYTES)


def _table(dice: Random) -> bytes:
    row = "{},{:.2f},{:.3f},sensor-{}\n"
    rows = (row.format(n, dice.uniform(-20, 40), dice.random(), dice.randrange(50)) for n in range(2000))
    return "".join(rows).encode() * 16


def _mails(dice: Random) -> bytes:
    words = ["copy", "block", "node", "disk", "attic", "cellar", "repair", "plan", "source", "holder", "peer", "quota"]
    lines = ({"id": dice.getrandbits(64), "text": " ".join(dice.choices(words, k=24))} for _ in range(800))
    return "".join(json.dumps(line) + "\n" for line in lines).encode() * 5


def _sparse(dice: Random) -> bytes:
    """Mostly zeros, like the image of a disk: the same block many times."""
    return bytes(PIECE_BYTES) if dice.random() < 0.6 else dice.randbytes(PIECE_BYTES)


KINDS: Final = (
    Kind("film.bin", 0.40, _noise),
    Kind("photographs", 0.20, _noise, count=40),
    Kind("disk.img", 0.20, _sparse),
    Kind("measurements.csv", 0.15, _table),
    Kind("mailbox.jsonl", 0.05, _mails),
)


def make_files(folder: Path, size_bytes: int) -> int:
    """Fills `folder`; returns how many bytes lie there. Only `size_bytes` of it are generated."""
    folder.mkdir(parents=True)
    if COMMITTED.is_dir():
        shutil.copytree(COMMITTED, folder, dirs_exist_ok=True, symlinks=True)
    for kind in KINDS:
        part_bytes = int(size_bytes * kind.part)
        if kind.count == 1:
            _write(folder / kind.name, kind, part_bytes, Random(kind.name))
        for number in range(kind.count if kind.count > 1 else 0):
            dice = Random(f"{kind.name} {number}")
            place = folder / kind.name / f"{2020 + number % 4}" / f"picture-{number:03}.raw"
            _write(place, kind, int(part_bytes / kind.count * dice.uniform(0.3, 1.7)), dice)
    return sum(path.stat().st_size for path in walk_files(folder))


def walk_files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())


def _write(path: Path, kind: Kind, size_bytes: int, dice: Random) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        while (left := size_bytes - file.tell()) > 0:
            file.write(kind.piece(dice)[:left])
