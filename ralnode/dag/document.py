"""Blocks that are documents, not files: read by their codec, their links, and the way of a path through them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from ralnode.dag import cid as cids
from ralnode.dag import dagcbor, dagjson
from ralnode.dag.errors import DagError, PathError
from ralnode.dag.ipld import Link, Value

LINKED: Final = (cids.DAG_CBOR, cids.DAG_JSON)
"""Codecs whose documents can link, so that paths lead through them."""
_INDEX_CHARS_MAX: Final = 9


def decode(codec: int, block: bytes) -> Value:
    """Of DAG-CBOR, DAG-JSON, or plain CBOR and JSON as far as they have nothing that IPLD has not. Raises DagError."""
    if codec in (cids.DAG_CBOR, cids.CBOR):
        return dagcbor.decode(block)
    if codec in (cids.DAG_JSON, cids.JSON):
        return dagjson.decode(block, is_plain=codec == cids.JSON)
    raise DagError(f"codec {codec:#x} is none of a document")


def links(codec: int, block: bytes) -> Iterator[bytes]:
    """CIDs in the order in which they stand there, repeats as well; `codec` is one of LINKED. Raises DagError."""
    if codec == cids.DAG_CBOR:
        return dagcbor.links(block)
    return _links(decode(codec, block))


def enter(value: Value, names: deque[bytes]) -> bytes | None:
    """The first link on the path, or None when the path ends inside of the document. Takes the names that led there.
    Raises PathError."""
    while not isinstance(value, Link):
        if not names:
            return None
        value = _child(value, names[0].decode("utf-8", "surrogateescape"))
        names.popleft()
    return value.cid


def _child(value: Value, name: str) -> Value:
    if isinstance(value, dict) and name in value:
        return value[name]
    if isinstance(value, list) and _is_index(name) and int(name) < len(value):
        return value[int(name)]
    raise PathError(f"there is no {name.encode('utf-8', 'replace').decode()!r} in the document")


def _is_index(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) <= _INDEX_CHARS_MAX


def _links(value: Value) -> Iterator[bytes]:
    if isinstance(value, Link):
        yield value.cid
    elif isinstance(value, dict):
        for each in value.values():
            yield from _links(each)
    elif isinstance(value, list):
        for each in value:
            yield from _links(each)
