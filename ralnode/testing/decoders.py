"""What must hold of the decoders for any bytes whatever: for hypothesis in the check, and for a fuzzer on demand.

Each `check_…` takes bytes of a stranger and returns, or raises AssertionError (or what the decoder should not have raised).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from ralnode.api.limits import BLOCK_BYTES_MAX
from ralnode.dag import car, dagcbor, dagjson, pb, unixfs, varint
from ralnode.dag import cid as cids
from ralnode.dag.errors import DagError
from ralnode.dag.ipld import DEPTH_MAX, VALUES_MAX, Link, Value
from ralnode.dag.node import open_node
from ralnode.dag.path import next_link
from ralnode.dag.walk import Bounds, enumerate_dag, run

_WALK: Final = Bounds(2000, 500, revisit_count=500)


def check_varint(data: bytes) -> None:
    try:
        value, end = varint.decode(data, 0)
    except DagError:
        return
    assert 0 <= value < 1 << 64
    assert varint.decode(varint.encode(value), 0) == (value, varint.size(value))
    try:
        value, end = varint.decode_shortest(data, 0)
    except DagError:
        assert data[:end] != varint.encode(value)
        return
    assert data[:end] == varint.encode(value), "one number has one encoding"


def check_cid(data: bytes) -> None:
    """Binary, and the same bytes as text."""
    try:
        cid, end = cids.read(data)
    except DagError:
        cid, end = b"", 0
    if cid:
        assert (cid, end) == (data[:end], len(cid))
        key, text = cids.to_key(cid), cids.to_text(cid)
        assert cids.parse(text) == cid
        assert cids.to_key(key) == key
        assert cids.read(key) == (key, len(key))
        assert cids.verify(key, b"other bytes") in (True, False)
        inline = cids.identity_data(cid)
        assert inline is None or cids.verify(key, inline)
    try:
        found = cids.parse(data.decode("utf-8", "surrogateescape"))
    except ValueError:
        return
    assert cids.read(found) == (found, len(found))


def check_dag_pb(data: bytes) -> None:
    """Both readers of dag-pb agree."""
    packed, is_refused = None, False
    try:
        packed = pb.decode_packed(data)
    except DagError:
        is_refused = True
    try:
        node = pb.decode(data)
    except DagError:
        assert packed is None, "the fast reader takes what the strict one refuses"
        return
    assert not is_refused, "the fast reader refuses what the strict one takes"
    for link in node.links:
        assert cids.read(link.cid) == (link.cid, len(link.cid))
    assert pb.decode(pb.encode(node.links, node.data)) == node
    if packed is not None:
        assert [link.cid for link in node.links] == [
            packed.cids[start : start + packed.width] for start in range(0, len(packed.cids), packed.width)
        ]
        assert packed.tsizes.tolist() == [link.tsize for link in node.links]
        assert packed.data == node.data


def check_unixfs(data: bytes) -> None:
    """As a message, and as a block that a walk begins with and finds again at every link."""
    with contextlib.suppress(DagError):
        unixfs.decode(data)
    key = cids.make(cids.DAG_PB, data)
    try:
        node = open_node(key, data)
    except DagError:
        return
    assert len(node.blocksizes) == node.link_count or not node.is_file
    assert node.size_bytes >= 0
    try:
        dag = run(enumerate_dag(key, _WALK, strict=True), lambda _any: data)
    except DagError:
        return
    assert len(dag.leaves) <= _WALK.leaf_count


def check_car(data: bytes) -> None:
    """However the bytes are cut, the same blocks come out, or the same refusal; and all of them are what they claim to be."""
    whole, small = _read_car(iter([data])), _read_car(data[at : at + 7] for at in range(0, len(data), 7))
    assert whole == small
    for key, block in whole[0]:
        assert cids.verify(key, block)
        assert len(block) <= BLOCK_BYTES_MAX


def _read_car(pieces: Iterator[bytes]) -> tuple[list[tuple[bytes, bytes]], bool]:
    reader, found = car.CarReader(), list[tuple[bytes, bytes]]()
    try:
        for piece in pieces:
            found += reader.feed(piece)
        reader.finish()
    except DagError:
        return found, False
    return found, True


def check_dag_cbor(data: bytes) -> None:
    """What is read has one form to be written in; the links are those that a mere scan finds."""
    try:
        value = dagcbor.decode(data)
    except DagError:
        with contextlib.suppress(DagError):
            assert all(cids.read(cid) == (cid, len(cid)) for cid in dagcbor.links(data))
    else:
        _check_document(cids.DAG_CBOR, data, value)
        assert list(dagcbor.links(data)) == [link.cid for link in _values(value) if isinstance(link, Link)]


def check_dag_json(data: bytes) -> None:
    with contextlib.suppress(DagError):
        dagjson.decode(data, is_plain=True)
    with contextlib.suppress(DagError):
        _check_document(cids.DAG_JSON, data, dagjson.decode(data))


def _check_document(codec: int, data: bytes, value: Value) -> None:
    assert sum(1 for _ in _values(value)) <= VALUES_MAX
    written = dagcbor.encode(value)
    assert dagcbor.encode(dagcbor.decode(written)) == written
    with contextlib.suppress(DagError):
        assert dagcbor.encode(dagjson.decode(dagjson.encode(value))) == written
    for path, link in _places(value, []):
        names = [*path, b"beyond"]
        found = run(next_link(cids.make(codec, data), names), lambda _any: data)
        assert found == (link, [b"beyond"])
    if not isinstance(value, Link):
        with contextlib.suppress(DagError):
            run(next_link(cids.make(codec, data), [b"0", data[:20]]), lambda _any: data)


def _values(value: Value, depth: int = 0) -> Iterator[Value]:
    """With the keys, as the limits count them."""
    assert depth <= DEPTH_MAX
    yield value
    if isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from _values(each, depth + 1)
    elif isinstance(value, list):
        for each in value:
            yield from _values(each, depth + 1)


def _places(value: Value, path: list[bytes]) -> Iterator[tuple[list[bytes], bytes]]:
    """Where the links are."""
    if isinstance(value, Link):
        yield path, value.cid
    elif isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places(each, [*path, str(key).encode()])


CHECKS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "varint": check_varint,
    "cid": check_cid,
    "dag-pb": check_dag_pb,
    "unixfs": check_unixfs,
    "car": check_car,
    "dag-cbor": check_dag_cbor,
    "dag-json": check_dag_json,
}


def seeds() -> Mapping[str, list[bytes]]:
    """Well-formed input to begin with, for each of CHECKS."""
    leaf = cids.make(cids.RAW, b"leaf")
    old = cids.make_v0(b"\x0a\x02\x08\x01")
    sha512 = bytes((1, cids.RAW, 0x13, 64)) + bytes(64)
    identity = bytes((1, cids.RAW, 0, 5)) + b"hello"
    file = pb.encode([pb.Link(leaf, b"", 4), pb.Link(leaf, b"", 4)], b"\x08\x02\x18\x08\x20\x04\x20\x04")
    folder = pb.encode([pb.Link(leaf, b"a", 4), pb.Link(old, b"b", 44)], b"\x08\x01")
    shard = pb.encode([pb.Link(leaf, b"0Fname", 4)], b"\x08\x05\x12\x01\x80\x28\x22\x30\x10")
    blocks = [(leaf, b"leaf"), (cids.make(cids.DAG_PB, file), file), (cids.make(cids.DAG_PB, folder), folder)]
    v1 = car.encode_header([leaf, old]) + b"".join(car.encode_section(cid, data) for cid, data in blocks)
    v2 = bytes.fromhex("0aa16776657273696f6e02") + bytes(16)
    v2 += (51).to_bytes(8, "little") + len(v1).to_bytes(8, "little") + bytes(8) + v1 + b"index"
    nodes = [
        file,
        folder,
        shard,
        b"\x0a\x02\x08\x01",
        b"\x0a\x07\x08\x02\x12\x01x\x18\x01",
        b"\x0a\x06\x08\x04\x12\x02up",
    ]
    nested: Value = {"a": [Link(leaf), {"b": Link(old)}, b"bytes", "text", -1], "z": 1.5, "t": True, "n": None}
    documents: list[Value] = [nested, Link(leaf), [], {}, [[[1 << 40]]], {"/": {"bytes": "eA"}, "x": 1}]
    return {
        "varint": [varint.encode(number) for number in (0, 127, 128, 1 << 40, (1 << 63) - 1)],
        "cid": [leaf, old, sha512, identity, *(cids.to_text(c).encode() for c in (leaf, old, sha512, identity))],
        "dag-pb": nodes,
        "unixfs": nodes,
        "car": [v1, v2, car.encode_header([])],
        "dag-cbor": [dagcbor.encode(value) for value in documents],
        "dag-json": [dagjson.encode(value) for value in documents],
    }
