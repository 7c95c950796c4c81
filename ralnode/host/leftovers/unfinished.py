"""Which adds and pulls were begun and are not whole, by their notes (ingest/checkpoints.py, pulling/notes.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from ralnode.api import Storage
from ralnode.dag import cid as cids
from ralnode.dag.keys import KeyList
from ralnode.host.dropping import reachable
from ralnode.host.ingest.checkpoints import (
    FILE_PREFIX,
    HEAD_PREFIX,
    PART_PREFIX,
    decode_finished,
    decode_head,
    decode_part,
)
from ralnode.host.ingest.localtree import stamp_of
from ralnode.host.ingest.model import Stamp
from ralnode.host.pulling.notes import PULL_PREFIX, decode

ADD: Final = "add"
PULL: Final = "pull"


@dataclass(slots=True)
class Unfinished:
    """An add or a pull, as far as its notes tell. What it has stored since its last note is not among `keys`."""

    kind: str
    name: str
    origin: str
    """A path of it, or the CID that is pulled."""
    unix_ms: int = 0
    """Of its latest note."""
    notes: list[bytes] = field(default_factory=list)
    keys: KeyList = field(default_factory=KeyList)


class Notes:
    """All that there are. `stale` are those that say nothing any more: spoilt, or of a linked file that has changed."""

    def __init__(self) -> None:
        self.stale: list[bytes] = []
        self._found: dict[tuple[str, str], Unfinished] = {}

    @property
    def unfinished(self) -> list[Unfinished]:
        return list(self._found.values())

    def of(self, kind: str, name: str, origin: str, unix_ms: int) -> Unfinished:
        folder = str(PurePosixPath(origin).parent)
        found = self._found.setdefault((kind, name or folder), Unfinished(kind, name or folder, origin))
        found.unix_ms = max(found.unix_ms, unix_ms)
        return found


async def read_notes(storage: Storage) -> Notes:
    """Bounded by what the notes say: 36 bytes for each block that they name."""
    notes = Notes()
    await _begun_files(storage, notes)
    for first in range(256):
        await _finished_files(storage, b"%s%02x" % (FILE_PREFIX, first), notes)
    await _pulls(storage, notes)
    return notes


async def _begun_files(storage: Storage, notes: Notes) -> None:
    for name, document in (await storage.load_state(HEAD_PREFIX)).items():
        head = decode_head(document)
        parts = await storage.load_state(PART_PREFIX + name.removeprefix(HEAD_PREFIX))
        if head is None:
            notes.stale += [name, *parts]
            continue
        found = notes.of(ADD, head.name, head.origin, head.unix_ms)
        found.notes += [name, *parts]
        await asyncio.to_thread(_take_leaves, parts, found.keys)


def _take_leaves(parts: Mapping[bytes, bytes], keys: KeyList) -> None:
    for document in parts.values():
        for leaf in decode_part(document):
            keys.append(cids.to_key(leaf.cid))


async def _finished_files(storage: Storage, prefix: bytes, notes: Notes) -> None:
    """Files of folders that were begun. Notes of linked files outlive their add, so that adding them again is cheap; they
    tell of no unfinished add."""
    for name, document in (await storage.load_state(prefix)).items():
        finished = decode_finished(document)
        if finished is None:
            notes.stale.append(name)
        elif finished.is_linked:
            if await asyncio.to_thread(_stamp, finished.origin) != finished.stamp:
                notes.stale.append(name)
        else:
            found = notes.of(ADD, finished.name, finished.origin, finished.unix_ms)
            found.notes.append(name)
            await asyncio.to_thread(_extend, found.keys, await reachable(finished.built.cid, storage))


async def _pulls(storage: Storage, notes: Notes) -> None:
    for name, document in (await storage.load_state(PULL_PREFIX)).items():
        begun = decode(document)
        if begun is None:
            notes.stale.append(name)
            continue
        text = cids.to_text(begun.root)
        found = notes.of(PULL, begun.name or text, text, begun.unix_ms)
        found.notes.append(name)
        await asyncio.to_thread(_extend, found.keys, await reachable(begun.root, storage))


def _extend(keys: KeyList, more: Iterable[bytes]) -> None:
    for key in more:
        keys.append(key)


def _stamp(path: str) -> Stamp | None:
    try:
        return stamp_of(Path(path).stat())
    except (OSError, ValueError):
        return None
