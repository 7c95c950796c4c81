"""IPFS Trustless Gateway, the part that does no IO: what a request asks for, and the headers of its answer.

https://specs.ipfs.tech/http-gateways/trustless-gateway/ with IPIP-402 (CAR parameters), IPIP-412 (order, duplicates) and
IPIP-523 (`?format=` beats `Accept`). Shared by everything that serves blocks over HTTP. Which blocks go into a CAR says
carplan.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

from ralnode.dag import cid as cids
from ralnode.dag.errors import PathError
from ralnode.dag.path import split_path

RAW_TYPE: Final = "application/vnd.ipld.raw"
CAR_TYPE: Final = "application/vnd.ipld.car"
IMMUTABLE: Final = "public, max-age=29030400, immutable"
_CAR_FORMS: Final[Mapping[str, Sequence[str]]] = {
    "version": ("1",),
    "order": ("dfs", "unk"),
    "dups": ("y", "n"),
}
"""Version 1, depth first, is what we make; `unk` accepts any order."""


_Types: TypeAlias = Sequence[tuple[str, Mapping[str, str]]]
"""Media types with their parameters, best first."""


class Format(StrEnum):
    RAW = "raw"
    CAR = "car"


class Scope(StrEnum):
    """`dag-scope`: the last block of the path alone, the file or directory there, or everything below it."""

    BLOCK = "block"
    ENTITY = "entity"
    ALL = "all"


class ByteRange(NamedTuple):
    """`entity-bytes`: both ends count and may be negative (from the end); `last` None is `*`."""

    first: int
    last: int | None


class GatewayError(Exception):
    """To be answered with this HTTP status and reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class GatewayRequest:
    cid: bytes
    path: list[bytes]
    """Below the CID; never for a raw block."""
    format: Format
    scope: Scope = Scope.ALL
    range: ByteRange | None = None
    allows_duplicates: bool = False
    if_none_match: str = ""

    @property
    def key(self) -> bytes:
        return cids.to_key(self.cid)

    @property
    def etag(self) -> str:
        """Of a CAR weak: its blocks are determined, its bytes not for ever."""
        text = cids.to_text(self.cid)
        if self.format is Format.RAW:
            return f'"{text}.raw"'
        what = repr((self.path, self.scope.value, self.range, self.allows_duplicates))
        return f'W/"{text}.car.{hashlib.sha256(what.encode()).hexdigest()[:12]}"'

    @property
    def is_not_modified(self) -> bool:
        """Whether the client has it already: answer 304 with the same headers (RFC 9110 section 13.1.2)."""
        tags = {tag.strip().removeprefix("W/") for tag in self.if_none_match.split(",")}
        return "*" in tags or self.etag.removeprefix("W/") in tags

    def headers(self) -> dict[str, str]:
        """All of an answer but its length; under 1 KiB."""
        text = cids.to_text(self.cid)
        found = {
            "content-type": RAW_TYPE,
            "content-disposition": f'attachment; filename="{text}.{"bin" if self.format is Format.RAW else "car"}"',
            "etag": self.etag,
            "cache-control": IMMUTABLE,
            "vary": "Accept",
            "x-content-type-options": "nosniff",
        }
        if self.format is Format.CAR:
            duplicates = "y" if self.allows_duplicates else "n"
            found["content-type"] = f"{CAR_TYPE}; version=1; order=dfs; dups={duplicates}"
            found["accept-ranges"] = "none"
        return found


