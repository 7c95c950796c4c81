"""IPLD documents: what is read, what is refused, how a path goes through them; bounded whatever a stranger wrote."""

import json

import pytest

from ralnode.dag import cid as cids
from ralnode.dag import dagcbor, dagjson, document, pb
from ralnode.dag.errors import DagError, MissingBlockError, PathError
from ralnode.dag.ipld import DEPTH_MAX, VALUES_MAX, Link, Value
from ralnode.dag.path import next_link
from ralnode.dag.walk import run

LEAF = cids.make(cids.RAW, b"leaf")
OTHER = cids.make(cids.DAG_CBOR, b"\xa0")
DOCUMENT: Value = {
    "map": {"link": Link(LEAF), "ä/ö": Link(OTHER)},
    "list": [1, Link(OTHER)],
    "text": "no link",
    "": Link(LEAF),
}


def stored(codec: int, value: Value) -> tuple[bytes, dict[bytes, bytes]]:
    block = dagcbor.encode(value) if codec == cids.DAG_CBOR else dagjson.encode(value)
    key = cids.make(codec, block)
    return key, {key: block}


@pytest.mark.parametrize("codec", document.LINKED)
@pytest.mark.parametrize(("path", "target", "rest"), [
    (["map", "link"], LEAF, []),
    (["map", "link", "a", "b"], LEAF, ["a", "b"]),
    (["map", "ä/ö", "x"], OTHER, ["x"]),
    (["list", "1"], OTHER, []),
    (["", "list"], LEAF, ["list"]),
    (["map"], None, []),
    (["text"], None, []),
    (["list", "0"], None, []),
])  # fmt: skip
def test_a_path_leads_to_the_first_link(codec: int, path: list[str], target: bytes | None, rest: list[str]) -> None:
    root, blocks = stored(codec, DOCUMENT)
    found = run(next_link(root, [name.encode() for name in path]), blocks.get)
    assert found == (target, [name.encode() for name in rest])


@pytest.mark.parametrize("codec", document.LINKED)
@pytest.mark.parametrize("path", [
    [b"x"], [b"map", b"x"], [b"text", b"0"], [b"text", b"length"], [b"list", b"2"], [b"list", b"-1"], [b"list", b"+1"], [b"list", b" 1"],
    [b"list", b"1" * 5000], [b"list", "١".encode()], [b"map", b"\xff"], [b"list", b""], [b"map", b"__class__"],
])  # fmt: skip
def test_a_path_that_leads_nowhere_is_told(codec: int, path: list[bytes]) -> None:
    root, blocks = stored(codec, DOCUMENT)
    with pytest.raises(PathError, match="there is no"):
        run(next_link(root, path), blocks.get)


def test_a_document_that_is_nothing_but_a_link_takes_no_name() -> None:
    root, blocks = stored(cids.DAG_CBOR, Link(OTHER))
    assert run(next_link(root, [b"a"]), blocks.get) == (OTHER, [b"a"])


def test_a_folder_is_left_by_its_entry_which_need_not_be_at_hand() -> None:
    block = pb.encode([pb.Link(OTHER, b"name", 1)], b"\x08\x01")
    root = cids.make(cids.DAG_PB, block)
    assert run(next_link(root, [b"name", b"below"]), {root: block}.get) == (OTHER, [b"below"])


def test_a_document_that_is_not_at_hand_is_missed() -> None:
    with pytest.raises(MissingBlockError):
        run(next_link(OTHER, [b"a"]), lambda _any: None)


@pytest.mark.parametrize(("block", "why"), [
    (b"", "cut off"), (b"\xa1", "cut off"), (b"\x61", "cut off"), (b"\x19\x01", "cut off"), (b"\x00\x00", "behind"),
    (b"\xa1\x01\x02", "not text"), (b"\xa2\x61a\x01\x61a\x02", "twice"), (b"\x9f\xff", "left open"), (b"\x5f\x41a\xff", "left open"),
    (b"\xbf\xff", "left open"), (b"\x1c", "left open"), (b"\xff", "left open"), (b"\xf7", "has not"), (b"\xf8\x20", "has not"),
    (b"\xe0", "has not"), (b"\xf9\x7e\x00", "nan"), (b"\xfb\x7f\xf0" + bytes(6), "inf"), (b"\x61\xff", "UTF-8"), (b"\x63\xed\xa0\x80", "UTF-8"),
    (b"\xc0\x64date", "tag 0"), (b"\xc2\x49" + b"\xff" * 9, "tag 2"), (b"\xd8\x1c\x81\xd8\x1d\x00", "tag 28"), (b"\xd8\x23\x63(a*", "tag 35"),
    (b"\xd9\x01\x00\x81\x61a", "tag 256"), (b"\xd8\x2a\x41\x01", "not a CID"), (b"\xd8\x2a\x61x", "not a CID"), (b"\xd8\x2a\x40", "not a CID"),
    (b"\xd8\x2a\xd8\x2a\x40", "not a CID"), (b"\xd8\x2a\x58\x26\x00" + LEAF + b"x", "behind its CID"), (b"\xd8\x2a\x42\x00\x01", "cut off"),
    (b"\x81" * (DEPTH_MAX + 1) + b"\xf6", "levels deep"), (b"\x81" * 1_000_000, "levels deep"), (b"\x9b" + b"\xff" * 8, "values"),
    (b"\xbb\x80" + bytes(7), "values"), (b"\x9a" + VALUES_MAX.to_bytes(4, "big") + bytes(VALUES_MAX), "values"),
    (b"\x7b\x7f" + b"\xff" * 7 + b"x", "cut off"),
])  # fmt: skip
def test_dag_cbor_that_is_malformed_or_no_ipld_is_refused(block: bytes, why: str) -> None:
    with pytest.raises(DagError, match=why):
        dagcbor.decode(block)


