from __future__ import annotations

import cbor2
import pytest

from ralnode.dag import carplan, pb
from ralnode.dag import cid as cids
from ralnode.dag.carplan import Emit, plan_car
from ralnode.dag.errors import DagError, MissingBlockError
from ralnode.dag.profile import Profile
from ralnode.dag.trustless import ByteRange, Format, GatewayRequest, Scope
from ralnode.testing.content import Blocks, build_file, build_tree, content

SMALL = Profile("small", chunk_bytes=1000, max_links=3)
SMALL_V0 = Profile("small-v0", chunk_bytes=1000, max_links=3, raw_leaves=False, cid_version=0)
SHARDED = Profile("sharded", chunk_bytes=1000, max_links=3, hamt_threshold_bytes=0, hamt_fanout=8)


def plan(blocks: Blocks, root: bytes, path: str = "", **options: object) -> list[bytes]:
    """CIDs in the order in which they are emitted; every block must fit its CID."""
    names = [name.encode() for name in path.split("/") if name]
    walk = plan_car(GatewayRequest(root, names, Format.CAR, **options))  # type: ignore[arg-type]
    found: list[bytes] = []
    answer: list[bytes | None] = []
    try:
        step = next(walk)
        while True:
            if isinstance(step, Emit):
                found += [block.key for block in step.blocks]
                assert all(cids.verify(cids.to_key(cid), data) for cid, data in step.blocks)
                answer = []
            else:
                answer = [blocks.get(key) for key in step.keys]
            step = walk.send(answer)
    except StopIteration:
        return found


def depth_first(blocks: Blocks, root: bytes) -> list[bytes]:
    """The plain definition, with repeats."""
    below = pb.decode(blocks[cids.to_key(root)]).links if cids.codec_of(root) == cids.DAG_PB else []
    return [root, *(cid for link in below for cid in depth_first(blocks, link.cid))]


@pytest.mark.parametrize("profile", [SMALL, SMALL_V0, SHARDED], ids=lambda profile: profile.name)
def test_everything_comes_depth_first_with_the_cids_that_link_to_it(profile: Profile) -> None:
    blocks: Blocks = {}
    tree = {"a": content("a", 9500), "d/b": content("b", 100), "d/c": None, "link@": b"a", "z": b""}
    root = build_tree(blocks, tree, profile).cid
    assert plan(blocks, root) == list(dict.fromkeys(depth_first(blocks, root)))


def test_repeats_come_once_or_as_often_as_they_are_linked() -> None:
    blocks: Blocks = {}
    root = build_file(blocks, bytes(9000), SMALL).cid
    expected = depth_first(blocks, root)
    assert len(expected) > len(set(expected))
    assert plan(blocks, root) == list(dict.fromkeys(expected))
    assert plan(blocks, root, allows_duplicates=True) == expected


def test_the_block_scope_is_the_end_of_the_path_and_what_proves_it() -> None:
    blocks: Blocks = {}
    root = build_tree(blocks, {"d/e/f": content("f", 5000)}, SMALL).cid
    found = plan(blocks, root, "d/e/f", scope=Scope.BLOCK)
    assert len(found) == 4
    assert found[0] == root
    assert plan(blocks, root, "d/e/f", scope=Scope.ALL)[:4] == found


def test_a_path_through_a_sharded_directory_brings_its_shards() -> None:
    blocks: Blocks = {}
    root = build_tree(blocks, {f"file {number}": b"%d" % number for number in range(200)}, SHARDED).cid
    found = plan(blocks, root, "file 77", scope=Scope.ENTITY)
    assert blocks[cids.to_key(found[-1])] == b"77"
    assert 3 <= len(found) <= 6


@pytest.mark.parametrize("path", ["nobody", "d/nobody", "f/below a file", "link/below a link"])
@pytest.mark.parametrize("profile", [SMALL, SHARDED], ids=lambda profile: profile.name)
def test_a_path_that_does_not_exist_ends_after_the_proof(path: str, profile: Profile) -> None:
    blocks: Blocks = {}
    root = build_tree(blocks, {"f": b"file", "d/g": b"", "link@": b"f"}, profile).cid
    found = plan(blocks, root, path)
    assert found[0] == root
    assert len(found) < len(blocks)