def parse_request(path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> GatewayRequest:
    """`path` and `query` are decoded, header names in lower case. Raises GatewayError 400 or 406."""
    cid, rest = _parse_path(path)
    format_, accepted = _choose_format(query, headers.get("accept", ""))
    if format_ is Format.RAW and rest:
        raise GatewayError(400, "a raw block is asked for by its CID alone, without a path")
    none_match = headers.get("if-none-match", "")
    if format_ is Format.RAW:
        return GatewayRequest(cid, rest, format_, if_none_match=none_match)
    _check_car_form(query, accepted)
    byte_range = _parse_range(query["entity-bytes"]) if "entity-bytes" in query else None
    scope = _parse_scope(query.get("dag-scope", "entity" if byte_range else "all"))
    duplicates = query.get("car-dups", accepted.get("dups", "n")) == "y"
    return GatewayRequest(cid, rest, format_, scope, byte_range, duplicates, none_match)


def _parse_path(path: str) -> tuple[bytes, list[bytes]]:
    namespace, _, rest = path.removeprefix("/").partition("/")
    if namespace != "ipfs":
        raise GatewayError(400, "a path begins with /ipfs/ and a CID")
    text, _, below = rest.partition("/")
    try:
        return cids.parse(text), split_path(below)
    except (ValueError, PathError) as error:
        raise GatewayError(400, f"the path cannot be read: {error}") from None


def _choose_format(query: Mapping[str, str], accept: str) -> tuple[Format, Mapping[str, str]]:
    """The format, and the parameters of the media type that asked for it."""
    wanted = query.get("format")
    types = _parse_accept(accept)
    if wanted is not None:
        if wanted not in (Format.RAW, Format.CAR):
            raise GatewayError(406, f"format {wanted[:40]!r} is not served here; raw and car are")
        return Format(wanted), _car_wish(types)
    for name, _ in types:
        if name in (RAW_TYPE, CAR_TYPE):
            return Format.RAW if name == RAW_TYPE else Format.CAR, _car_wish(types)
    if any(name.startswith("application/vnd.ip") for name, _ in types):
        raise GatewayError(406, f"only {RAW_TYPE} and {CAR_TYPE} are served here")
    raise GatewayError(400, f"say what you want: ?format=raw or ?format=car, or Accept: {RAW_TYPE} or {CAR_TYPE}")


def _car_wish(types: _Types) -> Mapping[str, str]:
    """The parameters of the first CAR that can be made as it is wanted; else of the first; else none."""
    wishes = [parameters for name, parameters in types if name == CAR_TYPE]
    return next((each for each in wishes if not any(_unmakeable(each, {}))), next(iter(wishes), {}))


def _parse_accept(accept: str) -> _Types:
    """(media type, parameters), best first; those with q=0 are left out."""
    found: list[tuple[float, str, dict[str, str]]] = []
    for part in accept.split(",")[:32]:
        name, *pairs = (piece.strip().lower() for piece in part.split(";"))
        parameters = {key.strip(): value.strip() for key, _, value in (pair.partition("=") for pair in pairs)}
        quality = _parse_quality(parameters.pop("q", "1"))
        if name and quality > 0:
            found.append((quality, name, parameters))
    return [(name, parameters) for _, name, parameters in sorted(found, key=lambda entry: -entry[0])]


def _parse_quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _check_car_form(query: Mapping[str, str], accepted: Mapping[str, str]) -> None:
    for name, value in _unmakeable(accepted, query):
        raise GatewayError(400, f"car-{name}={value[:20]} cannot be made; possible: {', '.join(_CAR_FORMS[name])}")


def _unmakeable(accepted: Mapping[str, str], query: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, values in _CAR_FORMS.items():
        value = query.get(f"car-{name}", accepted.get(name, values[0]))
        if value not in values:
            yield name, value


def _parse_scope(text: str) -> Scope:
    try:
        return Scope(text)
    except ValueError:
        raise GatewayError(400, f"dag-scope={text[:20]} is not one of block, entity, all") from None


def _parse_range(text: str) -> ByteRange:
    first, separator, last = text.partition(":")
    try:
        found = ByteRange(_parse_integer(first), None if last == "*" else _parse_integer(last))
    except ValueError:
        raise GatewayError(400, f"entity-bytes={text[:40]} is not FROM:TO or FROM:*") from None
    if not separator or (found.last is not None and (found.first < 0) == (found.last < 0) and found.last < found.first):
        raise GatewayError(400, f"entity-bytes={text[:40]} ends before it begins")
    return found


def _parse_integer(text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
        raise ValueError(text)
    return int(text)
