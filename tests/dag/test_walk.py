"""Enumeration: numbering, bounds, and DAGs that others made (or made up)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ralnode.api.limits import DAG_DEPTH_MAX, KIB, MIB
from ralnode.api.model import Block
from ralnode.dag import cid as cids
from ralnode.dag import pb, unixfs
from ralnode.dag.build import make_leaf
from ralnode.dag.errors import DagError, MissingBlockError
from ralnode.dag.interior import InteriorVerifier
from ralnode.dag.pb import Link
from ralnode.dag.profile import POC_TOOL, V0_2015, V1_2025, Profile
from ralnode.dag.walk import Bounds, Dag, enumerate_dag, run
from ralnode.testing.content import Blocks, build_file, build_tree, content

TINY = Profile("tiny", chunk_bytes=4, max_links=3, hamt_fanout=16, hamt_threshold_bytes=200)
TINY_V0 = Profile(
    "tiny0", chunk_bytes=64, max_links=3, raw_leaves=False, cid_version=0, hamt_fanout=16, hamt_threshold_bytes=200
)
TREE = {
    "big": content("big", 900),
    "dir/again": content("big", 900),
    "dir/empty": b"",
    "dir/link@": b"../big",
    "hollow": None,
    **{f"many/{number}": b"%d" % number for number in range(40)},
}


def add(into: Blocks, block: bytes, version: int = 1) -> bytes:
    cid = cids.make(cids.DAG_PB, block) if version else cids.make_v0(block)
    into[cids.to_key(cid)] = block
    return cid


def file_node(
    into: Blocks, parts: Sequence[tuple[bytes, int, int]], inline: bytes = b"", version: int = 1
) -> tuple[bytes, int, int]:
    """A file node over (cid, tsize, content) parts, itself as such a part."""
    total = len(inline) + sum(size for _, _, size in parts)
    data = b"\x08\x02" + (b"\x12" + bytes([len(inline)]) + inline if inline else b"")
    data += (
        b"\x18" + unixfs.varint.encode(total) + b"".join(b"\x20" + unixfs.varint.encode(size) for _, _, size in parts)
    )
    block = pb.encode([Link(cid, b"", tsize) for cid, tsize, _ in parts], data)
    return add(into, block, version), len(block) + sum(tsize for _, tsize, _ in parts), total


def leaf(into: Blocks, data: bytes, profile: Profile = V1_2025) -> tuple[bytes, int, int]:
    made, block = make_leaf(profile, data)
    into[block.key] = block.data
    return made.cid, made.stored_bytes, made.content_bytes


def slowly(root: bytes, blocks: Blocks) -> tuple[list[bytes], list[bytes], int]:
    """Leaves, interior nodes and content by plain recursion: what the walk must find."""
    leaves: list[bytes] = []
    interior: dict[bytes, None] = {}

    def visit(key: bytes) -> None:
        links = pb.decode(blocks[key]).links if cids.codec_of(key) == cids.DAG_PB else ()
        if not links:
            leaves.append(key)
            return
        interior[key] = None
        for link in links:
            visit(cids.to_key(link.cid))

    visit(cids.to_key(root))
    return leaves, list(interior), sum(map(len, (content for content in TREE.values() if content)))


@pytest.mark.parametrize("profile", [V1_2025, V0_2015, TINY, TINY_V0, POC_TOOL], ids=lambda profile: profile.name)
@pytest.mark.parametrize("strict", [False, True])
def test_leaves_and_interior_are_those_of_plain_recursion(profile: Profile, strict: bool) -> None:
    blocks: Blocks = {}
    built = build_tree(blocks, TREE, profile)
    dag = run(enumerate_dag(built.cid, strict=strict), blocks.get)
    leaves, interior, _ = slowly(built.cid, blocks)
    assert (list(dag.leaves), list(dag.interior)) == (leaves, interior)
    assert dag.interior_bytes == sum(len(blocks[key]) for key in interior)
    assert [dag.leaves.size(index) for index in range(len(leaves))] == [len(blocks[key]) for key in leaves]
    assert dag.leaves.total_bytes == sum(len(blocks[key]) for key in leaves)
    assert dag.content_bytes == built.content_bytes == 1800 + sum(len(str(number)) for number in range(40))


@pytest.mark.parametrize("profile", [V1_2025, V0_2015, TINY, TINY_V0], ids=lambda profile: profile.name)
def test_interior_nodes_alone_give_the_same_numbering(profile: Profile) -> None:
    blocks: Blocks = {}
    built = build_tree(blocks, TREE, profile)
    whole = run(enumerate_dag(built.cid), blocks.get)
    interior = {key: blocks[key] for key in whole.interior}
    bounds = Bounds(len(whole.leaves), len(whole.interior))
    again = run(enumerate_dag(built.cid, bounds), interior.get)
    assert (list(again.leaves), list(again.interior)) == (list(whole.leaves), list(whole.interior))


def test_leaves_of_a_large_v0_file_are_not_asked_for() -> None:
    blocks: Blocks = {}
    built = build_file(blocks, content("v0", 200 * 256 * KIB), V0_2015)
    asked: list[bytes] = []

    def get(key: bytes) -> bytes | None:
        asked.append(key)
        return blocks.get(key)

    dag = run(enumerate_dag(built.cid), get)
    assert len(dag.leaves) == 200
    assert asked == list(dag.interior)


def test_missing_shard_is_not_taken_for_a_leaf() -> None:
    blocks: Blocks = {}
    built = build_tree(blocks, {f"{number}": b"x" for number in range(300)}, TINY)
    whole = run(enumerate_dag(built.cid), blocks.get)
    for key in list(whole.interior)[1:]:
        rest = {other: data for other, data in blocks.items() if other != key}
        with pytest.raises(MissingBlockError) as caught:
            run(enumerate_dag(built.cid), rest.get)
        assert caught.value.key == key


def test_missing_root_is_named() -> None:
    key = cids.make(cids.DAG_PB, b"nowhere")
    with pytest.raises(MissingBlockError) as caught:
        run(enumerate_dag(key), {}.get)
    assert caught.value.key == key


def test_missing_directory_shows_in_the_count_of_interior_nodes() -> None:
    blocks: Blocks = {}
    built = build_tree(blocks, TREE)
    whole = run(enumerate_dag(built.cid), blocks.get)
    gone = list(whole.interior)[1]
    part = run(enumerate_dag(built.cid), {key: data for key, data in blocks.items() if key != gone}.get)
    assert len(part.interior) < len(whole.interior)


def test_single_block_needs_no_block_when_the_record_says_so() -> None:
    blocks: Blocks = {}
    built = build_file(blocks, b"small", V0_2015)
    dag = run(enumerate_dag(built.cid, Bounds(1, 0, single_leaf_bytes=13)), {}.get)
    assert (list(dag.leaves), dag.leaves.size(0), len(dag.interior)) == ([cids.to_key(built.cid)], 13, 0)


# --- DAGs of other makers -------------------------------------------------------------------------------------------


def trickle(into: Blocks, data: bytes, version: int) -> tuple[bytes, int, int]:
    """Leaves at different depths, and content inside nodes that also have links, as old trickle importers made it."""
    profile = V0_2015 if version == 0 else V1_2025
    inner = file_node(into, [leaf(into, data[30:40], profile), leaf(into, data[40:60], profile)], data[20:30], version)
    parts = [leaf(into, data[10:20], profile), inner, leaf(into, data[60:], profile)]
    return file_node(into, parts, data[:10], version)


@pytest.mark.parametrize("version", [0, 1])
def test_trickle_file_with_content_in_its_nodes_is_walked(version: int) -> None:
    blocks: Blocks = {}
    cid, _, size = trickle(blocks, content("trickle", 100), version)
    for strict in (False, True):
        dag = run(enumerate_dag(cid, strict=strict), blocks.get)
        assert (len(dag.leaves), len(dag.interior), dag.content_bytes) == (4, 2, size)


def test_links_without_tsize_are_looked_at() -> None:
    blocks: Blocks = {}
    parts = [
        (cid, 0, size) for cid, _, size in (leaf(blocks, content("t", 100), V0_2015), leaf(blocks, b"abc", V0_2015))
    ]
    cid, _, _ = file_node(blocks, parts)
    dag = run(enumerate_dag(cid), blocks.get)
    assert (len(dag.leaves), dag.content_bytes, dag.leaves.total_bytes) == (2, 103, 100 + 8 + 3 + 8)


def test_inlined_blocks_are_no_blocks() -> None:
    """`ipfs add --inline` puts small blocks into identity CIDs, directories too."""
    blocks: Blocks = {}
    inline_leaf = b"\x01\x55\x00\x05tiny!"
    raw, tsize, size = leaf(blocks, content("r", 50))
    inner = pb.encode([Link(raw, b"f", tsize)], unixfs.EMPTY_DIRECTORY)
    inline_directory = b"\x01\x70\x00" + bytes([len(inner)]) + inner
    entries = [Link(inline_leaf, b"a", 5), Link(inline_directory, b"d", len(inner) + tsize), Link(raw, b"z", tsize)]
    root = add(blocks, pb.encode(entries, unixfs.EMPTY_DIRECTORY))
    dag = run(enumerate_dag(root, strict=True), blocks.get)
    assert (list(dag.leaves), list(dag.interior), dag.content_bytes) == ([raw, raw], [root], 5 + 2 * size)
    assert len(run(enumerate_dag(inline_leaf), {}.get).leaves) == 0


def test_leaves_of_other_hashes_keep_their_long_keys() -> None:
    blocks: Blocks = {}
    long = b"\x01\x55\x13\x40" + b"h" * 64
    raw, tsize, _ = leaf(blocks, b"x")
    root = add(
        blocks, pb.encode([Link(raw, b"a", tsize), Link(long, b"b", 9), Link(raw, b"c", tsize)], unixfs.EMPTY_DIRECTORY)
    )
    dag = run(enumerate_dag(root), blocks.get)
    assert list(dag.leaves) == [raw, long, raw]
    assert (dag.leaves.find(raw, 1), dag.leaves.find(long)) == (2, 1)


# --- hostile ones ---------------------------------------------------------------------------------------------------


def bomb(into: Blocks, width: int, depth: int) -> bytes:
    part = leaf(into, b"x")
    for _ in range(depth):
        part = file_node(into, [part] * width)
    return part[0]


def test_dag_that_repeats_itself_into_the_billions_is_cut_at_its_record() -> None:
    blocks: Blocks = {}
    root = bomb(blocks, 1000, 6)
    with pytest.raises(DagError, match="more than 5000 leaves"):
        run(enumerate_dag(root, Bounds(5000, 100)), blocks.get)


def test_leafless_dag_that_repeats_itself_is_cut() -> None:
    blocks: Blocks = {}
    cid = b"\x01\x55\x00\x00"
    for _ in range(12):
        cid = add(blocks, pb.encode([Link(cid, b"%d" % n, 0) for n in range(100)], unixfs.EMPTY_DIRECTORY))
    with pytest.raises(DagError, match="more paths"):
        run(enumerate_dag(cid, Bounds(10, 100)), blocks.get)


def test_dag_deeper_than_the_limit_is_refused() -> None:
    blocks: Blocks = {}
    cid, tsize, _ = leaf(blocks, b"x")
    for _ in range(DAG_DEPTH_MAX + 1):
        cid = add(blocks, pb.encode([Link(cid, b"d", tsize)], unixfs.EMPTY_DIRECTORY))
    with pytest.raises(DagError, match="deep"):
        run(enumerate_dag(cid), blocks.get)


def test_more_interior_nodes_than_the_record_says_are_refused() -> None:
    blocks: Blocks = {}
    built = build_tree(blocks, TREE)
    with pytest.raises(DagError, match="interior nodes"):
        run(enumerate_dag(built.cid, Bounds(1000, 2)), blocks.get)


def test_large_nodes_on_a_deep_path_do_not_fill_the_memory() -> None:
    blocks: Blocks = {}
    raw, tsize, _ = leaf(blocks, b"x")
    filler = b"".join(pb.encode_link(Link(raw, b"%0800d" % number, tsize)) for number in range(1200))
    cid = raw
    for _ in range(40):
        cid = add(blocks, pb.encode_link(Link(cid, b"0", tsize)) + filler + b"\x0a\x02" + unixfs.EMPTY_DIRECTORY)
    read_bytes = 0

    def get(key: bytes) -> bytes | None:
        nonlocal read_bytes
        read_bytes += len(blocks[key])
        return blocks[key]

    with pytest.raises(DagError, match="bytes above one leaf"):
        run(enumerate_dag(cid), get)
    assert read_bytes < 36 * MIB


def lying(kind: str) -> tuple[Blocks, bytes]:
    blocks: Blocks = {}
    cid, tsize, size = leaf(blocks, content("lie", 200), V0_2015)
    empty_directory = add(blocks, pb.encode((), unixfs.EMPTY_DIRECTORY))
    bad = {
        "sizes do not match links": pb.encode([Link(cid, b"", tsize)] * 2, unixfs.encode_file([size])),
        "wrong total": pb.encode([Link(cid, b"", tsize)], b"\x08\x02\x18\x05\x20\xc8\x01"),
        "child has another size": pb.encode([Link(cid, b"", 0)], unixfs.encode_file([size - 1])),
        "directory inside a file": pb.encode([Link(empty_directory, b"", 0)], unixfs.encode_file([4])),
        "named part": pb.encode([Link(cid, b"x", tsize)], unixfs.encode_file([size])),
        "symlink with links": pb.encode([Link(cid, b"", tsize)], unixfs.encode_symlink(b"x")),
        "huge fanout": pb.encode([Link(cid, b"00x", tsize)], unixfs.encode_shard(b"\1", 1 << 20)),
        "odd fanout": pb.encode([Link(cid, b"00x", tsize)], unixfs.encode_shard(b"\1", 24)),
        "no unixfs": pb.encode([Link(cid, b"x", tsize)], b"junk"),
        "no data": b"\x12\x26\x0a\x24" + cids.to_key(cid),
        "child is no dag-pb": pb.encode([Link(add(blocks, b"\xff\xff"), b"", 0)], unixfs.encode_file([3])),
    }
    return blocks, add(blocks, bad[kind])


@pytest.mark.parametrize(
    "kind",
    ["sizes do not match links", "wrong total", "child has another size", "directory inside a file", "named part",
     "symlink with links", "huge fanout", "odd fanout", "no unixfs", "no data", "child is no dag-pb"],
)  # fmt: skip
def test_malformed_dag_is_refused(kind: str) -> None:
    blocks, root = lying(kind)
    with pytest.raises(DagError):
        run(enumerate_dag(root, strict=True), blocks.get)


def test_parent_that_passes_a_node_off_as_a_leaf_is_found_out_when_strict() -> None:
    blocks: Blocks = {}
    inner, _, size = file_node(blocks, [leaf(blocks, content("lie", 100)), leaf(blocks, b"y")])
    root, _, _ = file_node(blocks, [(inner, size + 14, size)], version=0)
    assert len(run(enumerate_dag(root), blocks.get).leaves) == 1
    assert len(run(enumerate_dag(root, strict=True), blocks.get).leaves) == 2


def test_strict_walk_needs_every_node() -> None:
    blocks: Blocks = {}
    built = build_file(blocks, content("s", 600), TINY_V0)
    dag = run(enumerate_dag(built.cid), blocks.get)
    del blocks[dag.leaves[3]]
    with pytest.raises(MissingBlockError):
        run(enumerate_dag(built.cid, strict=True), blocks.get)


# --- streams of interior nodes --------------------------------------------------------------------------------------


def interior_of(profile: Profile) -> tuple[bytes, Dag, Blocks]:
    blocks: Blocks = {}
    built = build_tree(blocks, TREE, profile)
    return built.cid, run(enumerate_dag(built.cid), blocks.get), blocks


@pytest.mark.parametrize("profile", [V1_2025, V0_2015, TINY, TINY_V0], ids=lambda profile: profile.name)
def test_interior_stream_in_its_order_is_accepted(profile: Profile) -> None:
    root, dag, blocks = interior_of(profile)
    verifier = InteriorVerifier(root, len(dag.interior))
    for key in dag.interior:
        verifier.add(Block(key, blocks[key]))
    assert (verifier.count, verifier.size_bytes) == (len(dag.interior), dag.interior_bytes)


@pytest.mark.parametrize(
    "fault", ["wrong bytes", "unlinked", "leaf", "twice", "out of order", "too many", "not the root first"]
)
def test_interior_stream_with_a_fault_is_refused(fault: str) -> None:
    root, dag, blocks = interior_of(TINY)
    stream = [Block(key, blocks[key]) for key in dag.interior]
    count = len(stream)
    if fault == "wrong bytes":
        stream[2] = Block(stream[2].key, stream[2].data + b"\0")
    elif fault == "unlinked":
        alien: Blocks = {}
        file_node(alien, [leaf(alien, b"alien")])
        stream.insert(2, Block(*next((key, data) for key, data in alien.items() if cids.codec_of(key) == cids.DAG_PB)))
    elif fault == "leaf":
        key = next(key for key in dag.leaves if cids.codec_of(key) == cids.DAG_PB)
        stream[-1:] = [Block(key, blocks[key])]
    elif fault == "twice":
        stream.insert(3, stream[1])
    elif fault == "out of order":
        stream[1], stream[-1] = stream[-1], stream[1]
    elif fault == "too many":
        count -= 1
    else:
        stream = stream[1:]
    verifier = InteriorVerifier(root, count)
    with pytest.raises(DagError):
        for block in stream:
            verifier.add(block)


def test_a_leaf_takes_forty_bytes_of_memory() -> None:
    blocks: Blocks = {}
    part = leaf(blocks, b"0123")
    node = file_node(blocks, [part] * 1000)
    root, _, _ = file_node(blocks, [node] * 100)
    dag = run(enumerate_dag(root), blocks.get)
    assert len(dag.leaves) == 100_000
    assert dag.leaves.memory_bytes <= 40 * 100_000 + 1000
    assert len(dag.interior) == 2
