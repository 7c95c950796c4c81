"""A request, taken apart once: path, query, headers, and the form in which the content is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

from starlette.types import Scope

from ralnode.api.limits import DAG_DEPTH_MAX
from ralnode.dag import cid as cids
from ralnode.dag.errors import PathError
from ralnode.dag.path import split_path
from ralnode.dag.trustless import GatewayError

_QUERY_FIELDS_MAX: Final = 16
_LOCATION_CHARS_MAX: Final = 200
"""With a path of this length, too, all headers stay under 2 KiB."""


class Form(StrEnum):
    """What `?format=` calls it. FILE: the content itself, a directory as a page."""

    FILE = "file"
    RAW = "raw"
    CAR = "car"
    TAR = "tar"
    DAG_JSON = "dag-json"
    DAG_CBOR = "dag-cbor"
    JSON = "json"
    CBOR = "cbor"


TYPES: Final[Mapping[str, Form]] = {
    "application/vnd.ipld.raw": Form.RAW,
    "application/vnd.ipld.car": Form.CAR,
    "application/x-tar": Form.TAR,
    "application/vnd.ipld.dag-json": Form.DAG_JSON,
    "application/vnd.ipld.dag-cbor": Form.DAG_CBOR,
    "application/json": Form.JSON,
    "application/cbor": Form.CBOR,
}


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    path: str
    """Decoded, from `/ipfs/` on."""
    raw_query: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    root: bytes
    names: list[bytes]
    form: Form
    by_accept: bool

    @property
    def is_head(self) -> bool:
        return self.method == "HEAD"

    @property
    def only_cached(self) -> bool:
        return "only-if-cached" in self.headers.get("cache-control", "")

    @property
    def wants_page(self) -> bool:
        """Whether a person reads it: a browser says that it takes HTML."""
        is_explicit = "format" in self.query or self.query.get("download") == "true"
        return self.form is Form.FILE and not is_explicit and "text/html" in _accepted(self.headers.get("accept", ""))

    @property
    def takes_anything(self) -> bool:
        """If need be: what it wants most is not the only thing."""
        return self.by_accept and "*/*" in _accepted(self.headers.get("accept", ""))

    @property
    def has_any(self) -> bool:
        """`If-None-Match: *`: the client has it in one form or another, if there is such a thing at all."""
        return self.headers.get("if-none-match", "").strip() == "*"

    def has_tag(self, etag: str) -> bool:
        """Whether `If-None-Match` says that the client has it: answer 304 (RFC 9110 section 13.1.2)."""
        tags = {tag.strip().removeprefix("W/") for tag in self.headers.get("if-none-match", "").split(",")}
        return etag.removeprefix("W/") in tags

    def location(self, chosen: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
        """`Content-Location`, the URL that gives the same to everybody, where `Accept` has taken part in the choice; `chosen`:
        by it, besides the format. Nothing when it is long."""
        accept = self.headers.get("accept", "")
        wanted = {**self.query, "format": self.form.value, **chosen}
        if wanted == self.query and (
            not accept or all(TYPES.get(x, self.form) is self.form for x in _accepted(accept))
        ):
            return {}
        text = f"{escape_path(self.path)}?{urlencode(wanted, errors='replace')}"
        return {"content-location": text} if len(text) <= _LOCATION_CHARS_MAX else {}


def read_headers(scope: Scope) -> dict[str, str]:
    """Names in lower case; of a repeated one all values, joined as in a list."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def read_query(scope: Scope) -> dict[str, str]:
    """Raises GatewayError for one with too many fields."""
    try:
        return dict(
            parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=_QUERY_FIELDS_MAX)
        )
    except ValueError:
        raise GatewayError(400, f"more than {_QUERY_FIELDS_MAX} parameters") from None


def read_content_request(scope: Scope) -> Asked:
    """Of a path that begins with /ipfs/. Raises GatewayError 400 or 406."""
    path = unquote(scope["raw_path"].decode("latin-1").partition("?")[0], errors="surrogateescape")
    query, headers = read_query(scope), read_headers(scope)
    if scope["method"] == "HEAD":
        headers.pop("range", None)  # a range of it is not defined (RFC 9110 section 14.2)
    if headers.get("service-worker", "") == "script":
        raise GatewayError(400, "a service worker cannot be registered under /ipfs/: it would govern all content here")
    text, _, below = path.removeprefix("/ipfs/").partition("/")
    if "\0" in path or ".." in below.split("/"):
        raise GatewayError(400, "a path does not contain .. or NUL")
    try:
        root, names = cids.parse(text), split_path(below)
    except (ValueError, PathError) as error:
        raise GatewayError(400, f"the path cannot be read: {error}") from None
    if len(names) > DAG_DEPTH_MAX:
        raise GatewayError(400, f"a path of more than {DAG_DEPTH_MAX} parts")
    form, by_accept = choose_form(query, headers.get("accept", ""))
    return Asked(
        scope["method"], path, scope["query_string"].decode("latin-1"), query, headers, root, names, form, by_accept
    )


def choose_form(query: Mapping[str, str], accept: str) -> tuple[Form, bool]:
    """(form, whether `Accept` chose it). `?format=` goes first (IPIP-523). Raises GatewayError 406."""
    wanted = query.get("format")
    if wanted is not None:
        if wanted == Form.FILE or wanted not in set(Form):
            raise GatewayError(406, f"format {wanted[:40]!r} is not served here")
        return Form(wanted), False
    for name in _accepted(accept):
        if name in TYPES:
            return TYPES[name], True
        if name in ("text/html", "*/*", "text/*"):
            return Form.FILE, False
        if name.startswith("application/vnd.ip"):
            raise GatewayError(406, f"{name[:60]} is not served here")
    return Form.FILE, False


def prefers(accept: str, name: str, to: str) -> bool:
    """Between two media types, by the `Accept` header."""
    return next((found for found in _accepted(accept) if found in (name, to)), to) == name


def _accepted(accept: str) -> list[str]:
    """Media types, best first, without those that are not wanted."""
    found = []
    for part in accept.split(",")[:32]:
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            weight = float(quality)
        except ValueError:
            weight = 0.0
        if name and weight > 0:
            found.append((weight, name))
    return [name for _, name in sorted(found, key=lambda entry: -entry[0])]


def escape_path(path: str) -> str:
    """As it stands in a URL; safe in a header and in HTML, whatever the names are."""
    return quote(path.encode("utf-8", "surrogateescape"), safe="/!$&'()*+,;=:@-._~".replace("'", "").replace("&", ""))
