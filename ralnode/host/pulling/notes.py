"""What a pull leaves behind while it is not whole, as a state document: `ingest/pull/<root>`: its root, its name, since when.

A pull goes on without it, since it asks the store what is here. It is for people: which blocks are those of which pull.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

import cbor2

from ralnode.api import Storage
from ralnode.dag import cid as cids

PULL_PREFIX: Final = b"ingest/pull/"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Begun:
    """A pull that was begun and has not become a source, and when it was begun last."""

    root: bytes
    name: str
    unix_ms: int


async def note(storage: Storage, root: bytes, name: str) -> None:
    """Raises StorageError."""
    await storage.save_state({_name(root): cbor2.dumps([_VERSION, root, name, time.time_ns() // 1_000_000])})


async def forget(storage: Storage, root: bytes) -> None:
    await storage.save_state({_name(root): None})


def decode(document: bytes) -> Begun | None:
    """None for a document that is spoilt or of another version."""
    try:
        version, root, name, unix_ms, *_ = cbor2.loads(document)
        cids.to_key(root)
    except (cbor2.CBORError, ValueError, TypeError, IndexError):
        return None
    return Begun(root, str(name), int(unix_ms)) if version == _VERSION else None


def _name(root: bytes) -> bytes:
    return PULL_PREFIX + cids.to_key(root).hex().encode()
