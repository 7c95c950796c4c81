from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ralnode.api.limits import BLOCK_BYTES_MAX, KIB, MIB
from ralnode.dag import cid as cids
from ralnode.dag import profile as profiles
from ralnode.dag.build import Built, FileBuilder, make_leaf
from ralnode.dag.directory import build_directory
from ralnode.dag.errors import DagError
from ralnode.dag.node import open_node
from ralnode.dag.pb import Link
from ralnode.dag.profile import V0_2015, V1_2025, HamtRule, Profile
from ralnode.dag.tree import DEPTH_MAX, TreeBuilder
from ralnode.dag.unixfs import Kind
from ralnode.dag.walk import enumerate_dag, run
from ralnode.testing.content import build_file, build_tree, content

TINY = Profile("tiny", chunk_bytes=4, max_links=3, hamt_fanout=16, hamt_threshold_bytes=200)


@pytest.mark.parametrize("leaf_count", range(1, 30))
def test_leaves_of_a_balanced_file_are_equally_deep_and_no_node_is_too_wide(leaf_count: int) -> None:
    blocks: dict[bytes, bytes] = {}
    built = build_file(blocks, content("deep", leaf_count * 4), TINY)
    level, depth = [cids.to_key(built.cid)], 0
    while cids.codec_of(level[0]) == cids.DAG_PB:
        nodes = [open_node(key, blocks[key]) for key in level]
        assert all(1 <= node.link_count <= 3 for node in nodes)
        level = [cids.to_key(link.cid) for node in nodes for link in node.links()]
        depth += 1
    assert all(cids.codec_of(key) == cids.RAW for key in level)
    assert len(level) == leaf_count
    assert 3**depth >= leaf_count > 3 ** (depth - 1) * (depth > 0)


def test_interior_blocks_come_out_as_soon_as_they_are_full() -> None:
    builder = FileBuilder(TINY)
    waiting_max = 0
    for number in range(3**6):
        builder.add(make_leaf(TINY, number.to_bytes(4, "big"))[0])
        waiting_max = max(waiting_max, sum(len(level) for level in builder._levels))
    assert waiting_max <= 3 * 7


def test_file_without_a_leaf_cannot_be() -> None:
    with pytest.raises(ValueError, match="at least one leaf"):
        FileBuilder(V1_2025).finish()


@pytest.mark.parametrize("profile", [V1_2025, V0_2015, TINY])
def test_tsize_is_the_sum_of_all_blocks(profile: Profile) -> None:
    blocks: dict[bytes, bytes] = {}
    built = build_file(blocks, content("sum", 3 * profile.chunk_bytes + 1), profile)
    assert built.tsize == sum(map(len, blocks.values()))
    assert built.content_bytes == 3 * profile.chunk_bytes + 1


def test_links_of_a_directory_are_sorted_by_bytes() -> None:
    leaf, _ = make_leaf(V1_2025, b"x")
    names = ["ä", "z", "a", "Z", "a.b", "a b", "中"]
    built, (block,) = build_directory(V1_2025, [Link(leaf.cid, name.encode(), 1) for name in names], 0)
    node = open_node(cids.to_key(built.cid), block.data)
    assert [link.name for link in node.links()] == sorted(name.encode() for name in names)


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"/", b"a\0", b"x" * 1025])
def test_names_that_no_file_can_have_are_refused(name: bytes) -> None:
    leaf, _ = make_leaf(V1_2025, b"x")
    with pytest.raises(DagError, match="cannot be the name"):
        build_directory(V1_2025, [Link(leaf.cid, name, 1)], 0)


def test_doubled_name_is_refused() -> None:
    leaf, _ = make_leaf(V1_2025, b"x")
    with pytest.raises(DagError, match="two entries called"):
        build_directory(V1_2025, [Link(leaf.cid, b"a", 1), Link(leaf.cid, b"b", 1), Link(leaf.cid, b"a", 1)], 0)


@pytest.mark.parametrize("rule", list(HamtRule))
def test_directory_switches_strictly_above_the_threshold(rule: HamtRule) -> None:
    leaf, _ = make_leaf(V1_2025, b"x")
    entries = [Link(leaf.cid, b"%03d" % number, 1) for number in range(10)]
    at = sum(3 + 36 for _ in entries) if rule is HamtRule.LINKS_BYTES else 4 + 10 * (36 + 3 + 8)
    for threshold, kind in ((at, Kind.DIRECTORY), (at - 1, Kind.SHARD)):
        built, blocks = build_directory(Profile(hamt_threshold_bytes=threshold, hamt_rule=rule), entries, 0)
        assert open_node(cids.to_key(built.cid), blocks[-1].data).kind == kind


