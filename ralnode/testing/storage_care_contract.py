"""The part of the storage contract about links into users' files, scrubbing and rebuilding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from ralnode.api import BlockKey, Held, Storage, StorageError, VerifyProgress
from ralnode.api.limits import MIB
from ralnode.testing.store_under_test import (
    BLOCK_BYTES,
    StoreUnderTest,
    keys_of,
    make_blocks,
    write_file,
)


class StorageCareContract(StoreUnderTest):
    """Mixed into `StorageContract`."""

    async def test_verify_finds_every_bad_block_in_one_pass(
        self, store: Storage, data_dir: Path, tmp_path: Path, lost: list[BlockKey]
    ) -> None:
        blocks, linked = make_blocks(30, 20_000), make_blocks(5, 20_000, first_seed=500)
        await store.put(blocks)
        await store.link(tmp_path / "file", write_file(tmp_path / "file", linked))
        bad = [blocks[4], blocks[17]]
        for block in bad:
            self.damage(store, data_dir, block)
        reports = [report async for report in store.verify(bytes_per_second=1 << 30)]
        self.check_reports(reports, total_count=35)
        found = [key for report in reports for key in report.bad]
        assert sorted(found) == sorted(lost) == sorted(keys_of(bad))
        assert await store.held(keys_of(bad)) == [Held.NO, Held.NO]
        again = [report async for report in store.verify()]
        self.check_reports(again, total_count=33)
        assert not any(report.bad for report in again)

    @staticmethod
    def check_reports(reports: Sequence[VerifyProgress], total_count: int) -> None:
        counts = [report.checked_count for report in reports]
        assert counts == sorted(counts)
        assert reports[-1].checked_count == reports[-1].total_count == total_count

    async def test_verify_of_an_empty_store_ends(self, store: Storage) -> None:
        assert all(report.total_count == 0 for report in [report async for report in store.verify()])

    async def test_rebuilding_the_index_keeps_everything(self, store: Storage, tmp_path: Path) -> None:
        blocks, linked = make_blocks(20, 50_000), make_blocks(5, 20_000, first_seed=500)
        await store.put(blocks)
        await store.link(tmp_path / "file", write_file(tmp_path / "file", linked))
        await store.save_state({b"name": b"value"})
        steps: list[tuple[int, int]] = []
        assert await store.rebuild_index(lambda done, total: steps.append((done, total))) == 25
        assert steps[-1][0] == steps[-1][1]
        everything = blocks + linked
        assert await store.get_many(keys_of(everything)) == [block.data for block in everything]
        assert await store.load_state(b"") == {b"name": b"value"}
        assert store.usage().block_count == 25
        await store.put(make_blocks(2, first_seed=900))
        assert store.usage().block_count == 27

    async def test_linked_blocks_are_read_from_their_file_and_cost_no_second_copy(
        self, store: Storage, data_dir: Path, tmp_path: Path
    ) -> None:
        blocks, before = make_blocks(8, MIB), store.usage()
        await store.link(tmp_path / "file", write_file(tmp_path / "file", blocks))
        assert await store.held(keys_of(blocks)) == [Held.LINKED] * 8
        usage = store.usage()
        assert (usage.linked_bytes, usage.block_count) == (8 * MIB, 8)
        assert usage.used_bytes < before.used_bytes + MIB
        again = await self.restart(store, data_dir)
        assert await again.get_many(keys_of(blocks)) == [block.data for block in blocks]
        assert again.usage().linked_bytes == 8 * MIB
        await again.close()

    async def test_a_linked_block_becomes_owned_when_put(self, store: Storage, tmp_path: Path) -> None:
        blocks = make_blocks(2)
        path = tmp_path / "file"
        await store.link(path, write_file(path, blocks))
        await store.put(blocks[:1])
        assert await store.held(keys_of(blocks)) == [Held.OWNED, Held.LINKED]
        assert (store.usage().linked_bytes, store.usage().block_count) == (BLOCK_BYTES, 2)
        path.unlink()
        assert await store.get_many(keys_of(blocks)) == [blocks[0].data, None]

    async def test_linking_skips_what_is_held(self, store: Storage, tmp_path: Path) -> None:
        blocks = make_blocks(3)
        await store.put(blocks[:1])
        for name in ("one", "two"):
            await store.link(tmp_path / name, write_file(tmp_path / name, blocks))
        assert await store.held(keys_of(blocks)) == [Held.OWNED, Held.LINKED, Held.LINKED]
        assert (store.usage().linked_bytes, store.usage().block_count) == (2 * BLOCK_BYTES, 3)

    async def test_a_linked_file_that_is_not_there_or_too_short_is_refused(
        self, store: Storage, tmp_path: Path
    ) -> None:
        slices = write_file(tmp_path / "file", make_blocks(2))
        with pytest.raises(StorageError):
            await store.link(tmp_path / "missing", slices)
        with pytest.raises(StorageError):
            await store.link(tmp_path / "file", [slices[0], slices[1]._replace(offset=BLOCK_BYTES + 1)])
        assert store.usage().block_count == 0

    async def test_a_changed_file_loses_all_its_blocks_at_once(
        self, store: Storage, tmp_path: Path, lost: list[BlockKey]
    ) -> None:
        blocks, path = make_blocks(3), tmp_path / "file"
        await store.link(path, write_file(path, blocks))
        path.write_bytes(b"something else")
        assert await store.get(blocks[1].key) is None
        assert sorted(lost) == sorted(keys_of(blocks))
        assert await store.held(keys_of(blocks)) == [Held.NO] * 3
        assert (store.usage().linked_bytes, store.usage().block_count) == (0, 0)

    async def test_a_vanished_file_loses_its_blocks(self, store: Storage, tmp_path: Path, lost: list[BlockKey]) -> None:
        blocks, path = make_blocks(3), tmp_path / "file"
        await store.link(path, write_file(path, blocks))
        path.unlink()
        assert [report.bad async for report in store.verify()]
        assert sorted(lost) == sorted(keys_of(blocks))
        assert await store.get_many(keys_of(blocks)) == [None] * 3

    async def test_a_file_changed_back_under_the_same_name_can_be_linked_again(
        self, store: Storage, tmp_path: Path, lost: list[BlockKey]
    ) -> None:
        blocks, path = make_blocks(3), tmp_path / "file"
        await store.link(path, write_file(path, blocks))
        path.unlink()
        await store.link(path, write_file(path, blocks[1:]))
        assert await store.held(keys_of(blocks)) == [Held.NO, Held.LINKED, Held.LINKED]
        assert await store.get_many(keys_of(blocks)) == [None, blocks[1].data, blocks[2].data]
        assert lost == [blocks[0].key]

    async def test_deleting_linked_blocks_never_touches_the_file(self, store: Storage, tmp_path: Path) -> None:
        blocks, path = make_blocks(3), tmp_path / "file"
        await store.link(path, write_file(path, blocks))
        before = path.read_bytes(), path.stat().st_mtime_ns
        assert await store.delete(keys_of(blocks)) == 3
        assert (path.read_bytes(), path.stat().st_mtime_ns) == before
        assert await store.held(keys_of(blocks)) == [Held.NO] * 3
