"""One authenticated connection of a peer: receives a request, has it answered, sends the answer, waits for the next.

Every phase has a deadline. While a request is being answered nothing more is accepted, so a peer that goes away or sends
too early ends the work for it at once.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast

from ralnode.api import Address, Identity, NodeId, PeerError, RalnodeError, UnavailableError
from ralnode_transport_http import bounds
from ralnode_transport_http.admission import Admission
from ralnode_transport_http.messages import Answer, Pieces, Request, Response, Stream, encode_head, refusal
from ralnode_transport_http.parser import BadRequestError, RequestParser, Stage
from ralnode_transport_http.sender import Sender
from ralnode_transport_http.traffic import Traffic


@dataclass(slots=True)
class House:
    """What all connections of a node share."""

    identity: Identity
    answer: Callable[[Request], Awaitable[Answer]]
    body_bytes_max: Callable[[str, str], int]
    admission: Admission
    traffic: Traffic
    log: logging.Logger
    stall_seconds: float
    connections: set[Connection] = field(default_factory=set)
    is_closing: bool = False
    """No new requests: the node stops."""


class Connection(asyncio.Protocol):
    def __init__(self, house: House) -> None:
        self._house = house
        self._parser = RequestParser(house.body_bytes_max)
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._admitted_bytes: int | None = None
        self._is_refused = False
        self._ahead = bytearray()
        """Of the next request: the peer has the whole answer a moment before this side has finished with it."""
        self._transport: asyncio.Transport
        self._sender: Sender
        self._peer: NodeId
        self._seen_at: Address

    # --- what asyncio calls -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._sender = Sender(self._transport, self._house.stall_seconds)
        self._seen_at = _address_of(transport)
        try:
            self._peer = _peer_of(transport, self._house.identity)
        except PeerError as error:
            self._house.log.warning("closed a connection from %s: %s", self._seen_at, error)
            self._transport.abort()
            return
        self._house.connections.add(self)
        self._expect_within(bounds.IDLE_SECONDS)

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        try:
            if self._task is None:
                self._feed(data)
            else:
                self._keep_ahead(data)
        except BadRequestError as refused:
            self._refuse(refused)

    def _feed(self, data: bytes) -> None:
        before = self._parser.stage
        self._parser.feed(data)
        if self._parser.stage is not before:
            self._advance(before)

    def _keep_ahead(self, data: bytes) -> None:
        if len(self._ahead) + len(data) > bounds.AHEAD_BYTES_MAX:
            raise BadRequestError(HTTPStatus.BAD_REQUEST, "one request at a time, please")
        self._ahead += data
        self._transport.pause_reading()

    def pause_writing(self) -> None:
        self._sender.pause()

    def resume_writing(self) -> None:
        self._sender.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        self._house.connections.discard(self)
        self._sender.lose()
        self._disarm()
        if self._task is not None:
            self._task.cancel()
        else:
            self._leave()

    # --- receiving --------------------------------------------------------------------------------------------------

    def _advance(self, before: Stage) -> None:
        stage = self._parser.stage
        if stage is Stage.HEAD:
            self._expect_within(bounds.HEAD_SECONDS)
            return
        if before is not Stage.BODY:
            self._enter()
        if stage is Stage.WHOLE:
            self._disarm()
            self._task = asyncio.get_running_loop().create_task(self._serve())
        else:
            self._expect_within(bounds.BODY_SECONDS + self._parser.body_bytes_max / bounds.BODY_BYTES_PER_SECOND_MIN)
            if self._parser.expects_continue:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _enter(self) -> None:
        refused = self._house.admission.enter(self._peer, self._parser.body_bytes_max)
        if refused is not None:
            raise BadRequestError(*refused)
        self._admitted_bytes = self._parser.body_bytes_max

    def _leave(self) -> None:
        if self._admitted_bytes is not None:
            self._house.admission.leave(self._peer, self._admitted_bytes)
            self._admitted_bytes = None

    def _refuse(self, refused: BadRequestError) -> None:
        """Says why, then closes. In the middle of an answer there is nothing to say it in."""
        self._is_refused = True
        self._house.log.info("refused a request from %s: %s", self._seen_at, refused.reason)
        if self._task is not None:
            self._transport.abort()
            return
        answer = refusal(refused.status, refused.reason)
        head = encode_head(answer.status, _with_length(answer), keep_alive=False)
        self._transport.write(head + answer.body)
        self._expect_within(bounds.LINGER_SECONDS)

    # --- answering --------------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        request = Request(
            self._peer,
            self._seen_at,
            self._parser.method,
            self._parser.target,
            self._parser.headers,
            bytes(self._parser.body),
        )
        self._house.traffic.add(self._peer, received_bytes=len(request.body))
        try:
            answer = await self._house.answer(request)
            await self._send(answer, is_head=request.method == "HEAD")
        except RalnodeError as error:  # of the stream: what was sent is good, the missing end tells that it is not all
            self._house.log.info("ended the answer to %s early: %s", self._seen_at, error)
            self._transport.close()
            self._expect_within(self._house.stall_seconds)
        except OSError as error:  # TimeoutError is one: the peer reads nothing
            self._house.log.info("gave up answering %s: %s", self._seen_at, error or type(error).__name__)
            self._transport.abort()
        except Exception:
            self._house.log.exception("cannot answer %s %s", request.method, request.target)
            self._transport.abort()
        finally:
            self._leave()
        self._begin_again()

    def _begin_again(self) -> None:
        self._task = None
        if self._transport.is_closing():
            return
        if not self._keep_alive:
            self._transport.close()
            self._expect_within(self._house.stall_seconds)
        else:
            self._parser.reset()
            self._expect_within(bounds.IDLE_SECONDS)
            if self._ahead:
                ahead, self._ahead = bytes(self._ahead), bytearray()
                self._transport.resume_reading()
                self.data_received(ahead)

    @property
    def _keep_alive(self) -> bool:
        return self._parser.keep_alive and not self._house.is_closing

    async def _send(self, answer: Answer, *, is_head: bool) -> None:
        if isinstance(answer, Stream):
            await self._send_stream(answer)
            return
        head = encode_head(
            answer.status, answer.headers if is_head else _with_length(answer), keep_alive=self._keep_alive
        )
        body = b"" if is_head else answer.body
        await self._sender.send([head, body])
        self._house.traffic.add(self._peer, sent_bytes=len(body))

    async def _send_stream(self, answer: Stream) -> None:
        async with aclosing(answer.pieces) as rest:
            headers = {**answer.headers, "transfer-encoding": "chunked"}
            await self._sender.send([encode_head(HTTPStatus.OK, headers, keep_alive=self._keep_alive)])
            await self._send_pieces(answer.first)
            async for pieces in rest:
                await self._send_pieces(pieces)
            await self._sender.send([b"0\r\n\r\n"])

    async def _send_pieces(self, pieces: Pieces) -> None:
        if self._house.is_closing:
            raise UnavailableError("this node stops")
        await self._sender.send_chunk(pieces)
        self._house.traffic.add(self._peer, sent_bytes=sum(map(len, pieces)))

    # --- ending -----------------------------------------------------------------------------------------------------

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The answering that goes on; None between requests."""
        return self._task

    def close(self) -> None:
        """Between requests only."""
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def _expect_within(self, seconds: float) -> None:
        self._disarm()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._transport.abort)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _with_length(answer: Response) -> dict[str, str]:
    return {**answer.headers, "content-length": str(len(answer.body))}


def _peer_of(transport: asyncio.BaseTransport, identity: Identity) -> NodeId:
    tls = transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert(True) if isinstance(tls, ssl.SSLObject) else None
    if not certificate:
        raise PeerError("it showed no certificate")
    return identity.node_of_certificate(certificate)


def _address_of(transport: asyncio.BaseTransport) -> Address:
    host, port = transport.get_extra_info("peername")[:2]
    return Address(host.removeprefix("::ffff:"), port)
