"""What an add leaves behind so that it can go on after an interruption, as state documents beside the blocks:

    ingest/file/<folder><file>      a finished file: its stamp and what it became
    ingest/head/<file>              a file that is being added: its stamp, since when
    ingest/part/<file><number>      leaves of such a file, one document per checkpoint

<folder> and <file> are hashes of the origin, the profile and whether content is kept. A document is written only after
all that it speaks of is durable. It may outlive the blocks (they were removed): whoever uses it checks in the end.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import cbor2

from ralnode.api import Storage
from ralnode.dag.build import Built, Leaf
from ralnode.dag.profile import Profile
from ralnode.host.ingest.assembly import Checkpoint, Output, leaves_per_checkpoint
from ralnode.host.ingest.model import Item, Stamp

FILE_PREFIX: Final = b"ingest/file/"
HEAD_PREFIX: Final = b"ingest/head/"
PART_PREFIX: Final = b"ingest/part/"
_VERSION: Final = 1
_HASH_BYTES: Final = 16
_DOCUMENTS_MAX: Final = 1000
"""Per transaction."""
_SIZES: Final = struct.Struct(">II")


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished file, and when it was."""

    stamp: Stamp
    built: Built
    origin: str
    is_linked: bool
    unix_ms: int
    name: str
    """Of the add that it was a part of; earlier releases did not write it down."""


@dataclass(frozen=True, slots=True)
class Head:
    """A file that was begun, and when its last checkpoint was."""

    stamp: Stamp
    origin: str
    is_linked: bool
    unix_ms: int
    name: str


class Checkpoints:
    """Of adds with one profile, kept or linked. Remembers the documents of the folder it was asked about last. `name` is
    that of the add, for people."""

    def __init__(self, storage: Storage, profile: Profile, *, link: bool, name: str = "") -> None:
        self._storage = storage
        self._profile = profile
        self._link = link
        self._name = name
        self._kind = f"{'link' if link else 'keep'} {profile.tag} ".encode()
        self._folder = b""
        self._known: dict[bytes, bytes] = {}
        self._noted: set[bytes] = set()
        """Finished files of this add, whose notes go when all of it is published; linked ones keep theirs."""

    async def finished(self, item: Item) -> Built | None:
        """What this very file became, if it was added to the end."""
        if not item.origin:
            return None
        name = self._file_name(item.origin)
        folder = name[: len(FILE_PREFIX) + _HASH_BYTES]
        if folder != self._folder:
            self._folder, self._known = folder, await self._storage.load_state(folder)
        found = decode_finished(self._known.get(name, b""))
        return found.built if found is not None and found.stamp == item.stamp else None

    async def leaves(self, item: Item) -> list[Leaf]:
        """The leaves of an unfinished file that are here, from its beginning; a whole number of checkpoints."""
        if not item.origin or item.stamp.size_bytes < leaves_per_checkpoint(self._profile) * self._profile.chunk_bytes:
            return []
        key = self._file_hash(item.origin)
        head = decode_head((await self._storage.load_state(HEAD_PREFIX + key)).get(HEAD_PREFIX + key, b""))
        if head is None or head.stamp != item.stamp:
            return []
        documents = await self._storage.load_state(PART_PREFIX + key)
        return decode_leaves(documents, leaves_per_checkpoint(self._profile), PART_PREFIX + key)

    async def here_bytes(self, item: Item) -> int:
        """How much of the file, from its beginning, need not be read again."""
        if await self.finished(item) is not None:
            return item.stamp.size_bytes
        return sum(leaf.content_bytes for leaf in await self.leaves(item))

    async def notes(self, outputs: Sequence[Output], unix_ms: int) -> dict[bytes, bytes | None]:
        """Documents to save, now that all of this is durable."""
        if not any(output.finished or output.checkpoints or output.known for output in outputs):
            return {}
        documents = await asyncio.to_thread(self._documents, outputs, unix_ms)
        for output in outputs:
            for item, _ in output.finished:
                documents |= await self._parts_to_drop(item)
        return documents

    async def published(self) -> None:
        """All of the add is whole now. Notes of linked files stay, so that adding them again is cheap."""
        names = list(self._noted)
        for start in range(0, len(names), _DOCUMENTS_MAX):
            await self._storage.save_state(dict.fromkeys(names[start : start + _DOCUMENTS_MAX]))
        self._noted.clear()

    async def forget_used(self) -> None:
        """Nothing that was noted about the files of this add holds any more."""
        await self.published()
        self._folder, self._known = b"", {}

    async def forget(self, items: Iterable[Item]) -> None:
        """These files have to be read again."""
        documents: dict[bytes, bytes | None] = {}
        for item in items:
            documents[self._file_name(item.origin)] = None
            documents |= await self._parts_to_drop(item)
            if len(documents) >= _DOCUMENTS_MAX:
                await self._storage.save_state(documents)
                documents.clear()
        await self._storage.save_state(documents)
        self._folder, self._known = b"", {}

    def _documents(self, outputs: Sequence[Output], unix_ms: int) -> dict[bytes, bytes | None]:
        documents: dict[bytes, bytes | None] = {}
        whole = {id(item) for output in outputs for item, _ in output.finished}
        for output in outputs:
            for checkpoint in output.checkpoints:
                if id(checkpoint.item) not in whole:
                    self._add_checkpoint(checkpoint, documents, unix_ms)
            for item, built in output.finished:
                if item.origin:
                    documents[self._file_name(item.origin)] = _encode(
                        [_VERSION, *item.stamp, *built, os.fsencode(item.origin), self._link, unix_ms, self._name]
                    )
            if not self._link:
                items = [item for item, _ in output.finished] + output.known
                self._noted.update(self._file_name(item.origin) for item in items if item.origin)
        return documents

    def _add_checkpoint(self, checkpoint: Checkpoint, documents: dict[bytes, bytes | None], unix_ms: int) -> None:
        item = checkpoint.item
        if item.origin:
            key = self._file_hash(item.origin)
            documents[HEAD_PREFIX + key] = _encode(
                [_VERSION, *item.stamp, os.fsencode(item.origin), self._link, unix_ms, self._name]
            )
            documents[PART_PREFIX + key + b"%08x" % checkpoint.number] = encode_leaves(checkpoint.leaves)

    async def _parts_to_drop(self, item: Item) -> Mapping[bytes, bytes | None]:
        if not item.origin or item.stamp.size_bytes < leaves_per_checkpoint(self._profile) * self._profile.chunk_bytes:
            return {}
        key = self._file_hash(item.origin)
        parts = await self._storage.load_state(PART_PREFIX + key)
        return {**dict.fromkeys(parts), HEAD_PREFIX + key: None}

    def _file_hash(self, origin: str) -> bytes:
        return hashlib.sha256(self._kind + os.fsencode(origin)).hexdigest()[: 2 * _HASH_BYTES].encode()

    def _file_name(self, origin: str) -> bytes:
        folder = hashlib.sha256(self._kind + os.path.dirname(os.fsencode(origin))).hexdigest()[:_HASH_BYTES]  # noqa: PTH120 - bytes
        return FILE_PREFIX + folder.encode() + self._file_hash(origin)


