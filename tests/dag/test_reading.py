"""Resolving paths, listing directories, reading ranges of files."""

from __future__ import annotations

import random

import pytest

from ralnode.dag import cid as cids
from ralnode.dag import hamt, pb, unixfs
from ralnode.dag.errors import DagError, MissingBlockError, PathError
from ralnode.dag.filerange import Pieces, read_range
from ralnode.dag.listing import Entries, Entry, list_directory
from ralnode.dag.node import leaf_content, open_node
from ralnode.dag.path import Resolved, read_node, resolve, split_path
from ralnode.dag.pb import Link
from ralnode.dag.profile import V0_2015, V1_2025, Profile
from ralnode.dag.unixfs import Kind
from ralnode.dag.walk import Need, run
from ralnode.testing.content import Blocks, build_file, build_tree, content

TINY = Profile("tiny", chunk_bytes=7, max_links=3, hamt_fanout=16, hamt_threshold_bytes=100)
TINY_V0 = Profile(
    "tiny0", chunk_bytes=64, max_links=3, raw_leaves=False, cid_version=0, hamt_fanout=16, hamt_threshold_bytes=100
)
PROFILES = [V1_2025, V0_2015, TINY, TINY_V0]
TREE = {
    "a/b/c": b"deep",
    "a/link@": b"b/c",
    "many": None,
    "ä/中 .txt": b"unicode",
    **{f"many/{n}": b"%d" % n for n in range(500)},
}


def find(blocks: Blocks, root: bytes, path: str) -> Resolved:
    return run(resolve(root, split_path(path)), blocks.get)


def listed(blocks: Blocks, found: Resolved) -> list[Entry]:
    walk, answer, entries = list_directory(found.node), None, []
    try:
        item = next(walk)
        while True:
            answer = [blocks.get(key) for key in item.keys] if isinstance(item, Need) else []
            entries += item.entries if isinstance(item, Entries) else []
            item = walk.send(answer)
    except StopIteration:
        return entries


def read(blocks: Blocks, found: Resolved, offset: int, length: int, asked: list[bytes] | None = None) -> bytes:
    walk, out = read_range(found.cid, found.node, offset, length), b""
    try:
        item = next(walk)
        while True:
            if isinstance(item, Pieces):
                for piece in item.pieces:
                    whole = piece.data if piece.key is None else leaf_content(piece.key, blocks[piece.key])
                    assert len(whole) == piece.content_bytes
                    out += whole[piece.start : piece.stop]
                item = walk.send([])
            else:
                if asked is not None:
                    asked += item.keys
                item = walk.send([blocks.get(key) for key in item.keys])
    except StopIteration:
        return out


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_path_leads_to_what_was_put_there(profile: Profile) -> None:
    blocks: Blocks = {}
    root = build_tree(blocks, TREE, profile).cid
    for path, data in TREE.items():
        found = find(blocks, root, path.removesuffix("@"))
        if data is None:
            assert found.node.kind in (Kind.DIRECTORY, Kind.SHARD)
        elif path.endswith("@"):
            assert (found.node.kind, found.node.data) == (Kind.SYMLINK, data)
        else:
            assert read(blocks, found, 0, 99) == data


@pytest.mark.parametrize("path", ["b", "a/b/d", "a/b/c/d", "a/link/c", "many/500", "many/x", "../a", "a/../../b"])
@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_path_to_nothing_is_an_error_that_names_it(profile: Profile, path: str) -> None:
    blocks: Blocks = {}
    root = build_tree(blocks, TREE, profile).cid
    with pytest.raises(PathError):
        find(blocks, root, path)


def test_dots_and_empty_parts_of_a_path_fall_away() -> None:
    assert split_path("/a/./b//c/../d/") == [b"a", b"b", b"d"]
    assert split_path("") == []


def test_text_that_is_no_name_is_refused() -> None:
    assert split_path("a\udcff") == [b"a\xff"]
    with pytest.raises(PathError, match="cannot be the name"):
        split_path("a/\ud800")


def test_name_is_found_where_the_specification_says() -> None:
    value = hamt.name_hash(b"470.txt")
    assert (hamt.slot(value, 0, 256), hamt.slot(value, 1, 256)) == (0x00, 0x6E)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_listing_has_every_entry_once(profile: Profile) -> None:
    blocks: Blocks = {}
    root = build_tree(blocks, TREE, profile).cid
    names = [entry.name for entry in listed(blocks, find(blocks, root, "many"))]
    assert sorted(names) == sorted(b"%d" % number for number in range(500))
    assert [entry.name for entry in listed(blocks, find(blocks, root, "a"))] == [b"b", b"link"]
    assert sorted(entry.name for entry in listed(blocks, find(blocks, root, ""))) == [b"a", b"many", "ä".encode()]


def test_listing_a_file_is_refused() -> None:
    blocks: Blocks = {}
    root = build_tree(blocks, TREE).cid
    with pytest.raises(PathError, match="no entries"):
        listed(blocks, find(blocks, root, "a/b/c"))


