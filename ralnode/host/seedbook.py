"""What the seeder remembers of each entry of the sources folder, as state documents in the store: `node/seed/NAME`."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ralnode.api import Root, Storage
from ralnode.host.ingest.localtree import scan
from ralnode.host.ingest.model import DIRECTORY

PREFIX: Final = b"node/seed/"


@dataclass(frozen=True, slots=True)
class Look:
    """An entry as it lies on the disk: equal signatures mean that nothing was touched."""

    signature: str
    newest_ns: int
    """Latest modification of anything in it."""


@dataclass(frozen=True, slots=True)
class Seeded:
    root: Root
    signature: str


class SeedBook:
    """Name of an entry -> what was published for it."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.entries: dict[str, Seeded] = {}

    async def load(self) -> None:
        """A document that cannot be read is as if it were not there: the entry is simply looked at again."""
        for key, document in (await self._storage.load_state(PREFIX)).items():
            try:
                table = json.loads(document)
                seeded = Seeded(bytes.fromhex(table["root"]), str(table["signature"]))
            except (ValueError, TypeError, KeyError):
                continue
            self.entries[os.fsdecode(key.removeprefix(PREFIX))] = seeded

    async def note(self, name: str, seeded: Seeded | None) -> None:
        """Durable on return; None forgets."""
        document = None
        if seeded is not None:
            document = json.dumps({"root": seeded.root.hex(), "signature": seeded.signature}).encode()
        await self._storage.save_state({PREFIX + os.fsencode(name): document})
        if seeded is None:
            self.entries.pop(name, None)
        else:
            self.entries[name] = seeded

    def is_used(self, root: Root, *, but_by: str) -> bool:
        """Whether another entry has the same content."""
        return any(name != but_by and seeded.root == root for name, seeded in self.entries.items())


def list_entries(folder: Path) -> list[str]:
    """Names in the folder that are to be seeded, sorted; what is hidden is left out. Blocking. Raises OSError."""
    with os.scandir(folder) as found:
        return sorted(entry.name for entry in found if not entry.name.startswith("."))


def shown(name: str) -> str:
    """A file's name as a source may be called: bytes that are no UTF-8 become replacement signs."""
    return os.fsencode(name).decode("utf-8", "replace")


def look_at(path: Path) -> Look:
    """Names, sizes, times and inodes of all that is in an entry. Blocking. Raises OSError, RalnodeError."""
    digest, newest_ns = hashlib.sha256(), 0
    for item in scan(path.resolve(strict=True), hidden=False):
        stamp = None if item.kind == DIRECTORY else item.stamp  # a folder's own time says nothing about content
        digest.update(repr((item.path, item.kind, stamp, item.target)).encode())
        newest_ns = max(newest_ns, item.stamp.mtime_ns)
    return Look(digest.hexdigest(), newest_ns)
