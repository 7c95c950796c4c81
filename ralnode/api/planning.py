"""Arithmetic that planners share: how many bytes a node has for leaves, a digest of what a plan was made from, walking
over millions of blocks in bounded memory, and choosing the blocks that fit.

All of it is pure and exact (integers), and none of it decides where a block belongs: that is the planner's business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ralnode.api.blockset import BlockSet
from ralnode.api.mixing import Keys, block_keys, draws, hash64
from ralnode.api.model import NodeId, Root, Source, View

BATCH_BLOCKS: Final = 1 << 16
"""Blocks handled at once: 0.5 MiB per array of 64-bit numbers, which stays in the processor's cache."""

MARGIN_PARTS: Final = 64
"""One part in 64 of a node's capacity (1.6 %) is left to what is stored beside the bytes of the blocks: about 130 bytes
per block for its row in the index and its frame in the segment, and the index's log."""


def leaf_budget_bytes(capacity_bytes: int, sources: Iterable[Source]) -> int:
    """What a node of this capacity can give to leaves: less the interior nodes of all sources, which every node keeps,
    and the margin for the index. Never negative."""
    interior_bytes = sum(max(0, source.interior_bytes) for source in sources)
    return max(0, capacity_bytes - capacity_bytes // MARGIN_PARTS - interior_bytes)


def my_budget_bytes(view: View) -> int:
    """`leaf_budget_bytes` of `view.me`; 0 when it is not among the nodes (it drains, or has not joined yet)."""
    mine = next((node for node in view.nodes if node.id == view.me), None)
    return leaf_budget_bytes(mine.capacity_bytes, view.sources) if mine else 0


def view_digest(label: str, view: View, extra: bytes = b"") -> bytes:
    """16 bytes that are equal exactly when label, nodes, the planned facts of all sources, and `extra` are; `me` and
    holdings are left out."""
    digest = hashlib.blake2b(digest_size=16, person=b"ralnode-plan")
    facts: list[object] = [label, len(view.nodes), len(view.sources), len(extra)]
    for node in sorted(view.nodes, key=lambda node: node.id):
        facts += [node.id.hex(), node.capacity_bytes, node.zone]
    for source in sorted(view.sources, key=lambda source: source.root):
        facts += [source.root.hex(), source.leaf_count, source.leaf_bytes, source.interior_bytes]
        facts += [source.copies, source.priority]
    digest.update(ascii(facts).encode())
    digest.update(extra)
    return digest.digest()


class Run(NamedTuple):
    """The blocks start … stop - 1 of the source at a position of the list that was handed in. `start` is a multiple
    of 8, so that marks of runs can be joined byte by byte."""

    position: int
    start: int
    stop: int


class Batch(NamedTuple):
    """Blocks in a row, of one large source or of many small ones."""

    runs: tuple[Run, ...]
    keys: Keys


def batches(sources: Sequence[Source], batch_blocks: int = BATCH_BLOCKS) -> Iterator[Batch]:
    """Every block of every source once, in order, at most `batch_blocks` (a multiple of 8) at a time."""
    waiting: list[Run] = []
    room = batch_blocks
    for position, source in enumerate(sources):
        start = 0
        while start < source.leaf_count:
            stop = min(source.leaf_count, start + room)
            waiting.append(Run(position, start, stop))
            room = (room - (stop - start)) & ~7
            start = stop
            if room < 8:
                yield _batch(sources, waiting)
                waiting, room = [], batch_blocks
    if waiting:
        yield _batch(sources, waiting)


def _batch(sources: Sequence[Source], runs: list[Run]) -> Batch:
    lengths = [run.stop - run.start for run in runs]
    seeds = np.array([hash64(sources[run.position].root) for run in runs], dtype=np.uint64)
    ends = np.cumsum(lengths)
    firsts = np.array([run.start for run in runs]) - (ends - lengths)
    indexes = np.arange(ends[-1]) + (firsts[0] if len(runs) == 1 else np.repeat(firsts, lengths))
    return Batch(
        tuple(runs), block_keys(seeds[0] if len(runs) == 1 else np.repeat(seeds, lengths), indexes.astype(np.uint64))
    )


class Marks:
    """Collects which blocks are chosen, batch by batch, one bit per block."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._bytes: dict[int, bytearray] = {}

    def add(self, runs: Iterable[Run], chosen: npt.NDArray[np.bool_]) -> None:
        """`chosen` has one element per block of `runs`. Each run comes once, those of a source in ascending order."""
        at = 0
        for run in runs:
            part = chosen[at : at + run.stop - run.start]
            at += run.stop - run.start
            if part.any():
                collected = self._bytes.setdefault(run.position, bytearray())
                collected.extend(bytes(run.start // 8 - len(collected)))
                collected.extend(np.packbits(part, bitorder="little").tobytes())

    def sets(self) -> dict[Root, BlockSet]:
        """The chosen blocks by root; sources without any are left out."""
        found = self._bytes.items()
        return {self._sources[at].root: BlockSet(int.from_bytes(data, "little")) for at, data in found}


def united(parts: Iterable[Mapping[Root, BlockSet]]) -> dict[Root, BlockSet]:
    """All blocks of the parts; sources without any are left out."""
    joined: dict[Root, BlockSet] = {}
    for part in parts:
        for root, blocks in part.items():
            if blocks:
                joined[root] = joined[root] | blocks if root in joined else blocks
    return joined


def held_blocks(view: View, node_id: NodeId) -> dict[Root, BlockSet]:
    """What that node owns of the sources of the view."""
    held = view.holdings.get(node_id, {})
    sources = [source for source in view.sources if source.root in held and source.leaf_count > 0]
    return united({source.root: held[source.root] & BlockSet.full(source.leaf_count)} for source in sources)


def planned_bytes(sources: Iterable[Source], blocks: Mapping[Root, BlockSet]) -> int:
    """What these blocks weigh: `block_bytes` of its source each."""
    return sum(source.block_bytes * len(blocks[source.root]) for source in sources if source.root in blocks)


def take(
    sources: Sequence[Source], candidates: Mapping[Root, BlockSet], salt: int, budget_bytes: int
) -> dict[Root, BlockSet]:
    """The candidates in ascending order of their draw with `salt` (see `mixing.draw`), up to the first that would exceed
    the budget. Draws are spread evenly, so every source is represented. Walks over the blocks twice, in batches."""
    offered = [source for source in sources if candidates.get(source.root)]
    if planned_bytes(offered, candidates) <= budget_bytes:
        return {source.root: candidates[source.root] for source in offered}
    limit = _last_draw(offered, candidates, np.uint64(salt), budget_bytes)
    marks = Marks(offered)
    for batch, member in _members(offered, candidates):
        marks.add(batch.runs, member & (draws(batch.keys, np.uint64(salt)) < np.uint64(limit)))
    return marks.sets()


_BUCKET_BITS: Final = 16
_WEIGHT_MAX: Final = 1 << 52
"""Heavier blocks do not exist; keeps sums of a hostile record's figures finite."""


def _last_draw(
    sources: Sequence[Source], candidates: Mapping[Root, BlockSet], salt: np.uint64, budget_bytes: int
) -> int:
    """The draw of the first candidate in order that does not fit. There is one: the caller has checked."""
    weights = np.zeros(1 << _BUCKET_BITS, dtype=np.float64)
    for batch, member in _members(sources, candidates):
        buckets = (draws(batch.keys, salt) >> np.uint64(64 - _BUCKET_BITS))[member].astype(np.int64)
        weights += np.bincount(buckets, _weights(sources, batch)[member], len(weights))
    full = np.cumsum(weights)
    bucket = int(np.searchsorted(full, budget_bytes, side="right"))
    left = budget_bytes - (int(full[bucket - 1]) if bucket else 0)
    inside: list[tuple[int, int]] = []
    for batch, member in _members(sources, candidates):
        drawn = draws(batch.keys, salt)
        member &= drawn >> np.uint64(64 - _BUCKET_BITS) == np.uint64(bucket)
        inside += zip(drawn[member].tolist(), _weights(sources, batch)[member].astype(int).tolist(), strict=True)
    for drawn_value, weight in sorted(inside):
        left -= weight
        if left < 0:
            return drawn_value
    return min((bucket + 1) << (64 - _BUCKET_BITS), (1 << 64) - 1)


def _weights(sources: Sequence[Source], batch: Batch) -> npt.NDArray[np.float64]:
    """Bytes of each block of the batch; whole numbers below 2^53, so their sums are exact."""
    each = [float(min(sources[run.position].block_bytes, _WEIGHT_MAX)) for run in batch.runs]
    return np.repeat(each, [run.stop - run.start for run in batch.runs])


def _members(
    sources: Sequence[Source], candidates: Mapping[Root, BlockSet]
) -> Iterator[tuple[Batch, npt.NDArray[np.bool_]]]:
    """Batches that have candidates, each with the mask of them."""
    packed = [_packed(candidates[source.root], source.leaf_count) for source in sources]
    for batch in batches(sources):
        parts = [
            np.unpackbits(packed[run.position][run.start // 8 : (run.stop + 7) // 8], bitorder="little")[
                : run.stop - run.start
            ]
            for run in batch.runs
        ]
        member = np.concatenate(parts).astype(bool)
        if member.any():
            yield batch, member


def _packed(blocks: BlockSet, count: int) -> npt.NDArray[np.uint8]:
    """The bits below `count`."""
    size_bytes = (count + 7) // 8
    return np.frombuffer((blocks.bits & ((1 << count) - 1)).to_bytes(size_bytes, "little"), dtype=np.uint8)
