"""DAG-JSON documents: read a stranger's, write our own. https://ipld.io/specs/codecs/dag-json/spec/

Plain JSON is read here as well: then `{"/": …}` is a map like any other, and there are no links and no bytes.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from typing import Any, Final

from ralnode.dag import cid as cids
from ralnode.dag.errors import DagError
from ralnode.dag.ipld import INTEGER_MAX, VALUES_MAX, Budget, Link, Value, check_depth

_RESERVED: Final = "/"
_STRINGS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)


def decode(block: bytes, *, is_plain: bool = False) -> Value:
    """Raises DagError."""
    _check_size(block)
    try:
        found = json.loads(block.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_map)
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, DagError) else DagError(f"the document is no JSON: {error}") from None
    budget = Budget()
    budget.take(1)
    return _value(found, 0, budget, is_plain)


def encode(value: Value) -> bytes:
    """Without spaces, keys by their characters. Raises DagError for a map that would be read as a link."""
    plain = _to_json(value, 0)
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False).encode("utf-8")


def _value(value: Any, depth: int, budget: Budget, is_plain: bool) -> Value:
    check_depth(depth)
    if isinstance(value, dict):
        if not is_plain and set(value) == {_RESERVED}:
            return _special(value[_RESERVED])
        budget.take(2 * len(value))
        return {_text(key): _value(each, depth + 1, budget, is_plain) for key, each in value.items()}
    if isinstance(value, list):
        budget.take(len(value))
        return [_value(each, depth + 1, budget, is_plain) for each in value]
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise DagError("a number is too large")
    if type(value) is int and not -INTEGER_MAX - 1 <= value <= INTEGER_MAX:
        raise DagError("an integer has more than 64 bits")
    return value  # type: ignore[no-any-return]


def _special(value: Any) -> Value:
    """`{"/": "CID"}` is a link, `{"/": {"bytes": "…"}}` are bytes."""
    if isinstance(value, str):
        return Link(cids.parse(value))
    if isinstance(value, dict) and set(value) == {"bytes"} and isinstance(value["bytes"], str):
        text = value["bytes"]
        try:
            return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except (binascii.Error, ValueError) as error:
            raise DagError(f"bytes are not base64: {error}") from None
    raise DagError('"/" alone is a link or bytes')


def _check_size(block: bytes) -> None:
    """Before 2 MiB of brackets take 50 in memory: there are at most as many commas, and as many brackets, as values."""
    if len(block) > 2 * VALUES_MAX:
        rest = _STRINGS.sub(b"", block)
        if rest.count(b",") + rest.count(b"[") + rest.count(b"{") > 2 * VALUES_MAX:
            raise DagError(f"the document has more than {VALUES_MAX} values")


def _map(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise DagError("a key comes twice in one map")
    return found


def _text(value: str) -> str:
    r"""Half of a pair of surrogates can be written in JSON (`"\ud800"`) and is no text."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise DagError("a text is not Unicode") from None
    return value


def _refuse_constant(name: str) -> Any:
    raise DagError(f"{name} is no number")


def _to_json(value: Value, depth: int) -> Any:
    check_depth(depth)
    if isinstance(value, Link):
        return {_RESERVED: cids.to_text(value.cid)}
    if isinstance(value, bytes):
        return {_RESERVED: {"bytes": base64.b64encode(value).decode("ascii").rstrip("=")}}
    if isinstance(value, dict):
        if set(value) == {_RESERVED}:
            raise DagError('a map with "/" as its only key cannot be written in DAG-JSON')
        return {key: _to_json(each, depth + 1) for key, each in value.items()}
    return [_to_json(each, depth + 1) for each in value] if isinstance(value, list) else value
