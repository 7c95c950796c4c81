"""What the tests read through foreign tools: made from a seed, so that a failure can be repeated."""

from __future__ import annotations

import math
import struct
import wave
from dataclasses import dataclass
from pathlib import Path
from random import Random

FILM_BYTES = 100 << 20
MANY = 5000
TREE_FILES = 500
TONE_SECONDS = 40
TONE_RATE = 16_000


@dataclass(frozen=True)
class Content:
    """`folder` holds film.bin, many/ (a sharded folder), site/ (with an index.html), tree/ and tone.wav."""

    folder: Path

    @property
    def film(self) -> Path:
        return self.folder / "film.bin"


def make(folder: Path) -> Content:
    dice = Random(20261122)
    with (folder / "film.bin").open("wb") as film:
        for _ in range(FILM_BYTES >> 20):
            film.write(dice.randbytes(1 << 20))
    _many(folder / "many", dice)
    _site(folder / "site")
    _tree(folder / "tree", dice)
    _tone(folder / "tone.wav")
    return Content(folder)


def many_name(number: int) -> str:
    """Long, so that 5,000 of them do not fit into one folder block."""
    return f"a photograph of some importance, number {number:05}.txt"


def _many(folder: Path, dice: Random) -> None:
    folder.mkdir()
    for number in range(MANY):
        (folder / many_name(number)).write_text(f"{number} {dice.random()}\n")


def _site(folder: Path) -> None:
    (folder / "deeper").mkdir(parents=True)
    (folder / "index.html").write_text(
        '<!doctype html><meta charset="utf-8"><title>Our garden</title><link rel="stylesheet" href="style.css">'
        '<h1 id="top">Our garden</h1><p><a href="deeper/">Deeper</a></p>'
    )
    (folder / "style.css").write_text("h1 { color: rgb(1, 120, 60) }")
    (folder / "deeper" / "index.html").write_text('<!doctype html><title>Deeper</title><a href="../">Up</a>')


def _tree(folder: Path, dice: Random) -> None:
    names = ["plain", "with space", "ümlaut ß", "percent %41", "plus+and&", "hash#mark", "quote'\"", "a?b"]
    for number in range(TREE_FILES):
        place = folder / f"shelf {number % 7}" / names[number % len(names)]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{names[(number // 8) % len(names)]} {number}").write_bytes(
            dice.randbytes(dice.choice([0, 1, 900, 5000]))
        )


def _tone(path: Path) -> None:
    """A sound in which one can seek."""
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(TONE_RATE)
        for second in range(TONE_SECONDS):
            step = 2 * math.pi * (220 + 10 * second) / TONE_RATE
            sound.writeframes(
                struct.pack(f"<{TONE_RATE}h", *(int(9000 * math.sin(step * i)) for i in range(TONE_RATE)))
            )
