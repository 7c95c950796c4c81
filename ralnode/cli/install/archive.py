"""The executable's own archive, as PyInstaller lays it out: a boot loader, then entries, their table, and a cookie.

The one-file executable carries everything; started, its boot loader unpacks the files and runs the code that stays
inside. A folder needs the same boot loader and the same code, but no files, since they lie beside it: `without_files`
makes that executable out of the one file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from ralnode.api import LocalError

MAGIC: Final = b"MEI\x0c\x0b\x0a\x0b\x0e"
COOKIE: Final = struct.Struct("!8sIIII64s")
ENTRY: Final = struct.Struct("!IIIIBc")
FILES: Final = (b"b", b"x", b"n", b"Z")
"""Kinds of entries that the boot loader unpacks: libraries, data, links, zip files."""
ELF_SECTIONS: Final = ((0x28, 8), (0x3A, 6))
"""Where an ELF header of 64 bits tells of the table of sections; (offset, length). Programs run without one."""


@dataclass(frozen=True, slots=True)
class Entry:
    offset: int
    stored_bytes: int
    unpacked_bytes: int
    is_compressed: int
    kind: bytes
    name: bytes
    """Padded with zeros as it was found."""

    @property
    def row(self) -> bytes:
        size = ENTRY.size + len(self.name)
        head = ENTRY.pack(size, self.offset, self.stored_bytes, self.unpacked_bytes, self.is_compressed, self.kind)
        return head + self.name


def without_files(executable: bytes) -> bytes:
    """The executable for a folder that has the files. Raises LocalError for what is no such executable."""
    start, cookie, table = _open(executable)
    kept: list[Entry] = []
    body = bytearray()
    for entry in _entries(table):
        if entry.kind not in FILES:
            kept.append(replace(entry, offset=len(body)))
            body += executable[start + entry.offset : start + entry.offset + entry.stored_bytes]
    rows = b"".join(entry.row for entry in kept)
    whole_bytes = len(body) + len(rows) + COOKIE.size
    _magic, _length, _offset, _rows, python, library = cookie
    end = COOKIE.pack(MAGIC, whole_bytes, len(body), len(rows), python, library)
    return _boot_loader(executable[:start]) + bytes(body) + rows + end


def _open(executable: bytes) -> tuple[int, tuple[bytes, int, int, int, int, bytes], bytes]:
    """(where the archive begins, its cookie, its table)."""
    at = executable.rfind(MAGIC)
    if at < 0 or at + COOKIE.size > len(executable):
        raise LocalError("this executable has no archive at its end; nothing was changed. Get a whole copy of it")
    cookie = COOKIE.unpack_from(executable, at)
    start = at + COOKIE.size - cookie[1]
    table = executable[start + cookie[2] : start + cookie[2] + cookie[3]]
    if start <= 0 or cookie[1] != cookie[2] + cookie[3] + COOKIE.size or not table or len(table) != cookie[3]:
        raise LocalError("this executable's archive is damaged; nothing was changed. Get a whole copy of it")
    return start, cookie, table


def _entries(table: bytes) -> Iterator[Entry]:
    at = 0
    while at < len(table):
        size, offset, stored, unpacked, is_compressed, kind = ENTRY.unpack_from(table, at)
        if size <= ENTRY.size:
            raise LocalError("this executable's table is damaged; nothing was changed. Get a whole copy of it")
        name = table[at + ENTRY.size : at + size]
        yield Entry(offset, stored, unpacked, is_compressed, kind, name)
        at += size


def _boot_loader(program: bytes) -> bytes:
    """Without its table of sections, which lay behind the archive and is not copied."""
    bare = bytearray(program)
    if bare.startswith(b"\x7fELF\x02"):
        for offset, length in ELF_SECTIONS:
            bare[offset : offset + length] = bytes(length)
    return bytes(bare)
