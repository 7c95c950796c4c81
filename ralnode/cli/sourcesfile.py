"""`sources.json` as the proof of concept wrote it: one JSON object a line, `{"Name", "Cid", "Size"}`. Reading is strict."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ralnode.api import LocalError, NotFoundError, UsageError
from ralnode.dag import cid

LINE_BYTES_MAX: Final = 64 * 1024
LINES_MAX: Final = 100_000


@dataclass(frozen=True, slots=True)
class Listed:
    """A line. `name` is a plain file name."""

    name: str
    cid: str
    size_bytes: int


def encode(listed: Iterable[Listed]) -> str:
    """Compact and without a newline at the end, as there."""
    tables = ({"Name": each.name, "Cid": each.cid, "Size": each.size_bytes} for each in listed)
    return "\n".join(json.dumps(table, ensure_ascii=False, separators=(",", ":")) for table in tables)


def read(path: Path) -> list[Listed]:
    """Raises NotFoundError, LocalError, or UsageError that names the line."""
    try:
        with path.open("rb") as file:
            return list(_lines(path, file))
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path}") from None
    except OSError as error:
        raise LocalError(f"cannot read {path}: {error.strerror}") from error


def _lines(path: Path, file: Any) -> Iterator[Listed]:
    for number in range(1, LINES_MAX + 2):
        line = file.readline(LINE_BYTES_MAX + 1)
        if not line:
            return
        if len(line) > LINE_BYTES_MAX or number > LINES_MAX:
            raise UsageError(
                f"{path}, line {number}: more than {LINES_MAX:,} lines, or one longer than {LINE_BYTES_MAX:,} bytes"
            )
        if line.strip():
            try:
                yield _listed(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise UsageError(f"{path}, line {number}: {error}. Nothing was added") from error


def _listed(table: Any) -> Listed:
    """Raises ValueError."""
    if not isinstance(table, dict) or set(table) != {"Name", "Cid", "Size"}:
        raise ValueError('must be an object with exactly "Name", "Cid" and "Size"')
    name, text, size = table["Name"], table["Cid"], table["Size"]
    if not isinstance(name, str) or not isinstance(text, str) or type(size) is not int or size < 0:
        raise ValueError("Name and Cid must be texts, Size a number of bytes")
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ValueError(f"Name {name!r} is not a plain file name")
    cid.parse(text)
    return Listed(name, text, size)
