"""IPLD documents from one codec into another: DAG-CBOR, DAG-JSON, and dag-pb and raw as the IPLD data model has them. No IO.

What they are made of and how they are read says ralnode.dag; dag-pb's logical format, https://ipld.io/specs/codecs/dag-pb/spec/.
"""

from __future__ import annotations

from ralnode.dag import cid as cids
from ralnode.dag import dagcbor, dagjson, document, pb
from ralnode.dag.errors import DagError
from ralnode.dag.ipld import Link, Value


def convert(codec: int, block: bytes, target: int) -> bytes:
    """The block in DAG-CBOR or DAG-JSON. Raises DagError when it is malformed, or has another codec than these."""
    value = _decode(codec, block)
    return dagcbor.encode(value) if target == cids.DAG_CBOR else dagjson.encode(value)


def _decode(codec: int, block: bytes) -> Value:
    if codec == cids.RAW:
        return block
    if codec == cids.DAG_PB:
        return _logical(pb.decode(block))
    if codec not in document.LINKED:
        raise DagError(f"codec {codec:#x} cannot be converted")
    return document.decode(codec, block)


def _logical(node: pb.Node) -> Value:
    links: list[Value] = [
        {"Hash": Link(link.cid), "Name": link.name.decode("utf-8", "replace"), "Tsize": link.tsize}
        for link in node.links
    ]
    return {"Data": node.data, "Links": links}
