from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest

from ralnode.api import Block, BlockSet, FileSlice, Holding, NotFoundError, Source
from ralnode.api.limits import KIB, MIB, PUT_BATCH_BYTES
from ralnode.dag import cid as cids
from ralnode.dag import pb, unixfs
from ralnode.dag.errors import DagError
from ralnode.dag.pb import Link
from ralnode.dag.profile import V0_2015, V1_2025, Profile
from ralnode.dag.walk import Dag, enumerate_dag, run
from ralnode.host.dagcache import DagCache
from ralnode.host.dagindex import DagIndex
from ralnode.testing.content import Blocks, build_file, build_tree, content
from ralnode.testing.memory_storage import MemoryStorage

TINY = Profile("tiny", chunk_bytes=16, max_links=4, hamt_fanout=16, hamt_threshold_bytes=300)
TINY_V0 = Profile(
    "tiny0", chunk_bytes=64, max_links=4, raw_leaves=False, cid_version=0, hamt_fanout=16, hamt_threshold_bytes=300
)
PROFILES = [V1_2025, V0_2015, TINY, TINY_V0]
TREE = {"big": content("big", 900), "d/again": content("big", 900), "d/e": b"", "l@": b"big", "h": None}


@pytest.fixture
async def storage() -> AsyncIterator[MemoryStorage]:
    made = MemoryStorage(64 * MIB)
    await made.open(lambda keys: None)
    yield made
    await made.close()


async def put(storage: MemoryStorage, blocks: Blocks, keys: Sequence[bytes] | None = None) -> None:
    await storage.put([Block(key, blocks[key]) for key in (blocks if keys is None else keys)])


async def described(root: bytes, blocks: Blocks, name: str = "s") -> Source:
    """The record of a DAG, made where all its blocks are."""
    elsewhere = MemoryStorage(256 * MIB)
    await elsewhere.open(lambda keys: None)
    await put(elsewhere, blocks)
    return await DagIndex(elsewhere).describe(root, name, strict=True)


async def tree(profile: Profile = TINY, **more: bytes) -> tuple[Source, Blocks]:
    blocks: Blocks = {}
    root = build_tree(blocks, {**TREE, **more}, profile).cid
    return await described(root, blocks), blocks


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
async def test_record_says_what_the_dag_is(storage: MemoryStorage, profile: Profile) -> None:
    source, blocks = await tree(profile)
    await put(storage, blocks)
    loose = await DagIndex(storage).describe(source.root, "s")
    dag = run(enumerate_dag(source.root), blocks.get)
    assert loose == source
    assert source.size_bytes == 1800
    assert (source.leaf_count, source.interior_count) == (len(dag.leaves), len(dag.interior))
    assert source.leaf_bytes == sum(len(blocks[key]) for key in dag.leaves)
    assert source.interior_bytes == sum(len(blocks[key]) for key in dag.interior)
    assert source.is_directory


async def test_record_of_a_dag_with_missing_blocks_is_refused(storage: MemoryStorage) -> None:
    source, blocks = await tree()
    await put(storage, blocks, [key for key in blocks if key != source.root][:-3])
    with pytest.raises(DagError):
        await DagIndex(storage).describe(source.root, "s", strict=True)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
async def test_leaf_keys_need_interior_nodes_only(storage: MemoryStorage, profile: Profile) -> None:
    source, blocks = await tree(profile)
    dag = run(enumerate_dag(source.root), blocks.get)
    await put(storage, blocks, list(dag.interior))
    assert list(await DagIndex(storage).leaf_keys(source)) == list(dag.leaves)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
async def test_each_missing_interior_node_is_noticed(storage: MemoryStorage, profile: Profile) -> None:
    source, blocks = await tree(profile)
    interior = list(run(enumerate_dag(source.root), blocks.get).interior)
    for gone in interior:
        await put(storage, blocks)
        await storage.delete([gone])
        index = DagIndex(storage)
        assert not await index.has_interior(source)
        assert await index.locate(source) == Holding()
        with pytest.raises(NotFoundError, match="not all here"):
            await index.leaf_keys(source)


async def test_interior_node_lost_after_the_walk_is_noticed(storage: MemoryStorage) -> None:
    source, blocks = await tree()
    await put(storage, blocks)
    index = DagIndex(storage)
    assert await index.has_interior(source)
    await storage.delete([list((await index.dag(source)).interior)[-1]])
    assert await index.locate(source) == Holding()