def test_the_entity_of_a_directory_is_its_own_blocks_and_of_a_file_all_of_it() -> None:
    blocks: Blocks = {}
    tree = {f"file {number}": content(str(number), 3000) for number in range(60)}
    plain = build_tree(blocks, tree, SMALL).cid
    assert plan(blocks, plain, scope=Scope.ENTITY) == [plain]
    sharded = build_tree(blocks, tree, SHARDED).cid
    shards = plan(blocks, sharded, scope=Scope.ENTITY)
    assert len(shards) > 9
    assert all(cids.codec_of(cid) == cids.DAG_PB for cid in shards)
    file = build_file(blocks, tree["file 5"], SMALL).cid
    assert plan(blocks, plain, "file 5", scope=Scope.ENTITY) == [plain, *depth_first(blocks, file)]


@pytest.mark.parametrize(
    ("first", "last", "leaves"),
    [
        (0, None, range(10)),
        (0, 0, [0]),
        (999, 1000, [0, 1]),
        (1000, 1999, [1]),
        (2500, -2501, range(2, 7)),
        (-1, None, [9]),
        (-1500, -1, [8, 9]),
        (-99999, 0, [0]),
        (9499, 99999, [9]),
        (9500, None, []),
        (20000, 30000, []),
    ],
)
def test_a_byte_range_brings_the_leaves_that_it_touches(first: int, last: int | None, leaves: list[int]) -> None:
    blocks: Blocks = {}
    data = content("range", 9500)
    root = build_file(blocks, data, SMALL).cid
    found = plan(blocks, root, scope=Scope.ENTITY, range=ByteRange(first, last))
    raw = [cids.make(cids.RAW, data[index * 1000 : index * 1000 + 1000]) for index in leaves]
    assert [cid for cid in found if cids.codec_of(cid) == cids.RAW] == raw
    assert found == [cid for cid in depth_first(blocks, root) if cid in found]


def test_a_byte_range_of_something_that_is_no_file_is_its_block() -> None:
    blocks: Blocks = {}
    root = build_tree(blocks, {"f": b"file"}, SMALL).cid
    assert plan(blocks, root, scope=Scope.ENTITY, range=ByteRange(0, 5)) == [root]


def test_a_missing_block_ends_the_walk_with_an_error() -> None:
    blocks: Blocks = {}
    root = build_file(blocks, content("missing", 9500), SMALL).cid
    for gone in set(depth_first(blocks, root)):
        with pytest.raises(MissingBlockError):
            plan({key: data for key, data in blocks.items() if key != gone}, root)


def test_the_probe_is_a_car_without_blocks() -> None:
    assert plan({}, cids.parse("bafkqaaa")) == []


def test_links_of_dag_cbor_are_followed_and_other_codecs_are_not_guessed() -> None:
    blocks: Blocks = {}
    leaf = build_file(blocks, b"leaf", SMALL).cid
    data = cbor2.dumps({"a": [cbor2.CBORTag(42, b"\0" + leaf)], "b": 1})
    root = cids.make(cids.DAG_CBOR, data)
    assert plan(blocks | {root: data}, root) == [root, leaf]
    text = f'{{"z":{{"/":"{cids.to_text(leaf)}"}},"a":1}}'.encode()
    listed = cids.make(cids.DAG_JSON, text)
    assert plan(blocks | {listed: text}, listed) == [listed, leaf]
    other = cids.make(0x78, b"{}")
    with pytest.raises(DagError, match="not known"):
        plan({other: b"{}"}, other)
    broken = cids.make(cids.DAG_CBOR, b"\xff")
    with pytest.raises(DagError, match="length is left open"):
        plan({broken: b"\xff"}, broken)


def test_memory_for_duplicates_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carplan, "DISTINCT_BLOCKS_MAX", 5)
    blocks: Blocks = {}
    root = build_file(blocks, content("many", 9500), SMALL).cid
    with pytest.raises(DagError, match="car-dups=y"):
        plan(blocks, root)
    assert len(plan(blocks, root, allows_duplicates=True)) == len(blocks)


def test_a_chain_that_is_too_deep_is_refused() -> None:
    blocks: Blocks = {}
    cid = build_file(blocks, b"end", SMALL).cid
    for _ in range(300):
        data = pb.encode([pb.Link(cid, b"x", 1)], b"\x08\x01")
        cid = cids.make(cids.DAG_PB, data)
        blocks[cid] = data
    with pytest.raises(DagError, match="deep"):
        plan(blocks, cid)
