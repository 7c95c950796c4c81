"""IPLD documents from one codec into another: DAG-CBOR, DAG-JSON, dag-pb and raw as the IPLD data model has them. No IO.

https://ipld.io/specs/codecs/dag-json/spec/, https://ipld.io/specs/codecs/dag-cbor/spec/, and dag-pb's logical format.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import struct
from dataclasses import dataclass
from typing import Any, Final

import cbor2

from ralnode.dag import cid as cids
from ralnode.dag import pb
from ralnode.dag.errors import DagError

CBOR: Final = 0x71
JSON: Final = 0x0129
DEPTH_MAX: Final = 128
"""Deep enough for people, and far from Python's own bound."""
_LINK_TAG: Final = 42
_INTEGER_MAX: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Link:
    cid: bytes


def convert(codec: int, block: bytes, target: int) -> bytes:
    """The block in DAG-CBOR or DAG-JSON. Raises DagError when it is malformed, or has another codec than these."""
    value = _decode(codec, block)
    if target == CBOR:
        return _to_cbor(value, 0)
    return json.dumps(
        _to_json(value, 0), ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False
    ).encode("utf-8", "surrogatepass")


def _decode(codec: int, block: bytes) -> Any:
    if codec == cids.RAW:
        return block
    if codec == cids.DAG_PB:
        node = pb.decode(block)
        links = [{"Hash": Link(x.cid), "Name": x.name.decode("utf-8", "replace"), "Tsize": x.tsize} for x in node.links]
        return {"Data": node.data, "Links": links}
    try:
        if codec == CBOR:
            return _of_cbor(cbor2.loads(block), 0)
        if codec == JSON:
            return _of_json(json.loads(block, parse_constant=_refuse_constant), 0)
    except (cbor2.CBORDecodeError, ValueError, RecursionError, OverflowError, ArithmeticError) as error:
        raise DagError(f"the document is malformed: {error}") from None
    raise DagError(f"codec {codec:#x} cannot be converted")


def _of_cbor(value: Any, depth: int) -> Any:
    """What cbor2 made of tags that IPLD has not (dates, sets, shared values) is refused."""
    _check(depth)
    if isinstance(value, cbor2.CBORTag) and value.tag == _LINK_TAG:
        if not isinstance(value.value, bytes) or not value.value.startswith(b"\0"):
            raise DagError("a link is not a CID")
        return Link(_whole_cid(value.value[1:]))
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise DagError("a key of a map is not text")
        return {key: _of_cbor(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list):
        return [_of_cbor(each, depth + 1) for each in value]
    return _plain(value)


def _of_json(value: Any, depth: int) -> Any:
    _check(depth)
    if isinstance(value, dict):
        if set(value) == {"/"}:
            return _special(value["/"])
        return {key: _of_json(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list):
        return [_of_json(each, depth + 1) for each in value]
    return _plain(value)


def _special(value: Any) -> Any:
    """`{"/": "CID"}` is a link, `{"/": {"bytes": "…"}}` are bytes."""
    if isinstance(value, str):
        return Link(cids.parse(value))
    if isinstance(value, dict) and set(value) == {"bytes"} and isinstance(value["bytes"], str):
        text = value["bytes"]
        try:
            return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except binascii.Error as error:
            raise DagError(f"bytes are not base64: {error}") from None
    raise DagError('"/" alone is a link or bytes')


def _plain(value: Any) -> Any:
    is_number = type(value) is int and -_INTEGER_MAX - 1 <= value <= _INTEGER_MAX
    if value is None or isinstance(value, bool | str | bytes) or is_number:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise DagError("a value is of a kind that IPLD has not")


def _to_json(value: Any, depth: int) -> Any:
    _check(depth)
    if isinstance(value, Link):
        return {"/": cids.to_text(value.cid)}
    if isinstance(value, bytes):
        return {"/": {"bytes": base64.b64encode(value).decode("ascii").rstrip("=")}}
    if isinstance(value, dict):
        return {key: _to_json(each, depth + 1) for key, each in value.items()}
    return [_to_json(each, depth + 1) for each in value] if isinstance(value, list) else value


def _to_cbor(value: Any, depth: int) -> bytes:
    """Shortest heads, floats of 64 bits, keys by length and then by bytes."""
    _check(depth)
    if isinstance(value, bool) or value is None:
        return {False: b"\xf4", True: b"\xf5", None: b"\xf6"}[value]
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogatepass")
        return _head(3, len(data)) + data
    if isinstance(value, list):
        return _head(4, len(value)) + b"".join(_to_cbor(each, depth + 1) for each in value)
    if isinstance(value, Link):
        return _head(6, _LINK_TAG) + _to_cbor(b"\0" + value.cid, depth + 1)
    pairs = sorted(((_to_cbor(k, depth + 1), each) for k, each in value.items()), key=lambda p: (len(p[0]), p[0]))
    return _head(5, len(pairs)) + b"".join(key + _to_cbor(each, depth + 1) for key, each in pairs)


def _head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes((major << 5 | number,))
    width = next(width for width in (1, 2, 4, 8) if number < 1 << 8 * width)
    return bytes((major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[width],)) + number.to_bytes(width, "big")


def _whole_cid(data: bytes) -> bytes:
    cid, end = cids.read(data)
    if end != len(data):
        raise DagError("a link has bytes behind its CID")
    return cid


def _check(depth: int) -> None:
    if depth > DEPTH_MAX:
        raise DagError(f"the document is more than {DEPTH_MAX} levels deep")


def _refuse_constant(name: str) -> Any:
    raise DagError(f"{name} is no number")
