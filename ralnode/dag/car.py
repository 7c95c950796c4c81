"""CAR files: version 1 written, 1 and 2 read, as a stream with bounded memory; every block is checked against its CID.

Formats: https://ipld.io/specs/transport/car/. A reader is fed bytes as they come and hands out whole blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ralnode.api.limits import BLOCK_BYTES_MAX, MIB
from ralnode.api.model import Block
from ralnode.dag import cid as cids
from ralnode.dag import dagcbor, varint
from ralnode.dag.errors import DagError
from ralnode.dag.ipld import Link

HEADER_BYTES_MAX: Final = MIB
"""Thousands of roots; a header is usually 60 bytes."""
SECTION_BYTES_MAX: Final = BLOCK_BYTES_MAX + cids.CID_BYTES_MAX
ROOTS_MAX: Final = 10_000
_V2_PRAGMA: Final = bytes.fromhex("0aa16776657273696f6e02")
_V2_HEADER_BYTES: Final = 40
_VARINT_BYTES_MAX: Final = 10


def encode_header(roots: Sequence[bytes]) -> bytes:
    """The beginning of a CARv1 with these root CIDs."""
    body = dagcbor.encode({"roots": [Link(root) for root in roots], "version": 1})
    return varint.encode(len(body)) + body


def section_prefix(cid: bytes, size_bytes: int) -> bytes:
    """What stands before a block's bytes."""
    return varint.encode(len(cid) + size_bytes) + cid


def encode_section(cid: bytes, data: bytes) -> bytes:
    return section_prefix(cid, len(data)) + data


class CarReader:
    """Feed bytes with `feed`, take the blocks, then call `finish`. `roots` is set as soon as the header has been read.

    `verify=False` is for a caller that checks the blocks itself. Identity blocks are left out: they are inside their CIDs.
    """

    def __init__(self, *, verify: bool = True) -> None:
        self.roots: tuple[bytes, ...] | None = None
        self._verify = verify
        self._buffer = bytearray()
        self._at = 0
        self._started = False
        self._skip_bytes = 0
        self._data_bytes_left: int | None = None
        """Of the inner CARv1 of a CARv2; what follows is an index that we do not need."""

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[Block]:
        """The blocks that are complete with `data`; consume them before feeding on. Raises DagError."""
        self._buffer += data
        if self._version_known():
            self._drop_skipped()
            while (section := self._next_section()) is not None:
                start, end = section
                if self.roots is None:
                    self.roots = decode_header(bytes(self._buffer[start:end]))
                elif (block := self._section(start, end)) is not None:
                    yield block
            del self._buffer[: self._at]
            self._at = 0

    def finish(self) -> None:
        """Raises DagError when the file ends in the middle."""
        if self.roots is None or self._skip_bytes or (self._buffer and self._data_bytes_left is None):
            raise DagError("the CAR file is cut off")
        if self._data_bytes_left:
            raise DagError("the CAR file is cut off")

    def _next_section(self) -> tuple[int, int] | None:
        """(start, end) of the next section's body if it is all there; moves behind it."""
        if self._data_bytes_left == 0:
            self._at = len(self._buffer)
        if self._skip_bytes or not self._is_varint_whole():
            return None
        length, start = varint.decode_shortest(self._buffer, self._at)
        limit = SECTION_BYTES_MAX if self.roots is not None else HEADER_BYTES_MAX
        if not length or length > limit:
            raise DagError(f"a CAR section of {length} bytes: must be 1 to {limit}")
        end = start + length
        if end > len(self._buffer):
            return None
        self._count(end - self._at)
        self._at = end
        return start, end

    def _is_varint_whole(self) -> bool:
        ahead = self._buffer[self._at : self._at + _VARINT_BYTES_MAX]
        return len(ahead) == _VARINT_BYTES_MAX or any(byte < 0x80 for byte in ahead)

    def _count(self, size_bytes: int) -> None:
        if self._data_bytes_left is not None:
            self._data_bytes_left -= size_bytes
            if self._data_bytes_left < 0:
                raise DagError("a CAR section goes beyond the data of its CARv2")

    def _version_known(self) -> bool:
        """Looks for the pragma and header of a CARv2 at the very beginning."""
        if not self._started and self._buffer.startswith(_V2_PRAGMA):
            self._started = len(self._buffer) >= len(_V2_PRAGMA) + _V2_HEADER_BYTES
            if self._started:
                self._v2_header(len(_V2_PRAGMA))
        elif not self._started:
            self._started = not _V2_PRAGMA.startswith(self._buffer)
        return self._started

    def _v2_header(self, at: int) -> None:
        fields = self._buffer[at + 16 : at + _V2_HEADER_BYTES]
        data_offset, data_bytes = (int.from_bytes(fields[start : start + 8], "little") for start in (0, 8))
        self._at = at + _V2_HEADER_BYTES
        if not self._at <= data_offset <= HEADER_BYTES_MAX or not data_bytes:
            raise DagError("the header of the CARv2 names no data")
        self._skip_bytes = data_offset - self._at
        self._data_bytes_left = data_bytes

    def _drop_skipped(self) -> None:
        dropped = min(self._skip_bytes, len(self._buffer) - self._at)
        self._at += dropped
        self._skip_bytes -= dropped

    def _section(self, start: int, end: int) -> Block | None:
        cid, data_at = cids.read(self._buffer, start)
        if data_at > end or end - data_at > BLOCK_BYTES_MAX:
            raise DagError("a CAR section has no whole CID, or too large a block")
        with memoryview(self._buffer) as view:
            data = bytes(view[data_at:end])
        key = cids.to_key(cid)
        if self._verify and not cids.verify(key, data):
            raise DagError(f"a block of the CAR file does not hash to its CID {cids.to_text(cid)}")
        return Block(key, data) if cids.identity_data(key) is None else None


def decode_header(body: bytes) -> tuple[bytes, ...]:
    """The roots. A header without roots is allowed: some writers leave them out."""
    try:
        header = dagcbor.decode(body)
    except DagError as error:
        raise DagError(f"the header of the CAR file is not DAG-CBOR: {error}") from None
    if not isinstance(header, dict) or header.get("version") != 1:
        raise DagError("the header of the CAR file is not that of version 1 or 2")
    roots = header.get("roots", [])
    if not isinstance(roots, list) or len(roots) > ROOTS_MAX:
        raise DagError("the header of the CAR file has no list of roots")
    return tuple(_read_root(root) for root in roots)


def _read_root(root: object) -> bytes:
    if not isinstance(root, Link):
        raise DagError("a root of the CAR file is not a CID")
    return root.cid