async def test_record_that_lies_about_its_dag_is_never_held(storage: MemoryStorage) -> None:
    source, blocks = await tree()
    await put(storage, blocks)
    for leaves, interior in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        lie = Source(**{**{name: getattr(source, name) for name in source.__slots__},
                        "leaf_count": source.leaf_count + leaves, "interior_count": source.interior_count + interior})  # fmt: skip
        assert not (await DagIndex(storage).locate(lie)).has_interior


@pytest.mark.parametrize("profile", [V1_2025, V0_2015, TINY_V0], ids=lambda profile: profile.name)
async def test_located_leaves_are_those_in_the_store(storage: MemoryStorage, profile: Profile, tmp_path: Path) -> None:
    source, blocks = await tree(profile, more=content("more", 5000))
    dag = run(enumerate_dag(source.root), blocks.get)
    dice = random.Random(4)
    linked = dag.leaves[0]
    owned = {key for key in dag.leaves if dice.random() < 0.5 and key != linked}
    await put(storage, blocks, [*dag.interior, *owned])
    file = tmp_path / "linked"
    file.write_bytes(blocks[linked])
    await storage.link(file, [FileSlice(linked, 0, len(blocks[linked]))])
    holding = await DagIndex(storage).locate(source)
    assert holding.has_interior
    assert set(holding.owned) == {index for index, key in enumerate(dag.leaves) if key in owned}
    assert set(holding.linked) == {index for index, key in enumerate(dag.leaves) if key == linked}


@pytest.mark.parametrize("profile", [V1_2025, V0_2015], ids=lambda profile: profile.name)
async def test_single_block_source_has_no_interior_to_miss(storage: MemoryStorage, profile: Profile) -> None:
    blocks: Blocks = {}
    source = await described(build_file(blocks, b"small", profile).cid, blocks)
    index = DagIndex(storage)
    assert await index.locate(source) == Holding(has_interior=True)
    await put(storage, blocks)
    assert await index.locate(source) == Holding(has_interior=True, owned=BlockSet.full(1))


# --- serving --------------------------------------------------------------------------------------------------------


async def served(index: DagIndex, source: Source, wanted: BlockSet) -> list[Sequence[Block]]:
    async with aclosing(index.blocks(source.root, wanted)) as stream:  # type: ignore[type-var]
        return [batch async for batch in stream]


async def test_blocks_come_ascending_and_those_not_held_are_left_out(storage: MemoryStorage) -> None:
    source, blocks = await tree()
    await put(storage, blocks)
    index = DagIndex(storage)
    leaves = list(await index.leaf_keys(source))
    gone = leaves[5]
    await storage.delete([gone])
    wanted = BlockSet.of([90, 3, 5, 7, 60, 10**6])
    batches = await served(index, source, wanted)
    expected = [leaves[index] for index in (3, 5, 7, 60, 90) if leaves[index] != gone]
    assert [block for batch in batches for block in batch] == [Block(key, blocks[key]) for key in expected]


