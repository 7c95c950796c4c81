"""The executable for a folder, made out of the one file: the same code, no files, and damage is found."""

from __future__ import annotations

import pytest

from ralnode.api import LocalError
from ralnode.cli.install.archive import COOKIE, ENTRY, MAGIC, without_files

BOOT_LOADER = b"\x7fELF\x02" + bytes(range(5, 200))
CODE = {("PYZ.pyz", b"z"): b"modules" * 99, ("entry", b"s"): b"code", ("pyi-contents-directory _internal", b"o"): b""}
FILES = {("libpython.so", b"b"): b"\x7fELF" * 500, ("share/build", b"x"): b"0.1", ("lib.so", b"n"): b"libpython.so\0"}


def executable(entries: dict[tuple[str, bytes], bytes], behind: bytes = b"") -> bytes:
    body, rows = b"", b""
    for (name, kind), data in entries.items():
        padded = name.encode() + bytes(16 - (ENTRY.size + len(name)) % 16)
        rows += ENTRY.pack(ENTRY.size + len(padded), len(body), len(data), len(data), 0, kind) + padded
        body += data
    length = len(body) + len(rows) + COOKIE.size
    cookie = COOKIE.pack(MAGIC, length, len(body), len(rows), 311, b"libpython3.11.so.1.0")
    return BOOT_LOADER + body + rows + cookie + behind


def contents(program: bytes) -> dict[tuple[str, bytes], bytes]:
    at = program.rfind(MAGIC)
    _magic, length, table, table_bytes, python, library = COOKIE.unpack_from(program, at)
    assert (python, library.rstrip(b"\0")) == (311, b"libpython3.11.so.1.0")
    assert at + COOKIE.size == len(program)
    start, found = len(program) - length, {}
    rows = program[start + table : start + table + table_bytes]
    while rows:
        size, offset, stored, _unpacked, _is_compressed, kind = ENTRY.unpack_from(rows)
        name = rows[ENTRY.size : size].rstrip(b"\0").decode()
        found[name, kind] = program[start + offset : start + offset + stored]
        rows = rows[size:]
    return found


@pytest.mark.parametrize("behind", [b"", b"table of sections" * 40], ids=["at the end", "sections behind it"])
def test_code_and_options_stay_and_files_go(behind: bytes) -> None:
    made = without_files(executable({**FILES, **CODE}, behind))
    assert contents(made) == CODE


def test_the_boot_loader_stays_but_tells_of_no_sections() -> None:
    made = without_files(executable({**CODE, **FILES}))
    kept = [at for at in range(len(BOOT_LOADER)) if made[at] == BOOT_LOADER[at]]
    changed = set(range(len(BOOT_LOADER))) - set(kept)
    assert changed <= {*range(0x28, 0x30), *range(0x3A, 0x40)}
    assert not any(made[at] for at in changed)


@pytest.mark.parametrize(
    "damaged",
    [b"", BOOT_LOADER, executable(CODE)[:-70], executable(FILES)[4000:], MAGIC + bytes(80)],
    ids=["empty", "no archive", "cut off", "without its beginning", "a cookie alone"],
)
def test_what_is_no_executable_of_ours_is_refused(damaged: bytes) -> None:
    with pytest.raises(LocalError, match="nothing was changed"):
        without_files(damaged)
