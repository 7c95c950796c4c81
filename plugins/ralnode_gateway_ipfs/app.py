"""The ASGI application: which surface answers a request, what every request passes first, and what errors become."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from starlette.types import Receive, Scope, Send

from ralnode.api import Context, GatewayStatus, NotFoundError, RalnodeError, UnavailableError
from ralnode.dag.errors import DagError
from ralnode.dag.trustless import GatewayError
from ralnode_gateway_ipfs.answer import Answer, CutShortError, not_modified, refusal, send_answer
from ralnode_gateway_ipfs.asked import Asked, Form, read_content_request
from ralnode_gateway_ipfs.options import IpfsOptions
from ralnode_gateway_ipfs.pathway import answer_path
from ralnode_gateway_ipfs.ranges import UnsatisfiableError
from ralnode_gateway_ipfs.routing import PREFIX, Routing
from ralnode_gateway_ipfs.trustless import answer_trustless

_METHODS: Final = ("GET", "HEAD", "OPTIONS")
WAIT_SECONDS_MAX: Final = 10.0
"""Kubo waits no longer for the head of an answer."""


class App:
    """`listening`: where the gateway can be reached, for those who ask."""

    def __init__(self, context: Context, options: IpfsOptions, listening: Callable[[], GatewayStatus]) -> None:
        self._node = context.node
        self._log = context.log
        self._options = options
        self._routing = Routing(context.node, options, listening)
        self._turn = asyncio.Semaphore(options.requests_max)
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        is_head = scope["method"] == "HEAD"
        if not await self._has_turn():
            await send_answer(refusal(429, "busy; try again in a moment"), receive, send, is_head=is_head)
            return
        try:
            await send_answer(await self._answer(scope), receive, send, is_head=is_head)
        except CutShortError as error:
            # Returning now, without the end of the body, makes the server cut the answer off: the reader notices.
            self._log.info("an answer was cut short: %s", error)
        finally:
            self._turn.release()

    async def _has_turn(self) -> bool:
        """Waits in line; a page with a hundred pictures asks for all of them at once over HTTP/2."""
        if self._turn.locked():
            if self._waiting >= self._options.requests_waiting_max:
                return False
            self._waiting += 1
            try:
                async with asyncio.timeout(WAIT_SECONDS_MAX):
                    return await self._turn.acquire()
            except TimeoutError:
                return False
            finally:
                self._waiting -= 1
        return await self._turn.acquire()

    async def _answer(self, scope: Scope) -> Answer:
        is_routing = scope["path"].startswith(PREFIX)  # which wants 501 for a method that it does not have
        if scope["method"] not in _METHODS and not is_routing:
            return refusal(405, "Only GET, HEAD and OPTIONS.", {"allow": ", ".join(_METHODS)})
        if scope["method"] == "OPTIONS":
            return Answer(HTTPStatus.NO_CONTENT)
        try:
            return await self._route(scope)
        except UnsatisfiableError as error:
            return refusal(416, error.reason, {"content-range": f"bytes */{error.size_bytes}"})
        except GatewayError as error:
            return refusal(error.status, error.reason)
        except NotFoundError as error:
            return refusal(404, str(error))
        except (UnavailableError, CutShortError) as error:
            return refusal(503, str(error))
        except (RalnodeError, DagError) as error:
            return refusal(422 if isinstance(error, DagError) else 500, str(error))
        except Exception:
            self._log.exception("a request to the IPFS gateway failed: %s", scope["path"][:200])
            return refusal(500, "this is a bug of the gateway; the log of the node has more")

    async def _route(self, scope: Scope) -> Answer:
        path = scope["raw_path"]
        if path.startswith(b"/ipfs/"):
            return await self._content(read_content_request(scope))
        if scope["path"].startswith(PREFIX):
            return await self._routing.answer(scope)
        return refusal(404, "there are /ipfs/CID[/path] and /routing/v1/ here")

    async def _content(self, asked: Asked) -> Answer:
        """A refusal to ask others is 412 for whoever wanted it so."""
        local_only = asked.only_cached or self._options.no_fetch
        try:
            found = await self._in_form(asked, local_only)
            return await not_modified(found) if asked.has_any and found.status in (200, 206) else found
        except (GatewayError, UnavailableError) as error:
            is_miss = isinstance(error, UnavailableError) or error.status in (404, 503)
            if asked.only_cached and is_miss:
                raise GatewayError(412, "not on this node, and only-if-cached was asked for") from None
            if is_miss and self._node.was_removed(asked.root):
                raise GatewayError(410, "this was removed from the cluster") from None
            raise

    async def _in_form(self, asked: Asked, local_only: bool) -> Answer:
        if asked.form in (Form.RAW, Form.CAR):
            return await answer_trustless(self._node, asked, local_only=local_only)
        return await answer_path(self._node, asked, local_only=local_only, converts=self._options.convert)
