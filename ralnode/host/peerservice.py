"""What this node answers to authenticated peers: exchanges of state, commands, blocks. The transport calls it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from ralnode.api import Address, Block, BlockKey, BlockSet, Held, NodeId, Root, Storage
from ralnode.host.dagindex import DagIndex
from ralnode.host.exchanges import Exchanges
from ralnode.host.metering.meters import Meters


class PeerAnswers:
    """Implements `ralnode.api.PeerService`. `command(peer, body)` answers a control command sent by a peer."""

    def __init__(
        self,
        exchanges: Exchanges,
        storage: Storage,
        dag: DagIndex,
        command: Callable[[NodeId, bytes], Awaitable[bytes]],
        meters: Meters,
    ) -> None:
        self._exchanges = exchanges
        self._storage = storage
        self._dag = dag
        self._command = command
        self._meters = meters

    async def answer_sync(self, peer: NodeId, seen_at: Address, body: bytes) -> bytes:
        return await self._exchanges.answer(peer, seen_at, body)

    async def answer_command(self, peer: NodeId, body: bytes) -> bytes:
        return await self._command(peer, body)

    async def has_block(self, key: BlockKey) -> bool:
        return (await self._storage.held([key]))[0] is not Held.NO

    async def block(self, key: BlockKey) -> bytes | None:
        data = await self._storage.get(key)
        if data is not None:
            self._meters.served_one(data)
        return data

    def blocks(self, root: Root, wanted: BlockSet) -> AsyncIterator[Sequence[Block]]:
        return self._meters.served(self._dag.blocks(root, wanted))

    def interior(self, root: Root) -> AsyncIterator[Sequence[Block]]:
        return self._meters.served(self._dag.interior(root))
