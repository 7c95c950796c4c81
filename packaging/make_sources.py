"""Makes the committed files of `sources/` again, byte for byte: `python packaging/make_sources.py [FOLDER]`.

All of it is computed here (no download, no dice): tables, pictures, a sound, a folder, an empty file, odd names. The
point is different kinds and sizes, from 0 bytes to more than one 1 MiB block.
"""

from __future__ import annotations

import csv
import io
import json
import math
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

SYMBOLS = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb "
    "Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au "
    "Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og"
)
NOBLE_GASES = (2, 10, 18, 36, 54, 86, 118)


def primes(below: int) -> Iterator[int]:
    sieve = bytearray([1]) * below
    sieve[:2] = b"\0\0"
    for number in range(2, math.isqrt(below) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, below, number)))
    return (number for number in range(below) if sieve[number])


def moon_table() -> str:
    """Mean new moons of 2000 to 2049 (mean lunation of 29.530588853 d from 2000-01-06 18:14 UTC)."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["lunation", "mean_new_moon_utc", "mean_full_moon_utc"])
    first = datetime(2000, 1, 6, 18, 14, tzinfo=UTC)
    for lunation in range(618):
        new = first + timedelta(days=29.530588853 * lunation)
        full = new + timedelta(days=29.530588853 / 2)
        table.writerow([lunation, f"{new:%Y-%m-%d %H:%M}", f"{full:%Y-%m-%d %H:%M}"])
    return out.getvalue()


def periodic_table() -> str:
    def period(number: int) -> int:
        return 1 + sum(number > gas for gas in NOBLE_GASES)

    rows = [{"number": n, "symbol": s, "period": period(n)} for n, s in enumerate(SYMBOLS.split(), 1)]
    return json.dumps({"title": "Chemical elements", "elements": rows}, indent=1) + "\n"


def png(width: int, height: int, colour: Callable[[int, int], tuple[int, int, int]]) -> bytes:
    """An 8-bit RGB picture; the rows are stored without compression so that every zlib gives the same bytes."""
    rows = b"".join(b"\0" + bytes(v for x in range(width) for v in colour(x, y)) for y in range(height))

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", stored(rows)) + chunk(b"IEND", b"")


def stored(data: bytes) -> bytes:
    """A zlib stream of stored blocks (RFC 1951, 3.2.4), written by hand since zlib's versions cut them differently."""
    out = bytearray(b"\x78\x01")
    for at in range(0, len(data), 65_535):
        piece = data[at : at + 65_535]
        out += struct.pack("<BHH", at + 65_535 >= len(data), len(piece), len(piece) ^ 0xFFFF) + piece
    return bytes(out) + struct.pack(">I", zlib.adler32(data))


def mandelbrot(x: int, y: int) -> tuple[int, int, int]:
    """In fixed point, 2**20 to the unit: floats may be contracted differently on another processor."""
    real, imaginary = (x - 528 << 20) // 240, (y - 264 << 20) // 240
    a = b = steps = 0
    while a * a + b * b < 4 << 40 and steps < 60:
        a, b, steps = (a * a - b * b >> 20) + real, (a * b >> 19) + imaginary, steps + 1
    return (0, 0, 0) if steps == 60 else (steps * 4 % 256, steps * 9 % 256, 80 + steps * 2)


def stripes(seed: int) -> Callable[[int, int], tuple[int, int, int]]:
    return lambda x, y: ((x * seed) % 256, (y * seed * 3) % 256, ((x ^ y) * 7) % 256)


def wav(seconds: int, rate: int = 16_000) -> bytes:
    """A falling tone, 16-bit mono. Integer arithmetic only: the same samples everywhere."""
    samples, phase = bytearray(), 0
    for index in range(seconds * rate):
        phase = (phase + 65_536 * (880 - 440 * index // (seconds * rate)) // rate) % 65_536
        triangle = abs(phase - 32_768) - 16_384
        samples += struct.pack("<h", triangle)
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(samples), b"WAVE", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16,
                       b"data", len(samples))  # fmt: skip
    return head + bytes(samples)


def ring_svg() -> str:
    """Six machines around one pool. Positions are written out: no rounding of sines."""
    places = ((200, 40), (340, 120), (340, 280), (200, 360), (60, 280), (60, 120))
    names = ("attic", "cellar", "closet", "desk", "garage", "shed")
    lines = "".join(f'<line x1="200" y1="200" x2="{x}" y2="{y}" stroke="#8ac" stroke-width="3"/>' for x, y in places)
    boxes = "".join(
        f'<g><circle cx="{x}" cy="{y}" r="34" fill="#246"/><text x="{x}" y="{y + 5}" fill="#fff" font-size="14" '
        f'text-anchor="middle" font-family="sans-serif">{name}</text></g>'
        for (x, y), name in zip(places, names, strict=True)
    )
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400">{lines}{boxes}</svg>\n'


def notes(day: int) -> str:
    return (
        f"Day {day}\n\nSunrise over pier {day % 7 + 1}; {day * 3 + 4} photographs, {day % 5} of them worth keeping.\n"
    )


def files() -> Iterator[tuple[str, bytes]]:
    """(path, content) of everything but the README."""
    yield "primes-below-1000000.txt", "".join(f"{p}\n" for p in primes(1_000_000)).encode()
    yield "moons-2000-2049.csv", moon_table().encode()
    yield "elements.json", periodic_table().encode()
    yield "mandelbrot.png", png(720, 528, mandelbrot)
    yield "six-machines.svg", ring_svg().encode()
    yield "falling-tone.wav", wav(6)
    yield "empty.txt", b""
    yield "Grüße aus Köln – 海辺の写真.txt", "Ein Name mit Umlauten, einem Gedankenstrich und 漢字.\n".encode()
    for day in range(1, 13):
        yield f"holiday/notes/day-{day:02}.txt", notes(day).encode()
    for seed in (3, 5, 11):
        yield f"holiday/pictures/stripes-{seed}.png", png(96, 64, stripes(seed))
    yield "holiday/pictures/originals/stripes-23.png", png(192, 128, stripes(23))
    yield "holiday/empty.txt", b""


def main(folder: Path) -> None:
    for name, content in files():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "sources")