async def test_groups_are_bounded(storage: MemoryStorage) -> None:
    blocks: Blocks = {}
    source = await described(build_file(blocks, content("groups", 20 * MIB)).cid, blocks)
    await put(storage, blocks)
    index = DagIndex(storage)
    await index.locate(source)
    batches = await served(index, source, BlockSet.full(20))
    assert [len(batch) for batch in batches] == [4, 4, 4, 4, 4]
    assert all(sum(len(block.data) for block in batch) <= PUT_BATCH_BYTES // 2 for batch in batches)


async def test_unknown_root_is_not_served(storage: MemoryStorage) -> None:
    source, blocks = await tree()
    await put(storage, blocks)
    index = DagIndex(storage)
    with pytest.raises(NotFoundError, match="not known"):
        await served(index, source, BlockSet.full(1))
    await index.locate(source)
    assert await served(index, source, BlockSet.full(1))
    index.forget(source.root)
    with pytest.raises(NotFoundError, match="not known"):
        await served(index, source, BlockSet.full(1))


async def test_interior_comes_whole_and_in_order(storage: MemoryStorage) -> None:
    source, blocks = await tree()
    dag = run(enumerate_dag(source.root), blocks.get)
    await put(storage, blocks)
    index = DagIndex(storage)
    await index.locate(source)
    found = [block async for batch in index.interior(source.root) for block in batch]
    assert found == [Block(key, blocks[key]) for key in dag.interior]
    await storage.delete([found[-1].key])
    with pytest.raises(NotFoundError, match="no longer here"):
        [batch async for batch in index.interior(source.root)]


async def test_stream_left_early_leaves_nothing_running(storage: MemoryStorage) -> None:
    source, blocks = await tree()
    await put(storage, blocks)
    index = DagIndex(storage)
    await index.locate(source)
    before = len(asyncio.all_tasks())
    async with aclosing(index.interior(source.root)) as stream:  # type: ignore[type-var]
        await anext(stream)
    assert len(asyncio.all_tasks()) == before


# --- dropping -------------------------------------------------------------------------------------------------------


async def two_trees(profile: Profile) -> tuple[Source, Source, Blocks, Blocks]:
    first: Blocks = {}
    second: Blocks = {}
    one = build_tree(first, {"same": content("same", 3000), "own": content("own", 2000), "d/x": b"x"}, profile)
    two = build_tree(second, {"other": content("same", 3000), "mine": content("mine", 2000), "d/x": b"x"}, profile)
    return await described(one.cid, first, "one"), await described(two.cid, second, "two"), first, second


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
async def test_what_a_kept_source_uses_is_not_dropped(storage: MemoryStorage, profile: Profile) -> None:
    one, two, first, second = await two_trees(profile)
    await put(storage, first)
    await put(storage, second)
    index = DagIndex(storage)
    assert set(await index.keys_to_drop(one, [two])) == set(first) - set(second)
    assert set(await index.keys_to_drop(one, [])) == set(first)
    assert set(await index.keys_to_drop(one, [one])) == set(first)


async def test_half_fetched_source_is_dropped_as_far_as_it_goes(storage: MemoryStorage) -> None:
    one, two, first, second = await two_trees(TINY)
    await put(storage, first)
    await put(storage, second)
    gone = list((await DagIndex(storage).dag(one)).interior)[-1]
    await storage.delete([gone])
    dropped = set(await DagIndex(storage).keys_to_drop(one, [two]))
    assert dropped < set(first)
    assert not dropped & set(second)
    assert len(dropped) > 10


async def test_kept_source_that_is_half_here_still_protects_what_is_here(storage: MemoryStorage) -> None:
    one, two, first, second = await two_trees(TINY)
    await put(storage, first)
    await put(storage, second)
    mine = [key for key in second if key not in first and cids.codec_of(key) == cids.DAG_PB and key != two.root]
    await storage.delete(mine[:1])
    assert not set(await DagIndex(storage).keys_to_drop(one, [two])) & set(second)


async def test_malformed_source_can_be_dropped(storage: MemoryStorage) -> None:
    leaf = cids.make(cids.RAW, b"x")
    bad = pb.encode([Link(leaf, b"a", 1), Link(leaf, b"b", 1)], unixfs.encode_symlink(b"x"))
    root = cids.make(cids.DAG_PB, bad)
    await storage.put([Block(root, bad), Block(leaf, b"x")])
    source = Source(root, "bad", 1, 2, 2, 1, len(bad))
    assert list(await DagIndex(storage).keys_to_drop(source, [])) == [root]


# --- the cache ------------------------------------------------------------------------------------------------------


class Counting(MemoryStorage):
    reads = 0

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        self.reads += 1
        await asyncio.sleep(0)
        return await super().get_many(keys)


async def test_dag_is_walked_once_however_many_ask_at_once() -> None:
    source, blocks = await tree()
    storage = Counting(64 * MIB)
    await storage.open(lambda keys: None)
    await put(storage, blocks)
    index = DagIndex(storage)
    await index.leaf_keys(source)
    once = storage.reads
    index.forget(source.root)
    await asyncio.gather(*(index.leaf_keys(source) for _ in range(10)))
    assert storage.reads == 2 * once


async def test_cache_is_bounded_and_keeps_the_last() -> None:
    storage = Counting(64 * MIB)
    await storage.open(lambda keys: None)
    index = DagIndex(storage, cache_bytes=40 * KIB)
    for number in range(30):
        blocks: Blocks = {}
        source = await described(build_file(blocks, content(f"{number}", 16 * 200), TINY).cid, blocks)
        await put(storage, blocks)
        await index.leaf_keys(source)
        assert index._cache.size_bytes <= 40 * KIB
    reads = storage.reads
    await index.leaf_keys(source)
    assert storage.reads == reads


async def test_dag_larger_than_the_cache_stays_only_while_it_is_used() -> None:
    cache = DagCache(1000, idle_seconds=0)
    large, small = Dag(), Dag()
    for number in range(100):
        large.leaves.append(cids.make(cids.RAW, b"%d" % number), 1)
    cache.put(b"small", small)
    cache.put(b"large", large)
    assert cache.get(b"large") is large
    assert cache.get(b"small") is None
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert cache.get(b"large") is None
    assert cache.size_bytes == 0
    cache.put(b"small", small)
    await asyncio.sleep(0)
    assert cache.get(b"small") is small
