"""The body of `POST /ral/v1/blocks`: DAG-CBOR `[1, root]` for the interior nodes of a source, `[1, root, [gap, length,
gap, length, …]]` for ranges of leaf indexes. Unknown trailing elements are ignored. The answer is a CARv1."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import cbor2
import numpy as np
import numpy.typing as npt

from ralnode.api import BlockSet, PeerError, Range, Root, limits
from ralnode.dag import cid as cids
from ralnode_transport_http import bounds

VERSION: Final = 1
BLOCKS_PATH: Final = "/ral/v1/blocks"
SYNC_PATH: Final = "/ral/v1/sync"
COMMAND_PATH: Final = "/ral/v1/command"
GATEWAY_PATH: Final = "/ipfs/"


@dataclass(frozen=True, slots=True)
class BlocksRequest:
    """`wanted` None asks for the interior nodes."""

    root: Root
    wanted: BlockSet | None


def encode_interior_request(root: Root) -> bytes:
    return cbor2.dumps([VERSION, root], canonical=True)


def encode_blocks_request(root: Root, indexes: Iterable[int]) -> bytes:
    """`indexes` ascending, each once."""
    flat: list[int] = []
    at = 0
    for start, stop in _ranges(indexes):
        flat += (start - at, stop - start)
        at = stop
    return cbor2.dumps([VERSION, root, flat], canonical=True)


def decode_blocks_request(body: bytes) -> BlocksRequest:
    """Raises PeerError on anything malformed, before it costs memory. Takes milliseconds for a large source."""
    try:
        fields = cbor2.loads(body)
    except (cbor2.CBORDecodeError, ValueError) as error:
        raise PeerError(f"the request for blocks is not CBOR: {error}") from None
    if not isinstance(fields, list) or len(fields) < 2 or fields[0] != VERSION:
        raise PeerError("the request for blocks is not of version 1")
    root = _check_root(fields[1])
    return BlocksRequest(root, None if len(fields) == 2 else _decode_ranges(fields[2]))


def _check_root(value: Any) -> Root:
    try:
        if isinstance(value, bytes) and cids.read(value, 0)[1] == len(value):
            return value
    except ValueError:
        pass
    raise PeerError("the request for blocks names no source root")


def _decode_ranges(flat: Any) -> BlockSet:
    if not isinstance(flat, list) or len(flat) % 2 or not all(type(value) is int for value in flat):
        raise PeerError("the request for blocks has malformed ranges")
    count = at = 0
    ranges: list[npt.NDArray[np.int64]] = []
    for gap, length in zip(flat[::2], flat[1::2], strict=True):
        start, at = at + gap, at + gap + length
        count += length
        if gap < 0 or length < 1 or at > limits.LEAVES_PER_SOURCE_MAX or count > bounds.LEAVES_PER_REQUEST_MAX:
            raise PeerError(
                f"the request for blocks asks for more than {bounds.LEAVES_PER_REQUEST_MAX} leaves, or for none"
            )
        ranges.append(np.arange(start, at))
    return _block_set(ranges, at)


def _block_set(ranges: list[npt.NDArray[np.int64]], stop: int) -> BlockSet:
    """12 MB of memory for the largest source; by way of `BlockSet.of` it would be 100."""
    bits = np.zeros(stop // 8 + 1, np.uint8)
    for indexes in ranges:
        np.bitwise_or.at(bits, indexes >> 3, np.left_shift(1, indexes & 7).astype(np.uint8))
    return BlockSet(int.from_bytes(bits.tobytes(), "little"))


def _ranges(indexes: Iterable[int]) -> Iterator[Range]:
    start = stop = -1
    for index in indexes:
        if index != stop:
            if start >= 0:
                yield start, stop
            start = index
        stop = index + 1
    if start >= 0:
        yield start, stop