def test_tree_is_the_same_whatever_the_order_of_siblings() -> None:
    def tree(order: list[str]) -> bytes:
        builder = TreeBuilder(V1_2025)
        for path in order:
            builder.add(tuple(part.encode() for part in path.split("/")), build_file({}, path.encode()))
        return builder.finish()[0].cid

    expected = tree(["a/1", "a/2", "a/b/1", "c", "d/1"])
    assert tree(["d/1", "c", "a/b/1", "a/2", "a/1"]) == expected
    assert tree(["a/1", "a/b/1", "a/2", "d/1", "c"]) == expected


def test_directory_entered_twice_is_refused() -> None:
    builder = TreeBuilder(V1_2025)
    file = build_file({}, b"x")
    builder.add((b"a", b"1"), file)
    builder.add((b"b",), file)
    builder.add((b"a", b"2"), file)
    with pytest.raises(DagError, match="two entries called"):
        builder.finish()


def test_path_beyond_the_depth_limit_is_refused() -> None:
    with pytest.raises(DagError, match="components"):
        TreeBuilder(V1_2025).add_directory((b"d",) * (DEPTH_MAX + 1))


def test_memory_of_a_tree_holds_open_directories_only() -> None:
    builder = TreeBuilder(V1_2025)
    file = Built(cids.make(cids.RAW, b"x"), 1, 1)
    for number in range(2000):
        builder.add((b"d%d" % (number // 10), b"%d" % number), file)
    assert sum(len(level.links) for level in builder._open) <= 200 + 10


def test_empty_directories_are_kept() -> None:
    assert build_tree({}, {"a": None, "b": b""}).cid != build_tree({}, {"b": b""}).cid


@settings(deadline=None, max_examples=40)
@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "a1/x", "a1/y", "z/q/r", "z/q/s", "z/t"]), st.binary(max_size=60), max_size=7
    ),
    st.sampled_from([TINY, V1_2025, V0_2015]),
)
def test_whole_tree_is_walked_back_out_of_its_blocks(tree: dict[str, bytes], profile: Profile) -> None:
    blocks: dict[bytes, bytes] = {}
    built = build_tree(blocks, tree, profile)
    dag = run(enumerate_dag(built.cid, strict=True), blocks.get)
    assert dag.content_bytes == built.content_bytes == sum(map(len, tree.values()))
    assert set(dag.leaves) | set(dag.interior) == set(blocks)
    assert dag.is_directory


@pytest.mark.parametrize(
    "change",
    [{"chunk_bytes": 0}, {"chunk_bytes": BLOCK_BYTES_MAX}, {"max_links": 1}, {"max_links": 100_000}, {"cid_version": 2},
     {"hamt_fanout": 100}, {"hamt_fanout": 2048}, {"hamt_threshold_bytes": 2 * MIB}],
)  # fmt: skip
def test_senseless_profile_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(DagError):
        Profile(**change)  # type: ignore[arg-type]


def test_profile_is_chosen_by_name_and_changed_in_parts() -> None:
    assert profiles.choose("unixfs-v0-2015") == V0_2015
    assert profiles.choose(chunk_size="1MiB") == V1_2025
    custom = profiles.choose(chunk_size="128k", max_links=174)
    assert (custom.name, custom.chunk_bytes, custom.max_links, custom.raw_leaves) == ("custom", 128 * KIB, 174, True)
    assert custom.tag != V1_2025.tag
    for name, size in (("nope", None), ("unixfs-v1-2025", "12q"), ("unixfs-v1-2025", "-1"), ("unixfs-v1-2025", "9G")):
        with pytest.raises(DagError):
            profiles.choose(name, chunk_size=size)


@pytest.mark.parametrize("size", [0, 1, MIB, MIB + 1, 10 * MIB])
@pytest.mark.parametrize("profile", [V1_2025, V0_2015])
def test_stored_bytes_is_an_upper_bound(profile: Profile, size: int) -> None:
    blocks: dict[bytes, bytes] = {}
    build_file(blocks, content("bound", size), profile)
    assert sum(map(len, blocks.values())) <= profile.stored_bytes(size)
