"""The five calls of the Pinning Service API over a Starlette application."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ralnode.api import NodeControl, NotFoundError, RalnodeError
from ralnode.dag import cid as cids
from ralnode_gateway_pinning.book import Book
from ralnode_gateway_pinning.model import Pin, RefusedRequestError, State, read_wish
from ralnode_gateway_pinning.options import PinningOptions
from ralnode_gateway_pinning.query import Query
from ralnode_gateway_pinning.tokens import Doorkeeper
from ralnode_gateway_pinning.worker import Worker

BODY_BYTES_MAX: Final = 64 * 1024
BODY_SECONDS_MAX: Final = 30.0
_Answer = Callable[[Request], Awaitable[Response]]


class PinningApp:
    def __init__(
        self, node: NodeControl, book: Book, worker: Worker, doorkeeper: Doorkeeper, options: PinningOptions
    ) -> None:
        self._node = node
        self._book = book
        self._worker = worker
        self._doorkeeper = doorkeeper
        self._options = options
        self._app: ASGIApp = Starlette(
            routes=[
                Route("/pins", self._answer(self._list), methods=["GET"]),
                Route("/pins", self._answer(self._add), methods=["POST"]),
                Route("/pins/{request_id}", self._answer(self._show), methods=["GET"]),
                Route("/pins/{request_id}", self._answer(self._replace), methods=["POST"]),
                Route("/pins/{request_id}", self._answer(self._remove), methods=["DELETE"]),
            ],
            exception_handlers={404: _no_such_place, 405: _no_such_place},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    def _answer(self, work: _Answer) -> _Answer:
        async def answer(request: Request) -> Response:
            try:
                if not self._doorkeeper.admits(request.headers.get("authorization", "")):
                    raise RefusedRequestError(401, "UNAUTHORIZED", "the access token is missing or wrong")
                return await work(request)
            except RefusedRequestError as refused:
                return _error(refused.status, refused.reason, str(refused))
            except RalnodeError as error:
                return _error(500, "INTERNAL_SERVER_ERROR", str(error))

        return answer

    # --- the five calls ---------------------------------------------------------------------------------------------

    async def _list(self, request: Request) -> Response:
        count, pins = await self._book.find(Query(dict(request.query_params)))
        return JSONResponse({"count": count, "results": [self._told(pin, request) for pin in pins]})

    async def _add(self, request: Request) -> Response:
        if await self._book.count() >= self._options.pins_max:
            raise RefusedRequestError(409, "INSUFFICIENT_FUNDS", f"there are {self._options.pins_max} pins already")
        return await self._accept(request, None)

    async def _show(self, request: Request) -> Response:
        return JSONResponse(self._told(await self._asked_for(request), request))

    async def _replace(self, request: Request) -> Response:
        """The new pin first; the old one's source goes once nobody else wants it."""
        old = await self._asked_for(request)
        answer = await self._accept(request, old)
        await self._let_go(old)
        return answer

    async def _remove(self, request: Request) -> Response:
        pin = await self._asked_for(request)
        await self._let_go(pin)
        await self._book.remove(pin.request_id)
        return Response(status_code=202)

    # --- what they share --------------------------------------------------------------------------------------------

    async def _accept(self, request: Request, old: Pin | None) -> Response:
        wish = read_wish(await _body(request))
        client = request.client.host if request.client else ""
        created_ms = int(time.time() * 1000)
        pin = Pin(secrets.token_hex(16), wish, State.QUEUED, created_ms, client, "", is_ours=False)
        await self._book.add(pin, old.request_id if old else None)
        self._worker.add(pin)
        return JSONResponse(self._told(pin, request), status_code=202)

    async def _asked_for(self, request: Request) -> Pin:
        pin = await self._book.get(request.path_params["request_id"][:64])
        if pin is None:
            raise RefusedRequestError(404, "NOT_FOUND", "there is no pin with this requestid")
        return pin

    async def _let_go(self, pin: Pin) -> None:
        """Only what came by a pin, and is wanted by no other pin, goes from the cluster."""
        await self._worker.forget(pin.request_id)
        pin = await self._book.get(pin.request_id) or pin
        if not pin.is_ours:
            return
        if await self._book.others_of(pin):
            await self._book.hand_over(pin)
            return
        key = cids.to_key(pin.wish.root)
        for source in self._node.sources():
            if cids.to_key(source.root) == key:
                try:
                    await self._node.command("rm", {"source": cids.to_text(source.root)})
                except NotFoundError:
                    return  # somebody else removed it at the same moment

    def _told(self, pin: Pin, request: Request) -> dict[str, Any]:
        """`delegates` must not be empty, and must be addresses of a peer; this one is asked over HTTP, not dialled."""
        host, port = request.url.hostname or "localhost", request.url.port or self._options.port
        kind = "ip6" if ":" in host else "ip4" if host.replace(".", "").isdigit() else "dns"
        me = cids.peer_id(self._node.nodes()[0].id)
        return pin.answer([f"/{kind}/{host}/tcp/{port}/http/p2p/{me}"])


async def _body(request: Request) -> bytes:
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            async for piece in request.stream():
                data += piece
                if len(data) > BODY_BYTES_MAX:
                    raise RefusedRequestError(400, "BAD_REQUEST", f"the body may have {BODY_BYTES_MAX} bytes")
    except TimeoutError:
        raise RefusedRequestError(400, "BAD_REQUEST", f"the body took more than {BODY_SECONDS_MAX:.0f} s") from None
    return bytes(data)


async def _no_such_place(_request: Request, _error_: Exception) -> Response:
    return _error(404, "NOT_FOUND", "only /pins and /pins/{requestid} are served here")


def _error(status: int, reason: str, details: str) -> Response:
    headers = {"www-authenticate": "Bearer"} if status == 401 else {}
    return JSONResponse({"error": {"reason": reason, "details": details}}, status_code=status, headers=headers)
