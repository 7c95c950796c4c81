"""What interrupted adds that nobody went on with have left: blocks that belong to no source, and the notes about them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from ralnode.api import Source, Storage
from ralnode.dag import cid as cids
from ralnode.dag.keys import KeyList
from ralnode.dag.walk import Dag
from ralnode.host.dropping import reachable, unused
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

_DELETE_BLOCKS: Final = 4096
"""Per deletion, so that other writes come in between."""


async def discard(
    storage: Storage, before_unix_ms: int, kept: Sequence[Source], dag_of: Callable[[Source], Awaitable[Dag]]
) -> int:
    """Deletes blocks that adds not touched since `before_unix_ms` have left and none of `kept` uses, with their notes;
    and notes about linked files that have changed or gone. Returns how many blocks were deleted."""
    keys, notes = KeyList(), list[bytes]()
    await _unfinished(storage, before_unix_ms, keys, notes)
    for first in range(256):
        await _finished(storage, b"%s%02x" % (FILE_PREFIX, first), before_unix_ms, keys, notes)
    going = await unused([keys], kept, dag_of, storage)
    count = 0
    for start in range(0, len(going), _DELETE_BLOCKS):
        count += await storage.delete(going[start : start + _DELETE_BLOCKS])
    for start in range(0, len(notes), _DELETE_BLOCKS):
        await storage.save_state(dict.fromkeys(notes[start : start + _DELETE_BLOCKS]))
    return count


async def _unfinished(storage: Storage, before_unix_ms: int, keys: KeyList, notes: list[bytes]) -> None:
    """Leaves of files that were begun."""
    for name, document in (await storage.load_state(HEAD_PREFIX)).items():
        head = decode_head(document)
        if head is not None and head.unix_ms >= before_unix_ms:
            continue
        notes.append(name)
        for part_name, part in (await storage.load_state(PART_PREFIX + name.removeprefix(HEAD_PREFIX))).items():
            notes.append(part_name)
            for leaf in decode_part(part):
                keys.append(cids.to_key(leaf.cid))


async def _finished(storage: Storage, prefix: bytes, before_unix_ms: int, keys: KeyList, notes: list[bytes]) -> None:
    """Files of folders that were begun, and linked files that are no longer what they were. Notes of linked files that
    are, stay: they make it cheap to add them again."""
    for name, document in (await storage.load_state(prefix)).items():
        found = decode_finished(document)
        if found is not None and found.is_linked:
            if await asyncio.to_thread(_stamp, found.origin) != found.stamp:
                notes.append(name)
        elif found is None or found.unix_ms < before_unix_ms:
            notes.append(name)
            if found is not None:
                for key in await reachable(found.built.cid, storage):
                    keys.append(key)


def _stamp(path: str) -> Stamp | None:
    try:
        return stamp_of(Path(path).stat())
    except (OSError, ValueError):
        return None