def encode_leaves(leaves: list[Leaf]) -> bytes:
    """All leaves of a file have CIDs of one length."""
    sizes = b"".join(_SIZES.pack(leaf.stored_bytes, leaf.content_bytes) for leaf in leaves)
    return _encode([_VERSION, len(leaves[0].cid), b"".join(leaf.cid for leaf in leaves), sizes])


def decode_leaves(documents: Mapping[bytes, bytes], per_document: int, prefix: bytes) -> list[Leaf]:
    """Those of the documents number 0, 1, 2 … up to the first that is missing or spoilt."""
    leaves: list[Leaf] = []
    for number in range(len(documents)):
        found = decode_part(documents.get(prefix + b"%08x" % number, b""))
        if len(found) != per_document:
            break
        leaves += found
    return leaves


def decode_part(document: bytes) -> list[Leaf]:
    """None of them if the document is spoilt."""
    try:
        version, width, cids, sizes = cbor2.loads(document)
        if version != _VERSION:
            return []
        pairs = list(_SIZES.iter_unpack(sizes))
        return [Leaf(cids[n * width : (n + 1) * width], *pair) for n, pair in enumerate(pairs)]
    except (cbor2.CBORError, ValueError, TypeError, struct.error):
        return []


def decode_finished(document: bytes) -> Finished | None:
    """None for a document that is spoilt or of another version."""
    try:
        version, size, mtime, inode, cid, tsize, content, origin, is_linked, unix_ms, *rest = cbor2.loads(document)
        stamp, built = Stamp(size, mtime, inode), Built(cid, tsize, content)
        found = Finished(stamp, built, os.fsdecode(origin), is_linked, unix_ms, _name_in(rest))
    except (cbor2.CBORError, ValueError, TypeError):
        return None
    return found if version == _VERSION else None


def decode_head(document: bytes) -> Head | None:
    """As `decode_finished`."""
    try:
        version, size, mtime, inode, origin, is_linked, unix_ms, *rest = cbor2.loads(document)
        found = Head(Stamp(size, mtime, inode), os.fsdecode(origin), is_linked, unix_ms, _name_in(rest))
    except (cbor2.CBORError, ValueError, TypeError):
        return None
    return found if version == _VERSION else None


def _name_in(rest: list[object]) -> str:
    return str(rest[0]) if rest else ""


def _encode(fields: list[object]) -> bytes:
    return cbor2.dumps(fields)
