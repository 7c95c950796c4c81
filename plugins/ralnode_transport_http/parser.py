"""HTTP/1.1 requests from bytes, every length bounded before anything is kept. No IO: bytes in, one request at a time out."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from http import HTTPStatus
from typing import Final

import httptools

from ralnode_transport_http import bounds


class BadRequestError(Exception):
    """To be answered with `status` and `reason`; the connection ends."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Stage(Enum):
    EMPTY = auto()
    """Nothing of a request has come."""
    HEAD = auto()
    BODY = auto()
    """The headers are whole and allowed; the body is not whole."""
    WHOLE = auto()


_TOO_LONG: Final = BadRequestError(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    f"a head may have {bounds.HEAD_BYTES_MAX} bytes and {bounds.HEADERS_MAX} headers",
)


class RequestParser:
    """Feed it until `stage` is WHOLE, take the request, `reset`. `body_bytes_max(method, target)` is asked as soon as the
    headers are there; it may raise BadRequestError."""

    def __init__(self, body_bytes_max: Callable[[str, str], int]) -> None:
        self._ask_body_bytes_max = body_bytes_max
        self._parser = httptools.HttpRequestParser(self)
        self._refused: BadRequestError | None = None
        self.reset()

    def reset(self) -> None:
        self.stage = Stage.EMPTY
        self.method = ""
        self.target = ""
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.body_bytes_max = 0
        """How large this request's body may become: its declared length, else the bound of its endpoint."""
        self.keep_alive = True
        self._fed_bytes = 0
        self._head_bytes = 0
        self._header_count = 0

    @property
    def expects_continue(self) -> bool:
        return self.headers.get("expect", "").lower() == "100-continue"

    def feed(self, data: bytes) -> None:
        """Raises BadRequestError; the parser is of no use afterwards."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise self._refused or BadRequestError(HTTPStatus.NOT_IMPLEMENTED, "no protocol to upgrade to") from None
        except httptools.HttpParserError as error:
            raise self._refused or BadRequestError(HTTPStatus.BAD_REQUEST, f"this is not HTTP/1.1: {error}") from None
        self._fed_bytes += len(data)
        self._check_overhead()

    # What httptools calls. An exception raised here comes out of feed_data as HttpParserCallbackError.

    def on_message_begin(self) -> None:
        if self.stage is not Stage.EMPTY:
            self._refuse(BadRequestError(HTTPStatus.BAD_REQUEST, "one request at a time, please"))
        self.stage = Stage.HEAD

    def on_url(self, url: bytes) -> None:
        self._count_head(len(url))
        self.target += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_count += 1
        self._count_head(len(name) + len(value) + 4)
        if self._header_count > bounds.HEADERS_MAX:
            self._refuse(_TOO_LONG)
        if self.stage is Stage.HEAD:  # else it is a trailer, which may not change what was decided
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.method = self._parser.get_method().decode("ascii")
        self.keep_alive = self._parser.should_keep_alive()
        try:
            bound = self._ask_body_bytes_max(self.method, self.target)
        except BadRequestError as error:
            self._refuse(error)
        self.body_bytes_max = self._declared_bytes(bound)
        self.stage = Stage.BODY

    def on_body(self, part: bytes) -> None:
        if len(self.body) + len(part) > self.body_bytes_max:
            self._refuse(_too_large(self.body_bytes_max))
        self.body += part

    def on_message_complete(self) -> None:
        self.stage = Stage.WHOLE

    def _declared_bytes(self, bound: int) -> int:
        if "transfer-encoding" in self.headers:
            return bound
        declared = int(self.headers.get("content-length", "0"))  # the parser has checked that it is a number
        if declared > bound:
            self._refuse(_too_large(bound))
        return declared

    def _check_overhead(self) -> None:
        """Bounds what is neither body nor a finished header: half a header, chunk framing, trailers."""
        allowed = bounds.HEAD_BYTES_MAX
        if self.stage is not Stage.HEAD:
            allowed += self.body_bytes_max // 2 + bounds.FRAMING_BYTES_MAX
        if self._fed_bytes - len(self.body) > allowed:
            raise _TOO_LONG

    def _count_head(self, size_bytes: int) -> None:
        self._head_bytes += size_bytes
        if self._head_bytes > bounds.HEAD_BYTES_MAX:
            self._refuse(_TOO_LONG)

    def _refuse(self, refused: BadRequestError) -> None:
        self._refused = refused
        raise refused


def _too_large(bound: int) -> BadRequestError:
    return BadRequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body for this may have {bound} bytes")
