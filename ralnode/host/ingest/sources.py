"""Where parts come from: a local tree that is scanned and read, or a stream that a client uploads. Both yield jobs (see
pipeline.py), each of which becomes hashed parts, in depth-first order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from itertools import islice
from typing import Final, TypeAlias

from ralnode.api import UsageError
from ralnode.dag.build import Leaf
from ralnode.dag.errors import PathError
from ralnode.dag.path import encode_name
from ralnode.dag.profile import Profile
from ralnode.dag.tree import DEPTH_MAX
from ralnode.host.ingest.assembly import leaves_per_checkpoint
from ralnode.host.ingest.checkpoints import Checkpoints
from ralnode.host.ingest.hashing import JOB_BYTES, JOB_ITEMS, Part, Span
from ralnode.host.ingest.model import DIRECTORY, FILE, SYMLINK, Item, LentFile, Stamp, UploadEntry

Jobs: TypeAlias = AsyncGenerator[Awaitable[list[Part]], None]
Hash: TypeAlias = Callable[[Sequence[Span | Part]], Awaitable[list[Part]]]
"""Begins to hash in a thread."""
_RESUMED_LEAVES: Final = 65_536
"""Leaves of an earlier add that are taken in at once."""


class _Batch:
    """Work gathered for one job."""

    def __init__(self, profile: Profile, hashing: Hash) -> None:
        self.job_bytes = max(1, JOB_BYTES // profile.chunk_bytes) * profile.chunk_bytes
        self._hashing = hashing
        self._work: list[Span | Part] = []
        self._size_bytes = 0

    def add(self, each: Span | Part) -> Iterator[Awaitable[list[Part]]]:
        """Yields a job when enough has come together."""
        self._work.append(each)
        self._size_bytes += each.length if isinstance(each, Span) else 0
        if self._size_bytes >= self.job_bytes or len(self._work) >= JOB_ITEMS:
            yield from self.rest()

    def rest(self) -> Iterator[Awaitable[list[Part]]]:
        if self._work:
            work, self._work, self._size_bytes = self._work, [], 0
            yield self._hashing(work)


async def local_jobs(items: Iterator[Item], profile: Profile, checkpoints: Checkpoints | None, hashing: Hash) -> Jobs:
    """`checkpoints` None: everything is read."""
    batch = _Batch(profile, hashing)
    while listed := await asyncio.to_thread(lambda: list(islice(items, JOB_ITEMS))):
        for item in listed:
            known = await _known(item, checkpoints)
            offset = sum(part.content_bytes for part in known)
            for each in (*known, *(() if known and known[-1].is_last else _spans(item, offset, batch.job_bytes))):
                for job in batch.add(each):
                    yield job
    for job in batch.rest():
        yield job


async def uploaded_jobs(
    entries: AsyncIterator[UploadEntry], profile: Profile, checkpoints: Checkpoints, hashing: Hash
) -> Jobs:
    """Raises UsageError for an entry that cannot be, or a file that is not as long as was said."""
    batch = _Batch(profile, hashing)
    async for entry in entries:
        item = item_of(entry)
        known = _up_to(entry, await _known(item, checkpoints), profile) if entry.offset else []
        for part in known:
            for job in batch.add(part):
                yield job
        if known and known[-1].is_last:
            continue
        if entry.lent is not None:
            for span in _spans(item, entry.offset, batch.job_bytes, entry.lent):
                for job in batch.add(span):
                    yield job
            continue
        async for span in _received(item, entry, batch.job_bytes):
            for job in batch.add(span):
                yield job
    for job in batch.rest():
        yield job


def item_of(entry: UploadEntry) -> Item:
    """Raises UsageError for a kind or size that cannot be; names are checked where the tree is built."""
    try:
        path = tuple(encode_name(part) for part in entry.path.split("/")) if entry.path else ()
        target, _ = encode_name(entry.target), encode_name(entry.origin)
    except PathError as error:
        raise UsageError(f"cannot add {entry.path!r}: {error}") from error
    if entry.kind not in (FILE, DIRECTORY, SYMLINK) or entry.size_bytes < 0 or len(path) > DEPTH_MAX:
        raise UsageError(
            f"cannot add {entry.path!r}: kind {entry.kind!r}, {entry.size_bytes} bytes, {len(path)} levels"
        )
    size = entry.size_bytes if entry.kind == FILE else 0
    return Item(path, entry.kind, Stamp(size, entry.mtime_ns), entry.origin, b"", target)


async def _known(item: Item, checkpoints: Checkpoints | None) -> list[Part]:
    """What need not be read: all of the file, or its beginning."""
    if item.kind != FILE or checkpoints is None:
        return []
    built = await checkpoints.finished(item)
    if built is not None:
        return [Part(item, known=built)]
    return _resumed(item, await checkpoints.leaves(item))


def _resumed(item: Item, leaves: list[Leaf]) -> list[Part]:
    parts = [
        Part(item, is_last=False, leaves=leaves[start : start + _RESUMED_LEAVES], is_resumed=True)
        for start in range(0, len(leaves), _RESUMED_LEAVES)
    ]
    if parts and sum(part.content_bytes for part in parts) == item.stamp.size_bytes:
        parts[-1].is_last = True
    return parts


def _up_to(entry: UploadEntry, known: list[Part], profile: Profile) -> list[Part]:
    """What makes up the content before `entry.offset`. Raises UsageError when that is not here."""
    if known and known[0].known is not None and entry.offset == entry.size_bytes:
        return known
    leaves = [leaf for part in known for leaf in part.leaves]
    at = count = 0
    while at < entry.offset and count < len(leaves):
        at += leaves[count].content_bytes
        count += 1
    if at != entry.offset or count % leaves_per_checkpoint(profile):
        raise UsageError(
            f"cannot continue {entry.path!r} at byte {entry.offset}: what came before it is not here. Begin at 0."
        )
    return _resumed(known[0].item, leaves[:count])


def _spans(item: Item, offset: int, job_bytes: int, lent: LentFile | None = None) -> Iterator[Span]:
    size = item.stamp.size_bytes
    if item.kind != FILE or size == 0:
        yield Span(item, lent=lent)
    else:
        for start in range(offset, size, job_bytes):
            length = min(job_bytes, size - start)
            yield Span(item, start, length, start + length == size, lent=lent)


async def _received(item: Item, entry: UploadEntry, job_bytes: int) -> AsyncIterator[Span]:
    """The content that comes, as spans of whole chunks."""
    if item.kind != FILE:
        yield Span(item)
        return
    offset, gathered = entry.offset, bytearray()
    if entry.chunks is not None:
        async for piece in entry.chunks:
            gathered += piece
            if offset + len(gathered) > entry.size_bytes:
                raise _wrong_size(entry, offset + len(gathered))
            while len(gathered) > job_bytes:
                yield Span(item, offset, job_bytes, is_last=False, data=bytes(gathered[:job_bytes]))
                del gathered[:job_bytes]
                offset += job_bytes
    if offset + len(gathered) != entry.size_bytes:
        raise _wrong_size(entry, offset + len(gathered))
    yield Span(item, offset, len(gathered), data=bytes(gathered))


def _wrong_size(entry: UploadEntry, found: int) -> UsageError:
    return UsageError(
        f"cannot add {entry.path or entry.origin!r}: it was announced with {entry.size_bytes} bytes and {found} came. "
        "Nothing was published. Was it changed meanwhile? Add it again."
    )
