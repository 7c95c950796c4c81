"""HTTP ranges (RFC 9110 section 14): which bytes are wanted, and an answer of bytes at hand cut to them. Opens nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from ralnode.dag.trustless import GatewayError
from ralnode_gateway_ipfs.answer import Answer
from ralnode_gateway_ipfs.asked import Asked

RANGES_MAX: Final = 16


class Span(NamedTuple):
    """Bytes `start` to `stop - 1`."""

    start: int
    stop: int

    def text(self, size_bytes: int) -> str:
        return f"bytes {self.start}-{self.stop - 1}/{size_bytes}"


class UnsatisfiableError(GatewayError):
    def __init__(self, size_bytes: int) -> None:
        super().__init__(416, f"the range lies outside of the {size_bytes} bytes")
        self.size_bytes = size_bytes


def wanted_spans(headers: Mapping[str, str], size_bytes: int, etag: str) -> list[Span]:
    """None: the whole. What is malformed, too many, or overlaps to more than the whole is ignored, as the RFC allows.
    Raises UnsatisfiableError."""
    value = headers.get("range", "")
    condition = headers.get("if-range")
    if not value.startswith("bytes=") or (condition is not None and condition != etag):
        return []
    parts = value.removeprefix("bytes=").split(",")
    if len(parts) > RANGES_MAX:
        return []
    try:
        spans = [_span(part.strip(), size_bytes) for part in parts]
    except ValueError:
        return []
    found = [span for span in spans if span.start < span.stop]
    if not found:
        raise UnsatisfiableError(size_bytes)
    return found if sum(span.stop - span.start for span in found) <= size_bytes else []


def ranged(asked: Asked, headers: Mapping[str, str], data: bytes) -> Answer:
    """Of bytes at hand, the first range asked for; the whole without one."""
    spans = wanted_spans(asked.headers, len(data), headers["etag"])
    if len(spans) != 1:
        return Answer(200, headers, data)
    span = spans[0]
    return Answer(206, {**headers, "content-range": span.text(len(data))}, data[span.start : span.stop])


def _span(text: str, size_bytes: int) -> Span:
    """Cut to the size; empty when it lies outside. Raises ValueError."""
    first, separator, last = text.partition("-")
    if not separator or not (first or last):
        raise ValueError(text)
    if not first:
        return Span(max(0, size_bytes - _number(last)), size_bytes)
    start = _number(first)
    stop = _number(last) + 1 if last else size_bytes
    if last and stop <= start:
        raise ValueError(text)
    return Span(start, min(stop, size_bytes))


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 20:
        raise ValueError(text)
    return int(text)
