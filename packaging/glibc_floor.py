"""The newest version of glibc that any of the files given asks for: `glibc_floor.py FILE...` prints e.g. 2.35.

Read from the names of symbol versions in the ELF files themselves (GLIBC_2.35), so no tool is needed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

VERSION = re.compile(rb"\0GLIBC_2\.(\d+)(?:\.\d+)*(?=\0)")
RELATIVE_RELOCATIONS = b"\0GLIBC_ABI_DT_RELR\0"  # a way of linking that glibc 2.36 brought


def floor(files: Iterable[Path]) -> str:
    """Raises ValueError if no file needs glibc: then something else was given."""
    found: set[int] = set()
    for file in files:
        data = file.read_bytes()
        if data.startswith(b"\x7fELF"):
            found |= {int(minor) for minor in VERSION.findall(data)}
            found |= {36} if RELATIVE_RELOCATIONS in data else set()
    return f"2.{max(found)}"


if __name__ == "__main__":
    print(floor(map(Path, sys.argv[1:])))
