"""What the server's halves hand each other: a request that is whole, an answer that says everything. No IO."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, TypeAlias

from ralnode.api import Address, NodeId

Headers: TypeAlias = Mapping[str, str]
Pieces: TypeAlias = Sequence[bytes]
"""Bytes that are sent one after the other, without being copied together first."""

_TEXT: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    peer: NodeId
    seen_at: Address
    method: str
    target: str
    """As sent: path and query."""
    headers: Headers
    """Lower-case names; of a repeated header the last."""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """Sent at once, with its length."""

    status: int
    headers: Headers = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Stream:
    """Sent in chunks as they come; cut off without its end when `pieces` raises, so the reader notices."""

    headers: Headers
    first: Pieces
    """Already taken from `pieces`, so that what fails at the start is answered with a status."""
    pieces: AsyncGenerator[Pieces, None]


Answer: TypeAlias = Response | Stream


def refusal(status: int, reason: str) -> Response:
    """An answer that says in one line why not; 429 and 503 say when to try again."""
    headers = {"content-type": _TEXT}
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        headers["retry-after"] = "1"
    return Response(status, headers, reason.encode(errors="replace"))


def encode_head(status: int, headers: Headers, *, keep_alive: bool) -> bytes:
    """Status line and headers of an answer. Values are ours, so they hold no line breaks."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if not keep_alive:
        lines.append("connection: close")
    head = "\r\n".join(lines)
    assert head.count("\r\n") == len(lines) - 1
    return head.encode("latin-1") + b"\r\n\r\n"
