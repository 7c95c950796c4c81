"""A pin as requests bring it and as answers tell it: strict in, complete out. No IO."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from ralnode.dag import cid as cids

NAME_CHARS_MAX: Final = 255
ORIGINS_MAX: Final = 20
ORIGIN_CHARS_MAX: Final = 512
META_MAX: Final = 1000
META_BYTES_MAX: Final = 16 * 1024


class RefusedRequestError(Exception):
    """`status` and the specification's `reason`; the text is for people."""

    def __init__(self, status: int, reason: str, details: str) -> None:
        super().__init__(details)
        self.status = status
        self.reason = reason


class State(StrEnum):
    """As in the specification."""

    QUEUED = "queued"
    PINNING = "pinning"
    PINNED = "pinned"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be pinned."""

    cid: str
    """As it was written in the request, so that it is found again by the same text."""
    root: bytes
    name: str
    origins: tuple[str, ...]
    meta: Mapping[str, str]

    @property
    def source_name(self) -> str:
        return self.name or self.cid


@dataclass(frozen=True, slots=True)
class Pin:
    """One line of the book."""

    request_id: str
    wish: Wish
    state: State
    created_ms: int
    client: str
    """The address that asked."""
    details: str
    is_ours: bool
    """Whether the source came by this pin: then it goes with it."""

    def answer(self, delegates: Sequence[str]) -> dict[str, Any]:
        """PinStatus."""
        pin = {
            "cid": self.wish.cid,
            "name": self.wish.name,
            "origins": list(self.wish.origins),
            "meta": dict(self.wish.meta),
        }
        info = {"status_details": self.details} if self.details else {}
        return {
            "requestid": self.request_id, "status": self.state.value, "created": timestamp(self.created_ms), "pin": pin,
            "delegates": list(delegates), "info": info,
        }  # fmt: skip


def read_wish(body: bytes) -> Wish:
    """From a request's body. Raises RefusedRequestError 400."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise _bad("the body is not JSON") from None
    if not isinstance(found, dict):
        raise _bad("the body is not a JSON object")
    text = found.get("cid")
    if not isinstance(text, str):
        raise _bad("`cid` is missing")
    return Wish(
        text, read_cid(text), _name(found.get("name")), _origins(found.get("origins")), read_meta(found.get("meta"))
    )


def read_cid(text: str) -> bytes:
    """Raises RefusedRequestError 400."""
    try:
        root = cids.parse(text)
    except ValueError as error:
        raise _bad(f"`cid` {text[:80]!r}: {error}") from None
    if cids.codec_of(root) not in (cids.RAW, cids.DAG_PB):
        raise _bad("only files and folders (UnixFS: raw or dag-pb) can be pinned here")
    return root


def read_meta(found: Any) -> Mapping[str, str]:
    """Raises RefusedRequestError 400."""
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise _bad("`meta` must be an object whose values are strings")
    if len(found) > META_MAX or len(json.dumps(found)) > META_BYTES_MAX:
        raise _bad(f"`meta` may have {META_MAX} entries and {META_BYTES_MAX} bytes")
    return found


def _name(found: Any) -> str:
    if found is None:
        return ""
    if not isinstance(found, str) or len(found) > NAME_CHARS_MAX or not (found.isprintable() or not found):
        raise _bad(f"`name` must be printable text of at most {NAME_CHARS_MAX} characters")
    return found


def _origins(found: Any) -> tuple[str, ...]:
    if found is None:
        return ()
    is_list = isinstance(found, list) and all(isinstance(each, str) for each in found)
    if not is_list or len(found) > ORIGINS_MAX or any(len(each) > ORIGIN_CHARS_MAX for each in found):
        raise _bad(f"`origins` must be a list of at most {ORIGINS_MAX} multiaddrs")
    return tuple(dict.fromkeys(found))


def timestamp(unix_ms: int) -> str:
    """RFC 3339 with milliseconds, UTC."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_timestamp(text: str, name: str) -> int:
    """Unix milliseconds. Raises RefusedRequestError 400."""
    try:
        found = datetime.fromisoformat(text.replace(" ", "+"))  # a plus that was not escaped in the query
    except ValueError:
        raise _bad(f"`{name}` is no RFC 3339 time: {text[:40]!r}") from None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


def _bad(details: str) -> RefusedRequestError:
    return RefusedRequestError(400, "BAD_REQUEST", details)
