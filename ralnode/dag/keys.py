"""`KeyList`: millions of block keys packed into one bytearray; `LeafKeys`: the leaves of a source, with their sizes.

A list of `bytes` would take about 80 bytes for each 36-byte key, this takes 36 (and 4 for the size).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Final, overload

import numpy as np
import numpy.typing as npt

from ralnode.api.limits import BLOCK_BYTES_MAX, MIB

KEY_BYTES: Final = 36
_HEAD_BYTES: Final = 4
_UNKNOWN: Final = 0xFFFFFFFF
_WINDOW_BYTES: Final = 4 * MIB
"""Searched in one call that holds the interpreter: about 1 ms, so that other threads get their turn."""


class KeyList(Sequence[bytes]):
    """Append-only. Keys of other hashes than sha2-256 are longer; the first such key brings in an array of offsets."""

    __slots__ = ("_ends", "_heads", "_packed")

    def __init__(self) -> None:
        self._packed = bytearray()
        self._heads: set[bytes] = set()
        """First bytes (version, codec, hash) of the keys: what is no leaf usually shows in them."""
        self._ends: array[int] | None = None

    def __len__(self) -> int:
        return len(self._packed) // KEY_BYTES if self._ends is None else len(self._ends)

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...

    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return [self._at(position) for position in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self._at(index % len(self))

    def __iter__(self) -> Iterator[bytes]:
        return map(self._at, range(len(self)))

    def append(self, key: bytes) -> None:
        if self._ends is None and len(key) != KEY_BYTES:
            self._ends = array("Q", range(KEY_BYTES, len(self._packed) + 1, KEY_BYTES))
        self._packed += key
        self._heads.add(key[:_HEAD_BYTES])
        if self._ends is not None:
            self._ends.append(len(self._packed))

    def extend_packed(self, packed: bytes) -> None:
        """Appends keys of 36 bytes that lie behind each other."""
        if self._ends is not None:
            first = len(self._packed) + KEY_BYTES
            self._ends.extend(range(first, first + len(packed), KEY_BYTES))
        self._packed += packed
        heads = np.frombuffer(packed, np.uint8).reshape(-1, KEY_BYTES)[:, :_HEAD_BYTES].copy().view(np.uint32)
        self._heads.update(head.tobytes() for head in np.unique(heads))

    def find(self, key: bytes, start: int = 0) -> int:
        """Lowest index >= `start` of `key`, or -1."""
        if key[:_HEAD_BYTES] not in self._heads:
            return -1
        if self._ends is not None or len(key) != KEY_BYTES:
            return next((index for index in range(start, len(self)) if self._at(index) == key), -1)
        at = start * KEY_BYTES
        while at < len(self._packed):
            found = self._packed.find(key, at, at + _WINDOW_BYTES + KEY_BYTES)
            if found >= 0 and found % KEY_BYTES == 0:
                return found // KEY_BYTES
            at = found + 1 if found >= 0 else at + _WINDOW_BYTES
        return -1

    def fingerprints(self, start: int, stop: int) -> npt.NDArray[np.uint64]:
        """8 bytes of the digest of each key: equal keys have equal ones, different keys almost surely not."""
        if self._ends is None:
            part = self._packed[start * KEY_BYTES : stop * KEY_BYTES]
            return np.frombuffer(part, np.uint8).reshape(-1, KEY_BYTES)[:, -8:].copy().view(np.uint64).ravel()
        return np.frombuffer(b"".join(key[-8:].rjust(8, b"\0") for key in self[start:stop]), np.uint64)

    @property
    def memory_bytes(self) -> int:
        return len(self._packed) + (8 * len(self._ends) if self._ends is not None else 0) + 128

    def _at(self, index: int) -> bytes:
        if self._ends is None:
            return bytes(self._packed[index * KEY_BYTES : (index + 1) * KEY_BYTES])
        return bytes(self._packed[self._ends[index - 1] if index else 0 : self._ends[index]])


class LeafKeys(Sequence[bytes]):
    """Keys of a source's leaves in depth-first order, repeats counted, so that `leaves[i]` is leaf i of the source."""

    __slots__ = ("_sizes", "_unknown_count", "keys", "total_bytes")

    def __init__(self) -> None:
        self.keys = KeyList()
        self.total_bytes = 0
        """Sum of the known sizes."""
        self._sizes = array("I")
        self._unknown_count = 0

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...

    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        return self.keys[index]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.keys)

    def size(self, index: int) -> int | None:
        """Bytes of the block as stored, as the nodes above it say; None when they do not."""
        value = self._sizes[index]
        return None if value == _UNKNOWN else value

    @property
    def sizes_known(self) -> bool:
        return not self._unknown_count

    def append(self, key: bytes, size_bytes: int | None) -> None:
        """A size that no block can have counts as unknown."""
        known = size_bytes is not None and 0 <= size_bytes <= BLOCK_BYTES_MAX
        self.keys.append(key)
        self._sizes.append(size_bytes if known and size_bytes is not None else _UNKNOWN)
        self._unknown_count += not known
        self.total_bytes += size_bytes if known and size_bytes is not None else 0

    def extend_packed(self, packed: bytes, sizes: npt.NDArray[np.int64]) -> None:
        """Appends keys of 36 bytes that lie behind each other, one size each."""
        known = (sizes >= 0) & (sizes <= BLOCK_BYTES_MAX)
        self.keys.extend_packed(packed)
        self._sizes.frombytes(np.where(known, sizes, _UNKNOWN).astype(np.uint32).tobytes())
        self._unknown_count += int(len(sizes) - known.sum())
        self.total_bytes += int(sizes[known].sum())

    def find(self, key: bytes, hint: int = 0) -> int:
        """Index of a leaf with this key, the next from `hint` on if there is one; -1 if the source has none."""
        found = self.keys.find(key, hint)
        return self.keys.find(key) if found < 0 < hint else found

    @property
    def memory_bytes(self) -> int:
        return self.keys.memory_bytes + 4 * len(self._sizes)
