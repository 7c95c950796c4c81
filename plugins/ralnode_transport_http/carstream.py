"""A peer's CAR stream -> verified blocks in batches, in the worker thread that reads it: hashing releases the interpreter."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPResponse
from typing import Final

from ralnode.api import BadBlockError, Block, BlockKey, PeerError, Root, limits
from ralnode.dag import cid as cids
from ralnode.dag.errors import DagError
from ralnode.dag.interior import InteriorVerifier
from ralnode_transport_http.handover import Handover
from ralnode_transport_http.sections import Sections

_BATCH_BYTES: Final = limits.PUT_BATCH_BYTES // 2
"""Given on at a time; one is being used while the next is read."""
_HURRY_SECONDS: Final = 0.5
"""A consumer that waits gets what there is after this time, so that a slow link does not look like a dead one."""


def check_leaves(wanted: Sequence[BlockKey]) -> Callable[[Block], None]:
    """A check that lets each of the wanted blocks through once."""
    missing = set(wanted)

    def check(block: Block) -> None:
        if block.key not in missing:
            raise BadBlockError(f"block {cids.to_text(block.key)} was sent unasked or twice")
        if not cids.verify(block.key, block.data):
            raise BadBlockError(f"a block does not hash to its CID {cids.to_text(block.key)}")
        missing.remove(block.key)

    return check


def check_interior(root: Root) -> Callable[[Block], None]:
    """A check that lets the interior nodes of `root` through in their order."""
    verifier = InteriorVerifier(root, limits.LEAVES_PER_SOURCE_MAX)

    def check(block: Block) -> None:
        try:
            verifier.add(block)
        except DagError as error:
            raise BadBlockError(str(error)) from None

    return check


def read_blocks(response: HTTPResponse, count_received: Callable[[int], None]) -> Iterator[Block]:
    """The blocks of a CAR body, not yet verified. Raises PeerError when it is malformed or ends early."""

    def read_into(buffer: memoryview) -> int:
        size_bytes = response.readinto(buffer)
        count_received(size_bytes)
        return size_bytes

    sections = Sections(read_into)
    try:
        sections.read_header()
        while (block := sections.next_block()) is not None:
            yield block
    except DagError as error:
        raise PeerError(f"the peer's CAR stream is malformed: {error}") from None


def hand_over(blocks: Iterator[Block], check: Callable[[Block], None], to: Handover[list[Block]]) -> None:
    """Verifies every block and gives them on in batches. When a block is bad or the stream breaks off, the good ones
    before it are given first."""
    batch: list[Block] = []
    size_bytes, since = 0, time.monotonic()
    try:
        for block in blocks:
            check(block)
            if size_bytes + len(block.data) > _BATCH_BYTES:
                to.give(batch)
                batch, size_bytes, since = [], 0, time.monotonic()
            batch.append(block)
            size_bytes += len(block.data)
            is_late = time.monotonic() - since > _HURRY_SECONDS and to.is_awaited
            if is_late or len(batch) >= limits.PUT_BATCH_BLOCKS:
                to.give(batch)
                batch, size_bytes, since = [], 0, time.monotonic()
    finally:
        if batch:
            to.give(batch)