def test_listing_needs_every_shard() -> None:
    blocks: Blocks = {}
    root = build_tree(blocks, {f"{n}": b"x" for n in range(200)}, TINY).cid
    found = find(blocks, root, "")
    below = next(cids.to_key(link.cid) for link in found.node.links() if len(link.name) == 1)
    del blocks[below]
    with pytest.raises(MissingBlockError):
        listed(blocks, found)


def add(into: Blocks, block: bytes) -> bytes:
    cid = cids.make(cids.DAG_PB, block)
    into[cid] = block
    return cid


@pytest.mark.parametrize("fault", ["sub-shard is a file", "other fanout", "short name", "endless"])
def test_hostile_hamt_is_refused(fault: str) -> None:
    blocks: Blocks = {}
    leaf = add(blocks, pb.encode((), unixfs.encode_leaf(b"x")))
    if fault == "sub-shard is a file":
        root = add(blocks, pb.encode([Link(leaf, b"00", 9)], unixfs.encode_shard(b"\1", 256)))
    elif fault == "other fanout":
        inner = add(blocks, pb.encode([Link(leaf, b"0x", 9)], unixfs.encode_shard(b"\1", 16)))
        root = add(blocks, pb.encode([Link(inner, b"00", 9)], unixfs.encode_shard(b"\1", 256)))
    elif fault == "short name":
        root = add(blocks, pb.encode([Link(leaf, b"0", 9)], unixfs.encode_shard(b"\1", 256)))
    else:
        root = add(blocks, pb.encode([Link(leaf, b"00x", 9)], unixfs.encode_shard(b"\1", 256)))
        for _ in range(10):
            root = add(blocks, pb.encode([Link(root, b"00", 9)], unixfs.encode_shard(b"\1", 256)))
    with pytest.raises(DagError):
        listed(blocks, find(blocks, root, ""))


@pytest.mark.parametrize(
    "profile", [*PROFILES, Profile("wide", chunk_bytes=1, max_links=1000)], ids=lambda profile: profile.name
)
def test_every_range_gives_its_bytes(profile: Profile) -> None:
    blocks: Blocks = {}
    data = content("range", 2500)
    found = find(blocks, build_file(blocks, data, profile).cid, "")
    dice = random.Random(7)
    ranges = [(0, 2500), (0, 0), (2499, 1), (2500, 5), (3000, 1), (0, 10**18), (5, 10**18)]
    for offset, length in ranges + [(dice.randrange(2500), dice.randrange(2500)) for _ in range(60)]:
        assert read(blocks, found, offset, length) == data[offset : offset + length]


def test_small_range_asks_only_for_the_nodes_on_the_way() -> None:
    blocks: Blocks = {}
    found = find(blocks, build_file(blocks, content("way", 7 * 3**5), TINY).cid, "")
    asked: list[bytes] = []
    assert len(read(blocks, found, 800, 3, asked)) == 3
    assert len(asked) == 4


def test_empty_file_reads_as_nothing() -> None:
    for profile in PROFILES:
        blocks: Blocks = {}
        assert read(blocks, find(blocks, build_file(blocks, b"", profile).cid, ""), 0, 10) == b""


def test_content_inside_nodes_and_inside_cids_is_read() -> None:
    blocks: Blocks = {}
    inline = b"\x01\x55\x00\x04tail"
    part = add(blocks, pb.encode((), unixfs.encode_leaf(b"middle")))
    data = b"\x08\x02\x12\x04head\x18\x0e\x20\x06\x20\x04"
    root = add(blocks, pb.encode([Link(part, b"", 0), Link(inline, b"", 4)], data))
    found = find(blocks, root, "")
    for offset in range(15):
        for length in range(16):
            assert read(blocks, found, offset, length) == b"headmiddletail"[offset : offset + length]


def test_file_inside_a_cid_is_read() -> None:
    for cid in (b"\x01\x55\x00\x05hello", cids.parse("bafyaabakaieac")):
        found = find({}, cid, "")
        if found.node.is_file:
            assert read({}, found, 1, 3) == b"ell"
        else:
            assert listed({}, found) == []


def test_reading_a_directory_is_refused() -> None:
    blocks: Blocks = {}
    root = build_tree(blocks, TREE).cid
    with pytest.raises(PathError, match="no bytes"):
        read(blocks, find(blocks, root, ""), 0, 1)


def test_part_that_is_not_as_long_as_its_parent_says_is_refused() -> None:
    blocks: Blocks = {}
    part = add(blocks, pb.encode((), unixfs.encode_leaf(b"middle")))
    root = add(blocks, pb.encode([Link(part, b"", 0)], unixfs.encode_file([5])))
    with pytest.raises(DagError, match="parent says"):
        read(blocks, find(blocks, root, ""), 0, 5)


def test_leaf_content_refuses_what_is_no_leaf() -> None:
    blocks: Blocks = {}
    for cid in (build_file(blocks, content("l", 30), TINY).cid, build_tree(blocks, {}).cid):
        with pytest.raises(DagError, match="is none"):
            leaf_content(cid, blocks[cid])


def test_foreign_codec_is_no_node() -> None:
    with pytest.raises(DagError, match="not UnixFS"):
        open_node(cids.make(cids.DAG_CBOR, b"\xa0"), b"\xa0")
    with pytest.raises(MissingBlockError):
        run(read_node(cids.make(cids.RAW, b"")), {}.get)
