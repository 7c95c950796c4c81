"""The sections of a CARv1 from a body whose bytes are asked for one after the other: each is read to the byte into one
buffer that is used again and again, so that nothing is copied together, cut and moved on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ralnode.api import Block
from ralnode.api.limits import BLOCK_BYTES_MAX
from ralnode.dag import car, varint
from ralnode.dag import cid as cids
from ralnode.dag.errors import DagError
from ralnode_transport_http.bounds import CAR_HEADER_BYTES_MAX

_SECTION_BYTES_MIN: Final = 4
"""The shortest CID (raw, identity, nothing in it)."""
_PREFIX_BYTES: Final = 1 + _SECTION_BYTES_MIN
"""Can be asked for before the length is known: every section has at least so many bytes, its length included."""

ReadInto = Callable[[memoryview], int]
"""Fills the buffer; less only at the end of the body."""


class Sections:
    """First `read_header`, then `next_block` until it returns None. Both raise DagError, and what `read_into` raises."""

    def __init__(self, read_into: ReadInto) -> None:
        self._read_into = read_into
        self._view = memoryview(bytearray(_PREFIX_BYTES + car.SECTION_BYTES_MAX))

    def read_header(self) -> tuple[bytes, ...]:
        """The roots."""
        body = self._next(CAR_HEADER_BYTES_MAX)
        if body is None:
            raise DagError("there is nothing")
        return car.decode_header(bytes(body))

    def next_block(self) -> Block | None:
        """Not verified. Identity blocks are left out: they are inside their CIDs."""
        while (body := self._next(car.SECTION_BYTES_MAX)) is not None:
            cid, data_at = cids.read(body, 0)
            if len(body) - data_at > BLOCK_BYTES_MAX:
                raise DagError("too large a block")
            key = cids.to_key(cid)
            if cids.identity_data(key) is None:
                return Block(key, bytes(body[data_at:]))
        return None

    def _next(self, bytes_max: int) -> memoryview | None:
        """The next section without its length; good until this is called again."""
        got_bytes = self._read_into(self._view[:_PREFIX_BYTES])
        if not got_bytes:
            return None
        if got_bytes < _PREFIX_BYTES:
            raise DagError("it is cut off")
        length, start = varint.decode_shortest(self._view[:_PREFIX_BYTES], 0)
        if not _SECTION_BYTES_MIN <= length <= bytes_max:
            raise DagError(f"a section of {length} bytes: must be {_SECTION_BYTES_MIN} to {bytes_max}")
        rest = self._view[_PREFIX_BYTES : start + length]
        if len(rest) and self._read_into(rest) < len(rest):
            raise DagError("it is cut off")
        return self._view[start : start + length]
