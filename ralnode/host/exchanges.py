"""Exchanges of state with peers, both ways: bodies go out and come in here, the engine makes and reads them."""

from __future__ import annotations

import asyncio
import itertools

from ralnode.api import Address, NodeId, PeerError, RalnodeError, Transport, UnavailableError
from ralnode.core.events import ReplySync, SyncAnswered, SyncFailed, SyncRequested, SyncWith
from ralnode.host.bounds import SYNC_SECONDS_MAX, SYNC_TASKS_MAX
from ralnode.host.inbox import Inbox
from ralnode.host.tasks import Tasks


class Exchanges:
    """`begin` and `reply` carry out effects; `answer` serves the transport."""

    def __init__(self, transport: Transport, inbox: Inbox, tasks: Tasks) -> None:
        self._transport = transport
        self._inbox = inbox
        self._tasks = tasks
        self._slots = asyncio.Semaphore(SYNC_TASKS_MAX)
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[bytes]] = {}

    def begin(self, effect: SyncWith) -> None:
        self._tasks.spawn("exchange", self._exchange(effect))

    async def _exchange(self, effect: SyncWith) -> None:
        try:
            async with self._slots, asyncio.timeout(SYNC_SECONDS_MAX):
                peer, seen_at, body = await self._transport.sync(effect.peer, effect.body)
        except TimeoutError:
            await self._inbox.put(SyncFailed(effect.peer, f"no answer within {SYNC_SECONDS_MAX:.0f} s"))
        except (RalnodeError, OSError) as error:
            await self._inbox.put(SyncFailed(effect.peer, str(error)))
        else:
            await self._inbox.put(SyncAnswered(effect.peer, peer, seen_at, body))

    async def answer(self, peer: NodeId, seen_at: Address, body: bytes) -> bytes:
        """The engine's answer to a peer's body. Raises PeerError for a malformed one, UnavailableError when too busy."""
        number = next(self._numbers)
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answered
        try:
            async with asyncio.timeout(SYNC_SECONDS_MAX):
                await self._inbox.put(SyncRequested(number, peer, seen_at, body))
                return await answered
        except TimeoutError:
            raise UnavailableError(f"this node could not answer within {SYNC_SECONDS_MAX:.0f} s; try again") from None
        finally:
            del self._waiting[number]

    def reply(self, effect: ReplySync) -> None:
        """A request that was given up meanwhile is no longer there."""
        answered = self._waiting.get(effect.request)
        if answered is None or answered.done():
            return
        if effect.refusal:
            answered.set_exception(PeerError(effect.refusal))
        else:
            answered.set_result(effect.body)
