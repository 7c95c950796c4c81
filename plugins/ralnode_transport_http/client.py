"""The asking half of the transport: async on the outside, blocking connections in threads inside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from ralnode.api import (
    Address,
    BadBlockError,
    Block,
    BlockKey,
    Identity,
    NodeId,
    Peer,
    Root,
    UnavailableError,
    UsageError,
    limits,
)
from ralnode.dag import cid as cids
from ralnode_transport_http import bounds, wire
from ralnode_transport_http.carstream import check_interior, check_leaves, hand_over, read_blocks
from ralnode_transport_http.dialer import Cancel, Dialer
from ralnode_transport_http.exchange import Ask, Exchanger, NotHeldError
from ralnode_transport_http.handover import Handover
from ralnode_transport_http.options import HttpOptions
from ralnode_transport_http.traffic import Traffic

T = TypeVar("T")
Check = Callable[[Block], None]


class Client:
    """Made when the transport starts. All methods belong to one event loop."""

    def __init__(self, identity: Identity, options: HttpOptions, traffic: Traffic) -> None:
        self._dialer = Dialer(identity, options.connect_timeout_seconds, options.stall_timeout_seconds)
        self._exchanger = Exchanger(self._dialer, traffic)
        self._traffic = traffic
        self._stall_seconds = 2 * options.stall_timeout_seconds
        self._control = ThreadPoolExecutor(bounds.CONTROL_THREADS, "ralnode-ask")
        self._streams = ThreadPoolExecutor(bounds.STREAM_THREADS, "ralnode-fetch")
        self._running: set[Cancel] = set()
        self._is_closed = False

    async def sync(self, peer: Peer, body: bytes) -> tuple[NodeId, Address, bytes]:
        _check_size(body, limits.SYNC_BYTES_MAX, "sync")
        ask = Ask("POST", wire.SYNC_PATH, body)
        link, answer = await self._in_thread(partial(self._exchanger.whole, peer, ask, limits.SYNC_BYTES_MAX))
        return link.node, link.address, answer

    async def command(self, peer: Peer, body: bytes) -> bytes:
        _check_size(body, bounds.COMMAND_BODY_BYTES_MAX, "command")
        ask = Ask("POST", wire.COMMAND_PATH, body, is_repeatable=False)
        _, answer = await self._in_thread(partial(self._exchanger.whole, peer, ask, bounds.COMMAND_ANSWER_BYTES_MAX))
        return answer

    async def has_block(self, peer: Peer, key: BlockKey) -> bool:
        ask = Ask("HEAD", f"{wire.GATEWAY_PATH}{cids.to_text(key)}?format=raw")
        try:
            await self._in_thread(partial(self._exchanger.whole, peer, ask, 0))
        except NotHeldError:
            return False
        return True

    async def fetch_block(self, peer: Peer, key: BlockKey) -> bytes | None:
        ask = Ask("GET", f"{wire.GATEWAY_PATH}{cids.to_text(key)}?format=raw")
        return await self._in_thread(partial(self._fetch_block, peer, ask, key))

    def _fetch_block(self, peer: Peer, ask: Ask, key: BlockKey, cancel: Cancel) -> bytes | None:
        try:
            _, data = self._exchanger.whole(peer, ask, limits.BLOCK_BYTES_MAX, cancel)
        except NotHeldError:
            return None
        if not cids.verify(key, data):
            raise BadBlockError(f"what a peer sent as block {cids.to_text(key)} does not hash to it")
        return data

    def fetch_blocks(
        self, peer: Peer, root: Root, keys: Sequence[tuple[int, BlockKey]]
    ) -> AsyncGenerator[list[Block], None]:
        if len(keys) > bounds.LEAVES_PER_REQUEST_MAX:
            raise UsageError(f"{len(keys)} blocks in one request; {bounds.LEAVES_PER_REQUEST_MAX} at most")
        first_index: dict[BlockKey, int] = {}
        for index, key in keys:
            first_index.setdefault(key, index)  # a block that repeats in the source is asked for once
        body = wire.encode_blocks_request(root, sorted(first_index.values()))
        return self._stream(peer, body, check_leaves(list(first_index)))

    def fetch_interior(self, peer: Peer, root: Root) -> AsyncGenerator[list[Block], None]:
        return self._stream(peer, wire.encode_interior_request(root), check_interior(root))

    async def _stream(self, peer: Peer, body: bytes, check: Check) -> AsyncGenerator[list[Block], None]:
        cancel = self._begin()
        handover: Handover[list[Block]] = Handover(cancel)

        def work(to: Handover[list[Block]]) -> None:
            with self._exchanger.opened(peer, Ask("POST", wire.BLOCKS_PATH, body), cancel) as (link, response):
                received = partial(self._traffic.add, link.node)
                hand_over(read_blocks(response, received), check, to)

        batches = handover.batches(self._streams, work, self._stall_seconds)
        try:
            async for batch in batches:
                yield batch
                del batch
        finally:
            self._running.discard(cancel)
            await batches.aclose()

    async def _in_thread(self, work: Callable[[Cancel], T]) -> T:
        """Runs it in a thread that is told when this task is cancelled."""
        cancel = self._begin()
        future = asyncio.get_running_loop().run_in_executor(self._control, work, cancel)
        try:
            async with asyncio.timeout(self._stall_seconds):
                return await asyncio.shield(future)
        except TimeoutError:
            raise UnavailableError(f"no whole answer within {self._stall_seconds:.0f} s") from None
        finally:
            cancel.set()
            self._running.discard(cancel)
            future.add_done_callback(_ignore)

    def _begin(self) -> Cancel:
        if self._is_closed:
            raise UnavailableError("this node is stopping")
        cancel = Cancel()
        self._running.add(cancel)
        return cancel

    async def close(self) -> None:
        """Ends every request; its caller gets an UnavailableError or PeerError."""
        self._is_closed = True
        for cancel in list(self._running):
            cancel.set()
        self._dialer.close_idle()
        await asyncio.to_thread(_finish, (self._control, self._streams))
        self._dialer.close_idle()


def _finish(executors: Sequence[Executor]) -> None:
    for executor in executors:
        executor.shutdown(wait=True, cancel_futures=True)


def _check_size(body: bytes, bytes_max: int, what: str) -> None:
    if len(body) > bytes_max:
        raise UsageError(f"the {what} body has {len(body)} bytes; {bytes_max} at most")


def _ignore(future: asyncio.Future[T]) -> None:
    if not future.cancelled():
        future.exception()