@pytest.mark.parametrize(("block", "why"), [
    (b"", "JSON"), (b"{", "JSON"), (b"NaN", "no number"), (b"-Infinity", "no number"), (b"1e999", "too large"), (b"9" * 30, "64 bits"),
    (b"9" * 5000, "JSON"), (b"[" * 400_000, "JSON"), (b"[" * 1_000_000, "values"), (b"[" * 200 + b"]" * 200, "levels deep"), (b'{"a":1,"a":2}', "twice"),
    (b'{"/":"bafkqaaa","/":"bafkqaaa"}', "twice"), (b'{"/":1}', "alone"), (b'{"/":"nonsense"}', "not a CID"), (b'{"/":{"bytes":"!"}}', "base64"),
    (b'{"/":{"bytes":1}}', "alone"), (b'{"/":{"bytes":"","x":1}}', "alone"), (b'"\\ud800"', "Unicode"), (b'{"\\udfff":1}', "Unicode"),
    (b"\xff\xfe1\x00", "JSON"), (b'"\xc3"', "JSON"), (b"[" + b"1," * VALUES_MAX + b"1]", "values"), (b"1 2", "JSON"),
    (b"[" + b"[]," * (2 * VALUES_MAX) + b"1]", "values"), (b'["' + b"," * (3 * VALUES_MAX) + b'",', "JSON"),
    ('{"/":{"bytes":"ä"}}'.encode(), "base64"),
])  # fmt: skip
def test_dag_json_that_is_malformed_or_no_ipld_is_refused(block: bytes, why: str) -> None:
    with pytest.raises(DagError, match=why):
        dagjson.decode(block)


@pytest.mark.parametrize(
    "text", [",[{" * VALUES_MAX, '\\"' + '\\\\",[' * VALUES_MAX, '"' * VALUES_MAX + "\\" * VALUES_MAX]
)
def test_what_stands_in_a_text_is_not_taken_for_values(text: str) -> None:
    assert dagjson.decode(json.dumps([text, text[:5], 1]).encode()) == [text, text[:5], 1]


def test_in_plain_json_and_cbor_nothing_is_a_link() -> None:
    assert document.decode(cids.JSON, b'{"/":"bafkqaaa"}') == {"/": "bafkqaaa"}
    assert document.decode(cids.CBOR, b"\xa1\x61a\x01") == {"a": 1}
    with pytest.raises(DagError, match="none of a document"):
        document.decode(cids.RAW, b"{}")


def test_a_map_that_dag_json_would_read_as_a_link_is_not_written() -> None:
    with pytest.raises(DagError, match="only key"):
        dagjson.encode({"/": "bafkqaaa"})
    assert dagjson.decode(dagjson.encode({"/": "bafkqaaa", "a": 1})) == {"/": "bafkqaaa", "a": 1}


@pytest.mark.parametrize("inner", [Link(LEAF), b"bytes", {}, "text"])
def test_the_deepest_document_can_be_written_as_it_was_read(inner: Value) -> None:
    value = inner
    for _ in range(DEPTH_MAX):
        value = [value]
    assert dagcbor.decode(dagcbor.encode(value)) == value == dagjson.decode(dagjson.encode(value))
    with pytest.raises(DagError, match="levels deep"):
        dagcbor.encode([value])


def test_what_older_writers_made_is_read() -> None:
    assert dagcbor.decode(b"\xa2\x62bb\x18\x01\x61a\xf9\x3e\x00") == {"bb": 1, "a": 1.5}


def test_a_link_may_be_of_any_version() -> None:
    old = cids.make_v0(b"\x0a\x02\x08\x01")
    assert dagcbor.decode(b"\xd8\x2a\x58\x23\x00" + old) == Link(old)
    assert dagjson.decode(json.dumps({"/": cids.to_text(old)}).encode()) == Link(old)


def test_the_links_of_a_document_of_any_size_are_found() -> None:
    count = VALUES_MAX + 1
    block = b"\x82\x9a" + count.to_bytes(4, "big") + b"\x80" * count + b"\xd8\x2a\x58\x25\x00" + LEAF
    assert list(document.links(cids.DAG_CBOR, block)) == [LEAF]
    with pytest.raises(DagError, match="values"):
        dagcbor.decode(block)


@pytest.mark.parametrize(
    "block",
    [b"\x81" * (1 << 21), b"\x9b\x00\x00" + b"\xff" * 6, b"\xbb" + b"\xff" * 8 + bytes(1 << 20), bytes(9), b"\xf7"],
)
def test_a_scan_for_links_ends_with_the_block(block: bytes) -> None:
    with pytest.raises(DagError):
        list(dagcbor.links(block))
