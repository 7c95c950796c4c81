"""Requests of peers -> answers of the node: which endpoint, which bound, which status. Opens no connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from ralnode.api import (
    Block,
    LocalError,
    NotFoundError,
    PeerError,
    PeerService,
    RalnodeError,
    RefusedError,
    UnavailableError,
    UsageError,
    limits,
)
from ralnode.dag import car
from ralnode.dag import cid as cids
from ralnode.dag.carplan import Emit, plan_car
from ralnode.dag.errors import DagError
from ralnode.dag.trustless import Format, GatewayError, GatewayRequest, parse_request
from ralnode_transport_http import bounds, wire
from ralnode_transport_http.messages import Answer, Pieces, Request, Response, Stream, refusal
from ralnode_transport_http.parser import BadRequestError

T = TypeVar("T")

_BODY_BYTES_MAX: Final[Mapping[str, int]] = {
    wire.BLOCKS_PATH: bounds.BLOCKS_BODY_BYTES_MAX,
    wire.SYNC_PATH: limits.SYNC_BYTES_MAX,
    wire.COMMAND_PATH: bounds.COMMAND_BODY_BYTES_MAX,
}
_STATUSES: Final[tuple[tuple[type[Exception], HTTPStatus], ...]] = (
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (PeerError, HTTPStatus.BAD_REQUEST),
    (UsageError, HTTPStatus.BAD_REQUEST),
    (RefusedError, HTTPStatus.FORBIDDEN),
    (UnavailableError, HTTPStatus.SERVICE_UNAVAILABLE),
    (LocalError, HTTPStatus.INTERNAL_SERVER_ERROR),
)
_CBOR: Final = {"content-type": "application/vnd.ipld.dag-cbor"}
_CAR: Final = {"content-type": "application/vnd.ipld.car; version=1"}


def body_bytes_max(method: str, target: str) -> int:
    """How large a body the endpoint takes. Raises BadRequestError when there is no such endpoint."""
    path = target.partition("?")[0]
    if path.startswith(wire.GATEWAY_PATH):
        if method in {"GET", "HEAD"}:
            return 0
        raise BadRequestError(HTTPStatus.METHOD_NOT_ALLOWED, "blocks are read with GET or HEAD")
    if path not in _BODY_BYTES_MAX:
        raise BadRequestError(HTTPStatus.NOT_FOUND, "there is no such endpoint")
    if method != "POST":
        raise BadRequestError(HTTPStatus.METHOD_NOT_ALLOWED, "this endpoint takes POST")
    return _BODY_BYTES_MAX[path]


class Routes:
    def __init__(self, service: PeerService) -> None:
        self._service = service
        self._streams = asyncio.Semaphore(bounds.STREAMS_MAX)

    async def answer(self, request: Request) -> Answer:
        """Every error that is meant for the peer becomes a status; others are bugs and are raised."""
        try:
            return await self._route(request)
        except GatewayError as error:
            return refusal(error.status, error.reason)
        except RalnodeError as error:
            status = next((status for kind, status in _STATUSES if isinstance(error, kind)), HTTPStatus.BAD_REQUEST)
            return refusal(status, str(error))

    async def _route(self, request: Request) -> Answer:
        path = request.target.partition("?")[0]
        if path == wire.BLOCKS_PATH:
            return await self._blocks(request)
        if path == wire.SYNC_PATH:
            return Response(200, _CBOR, await self._service.answer_sync(request.peer, request.seen_at, request.body))
        if path == wire.COMMAND_PATH:
            return Response(200, _CBOR, await self._service.answer_command(request.peer, request.body))
        return await self._gateway(request)

    # --- /ral/v1/blocks ---------------------------------------------------------------------------------------------

    async def _blocks(self, request: Request) -> Stream:
        asked = await asyncio.to_thread(wire.decode_blocks_request, request.body)
        return await _begin(_CAR, self._car_pieces(asked))

    async def _car_pieces(self, asked: wire.BlocksRequest) -> AsyncGenerator[Pieces, None]:
        """The header comes with the first batch: what fails until then can still be answered with a status."""
        head = car.encode_header([asked.root])
        async with self._streams, _closing(self._batches(asked)) as batches:
            async for batch in batches:
                for pieces in _writes(batch):
                    yield [head, *pieces]
                    head = b""
            if head:
                yield [head]

    def _batches(self, asked: wire.BlocksRequest) -> AsyncIterator[Sequence[Block]]:
        if asked.wanted is None:
            return self._service.interior(asked.root)
        return self._service.blocks(asked.root, asked.wanted)

    # --- /ipfs/ -----------------------------------------------------------------------------------------------------

    async def _gateway(self, request: Request) -> Answer:
        url = urlsplit(request.target)
        query = dict(parse_qsl(url.query, keep_blank_values=True, max_num_fields=16))
        asked = parse_request(unquote(url.path), query, request.headers)
        if asked.is_not_modified:
            return Response(HTTPStatus.NOT_MODIFIED, asked.headers())
        if request.method == "HEAD":
            return await self._head(asked, request.headers)
        if asked.format is Format.CAR:
            return await self._car(asked, request.headers)
        block = cids.identity_data(asked.key)
        if block is None:
            block = await self._service.block(asked.key)
        return _missing(request.headers) if block is None else Response(200, asked.headers(), block)

    async def _head(self, asked: GatewayRequest, headers: Mapping[str, str]) -> Response:
        """An index look-up, nothing more: clients ask for much that we do not have."""
        inline = cids.identity_data(asked.key)
        if inline is None and not await self._service.has_block(asked.key):
            return _missing(headers)
        if inline is not None and asked.format is Format.RAW:
            return Response(200, {**asked.headers(), "content-length": str(len(inline))})
        return Response(200, asked.headers())

    async def _car(self, asked: GatewayRequest, headers: Mapping[str, str]) -> Answer:
        if cids.identity_data(asked.key) is None and not await self._service.has_block(asked.key):
            return _missing(headers)
        return await _begin(asked.headers(), self._walk(asked))

    async def _walk(self, asked: GatewayRequest) -> AsyncGenerator[Pieces, None]:
        """Ends with an error, and so the stream without its end, at a block that is not here."""
        yield [car.encode_header([asked.cid])]
        walk = plan_car(asked)
        answer: list[bytes | None] = []
        async with self._streams:
            try:
                step = next(walk)
                while True:
                    if isinstance(step, Emit):
                        yield _sections(step.blocks)
                        answer = []
                    else:
                        answer = [await self._service.block(key) for key in step.keys]
                    step = walk.send(answer)
            except StopIteration:
                return
            except DagError as error:
                raise UnavailableError(f"the CAR of {cids.to_text(asked.cid)} ends early: {error}") from None


def _missing(headers: Mapping[str, str]) -> Response:
    """A peer never fetches for others, so "only if cached" is what everybody gets."""
    if "only-if-cached" in headers.get("cache-control", ""):
        return refusal(HTTPStatus.PRECONDITION_FAILED, "this node does not hold the block")
    return refusal(HTTPStatus.NOT_FOUND, "this node does not hold the block")


async def _begin(headers: Mapping[str, str], pieces: AsyncGenerator[Pieces, None]) -> Stream:
    """Raises what the first step of `pieces` raises."""
    return Stream(headers, await anext(pieces), pieces)


@asynccontextmanager
async def _closing(source: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Ends the reading when the sending ends. (The role promises an iterator; generators can be closed.)"""
    try:
        yield source
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()


def _writes(batch: Sequence[Block]) -> list[Pieces]:
    """The batch cut into writes that hold the event loop for a millisecond at most."""
    writes: list[Pieces] = []
    start = size_bytes = 0
    for position, block in enumerate(batch):
        size_bytes += len(block.data)
        if size_bytes >= bounds.WRITE_BYTES:
            writes.append(_sections(batch[start : position + 1]))
            start, size_bytes = position + 1, 0
    if start < len(batch):
        writes.append(_sections(batch[start:]))
    return writes


def _sections(blocks: Sequence[Block]) -> Pieces:
    return [piece for key, data in blocks for piece in (car.section_prefix(key, len(data)), data)]
