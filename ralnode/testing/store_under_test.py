"""What the parts of the storage contract stand on: made-up blocks, and the fixtures around a store under test."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from ralnode.api import Block, BlockKey, FileSlice, Storage
from ralnode.api.limits import KIB, MIB
from ralnode.dag import cid

CAPACITY_BYTES: Final = 16 * MIB
BLOCK_BYTES: Final = 256 * KIB


def make_block(seed: int, size_bytes: int = BLOCK_BYTES) -> Block:
    """The same raw block for the same seed and size."""
    data = random.Random(seed).randbytes(size_bytes)
    return Block(cid.make(cid.RAW, data), data)


def make_blocks(count: int, size_bytes: int = BLOCK_BYTES, first_seed: int = 0) -> list[Block]:
    return [make_block(first_seed + index, size_bytes) for index in range(count)]


def keys_of(blocks: Sequence[Block]) -> list[BlockKey]:
    return [block.key for block in blocks]


def write_file(path: Path, blocks: Sequence[Block]) -> list[FileSlice]:
    """Writes the blocks side by side and says where they lie."""
    path.write_bytes(b"".join(block.data for block in blocks))
    slices, offset = [], 0
    for block in blocks:
        slices.append(FileSlice(block.key, offset, len(block.data)))
        offset += len(block.data)
    return slices


def ignore(keys: Sequence[BlockKey]) -> None:
    """An `on_lost` for tests that lose nothing."""


class StoreUnderTest:
    """`build` is the one thing a subclass must give; `damage` only if blocks do not lie plainly in files."""

    def build(self, data_dir: Path, capacity_bytes: int, disk_floor_bytes: int = 0) -> Storage:
        """A store on `data_dir`, not open. Called again for the same folder to restart it."""
        raise NotImplementedError

    def damage(self, storage: Storage, data_dir: Path, block: Block) -> None:
        """Flips one bit of an owned block on the disk, behind the store's back."""
        for path in sorted(data_dir.rglob("*")):
            content = bytearray(path.read_bytes()) if path.is_file() else bytearray()
            at = content.find(block.data)
            if at >= 0:
                with path.open("r+b") as file:
                    file.seek(at + len(block.data) // 2)
                    file.write(bytes([content[at + len(block.data) // 2] ^ 1]))
                return
        raise AssertionError("the block lies in no file of the store: override `damage`")

    # --- fixtures

    @pytest.fixture
    def data_dir(self, tmp_path: Path) -> Path:
        folder = tmp_path / "store"
        folder.mkdir()
        return folder

    @pytest.fixture
    def lost(self) -> list[BlockKey]:
        """What `on_lost` was told, in order."""
        return []

    @pytest.fixture
    async def store(self, data_dir: Path, lost: list[BlockKey]) -> AsyncIterator[Storage]:
        storage = self.build(data_dir, CAPACITY_BYTES)
        await storage.open(lost.extend)
        yield storage
        await storage.close()

    async def restart(self, storage: Storage, data_dir: Path, lost: list[BlockKey] | None = None) -> Storage:
        await storage.close()
        again = self.build(data_dir, CAPACITY_BYTES)
        await again.open(ignore if lost is None else lost.extend)
        return again
