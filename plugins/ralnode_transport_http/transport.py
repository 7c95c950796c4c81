"""`HttpTransport`: the transport role, made of a listening and an asking half that share only counters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from ralnode.api import Address, Block, BlockKey, Context, NodeId, Peer, PeerService, Root, UnavailableError
from ralnode_transport_http.client import Client
from ralnode_transport_http.options import HttpOptions
from ralnode_transport_http.server import Server
from ralnode_transport_http.traffic import Traffic


class HttpTransport:
    """Implements `ralnode.api.Transport`. TLS contexts and threads are made in `start`: building does no IO."""

    def __init__(self, context: Context, options: HttpOptions) -> None:
        self._context = context
        self._options = options
        self._traffic = Traffic()
        self._server = Server(context, options, self._traffic, context.log)
        self._client: Client | None = None

    async def start(self, service: PeerService) -> None:
        self._server.open(service)
        self._client = Client(self._context.identity, self._options, self._traffic)

    async def wait(self) -> None:
        await self._server.serve()

    async def stop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()
        await self._server.close()

    @property
    def port(self) -> int:
        return self._server.port

    async def sync(self, peer: Peer, body: bytes) -> tuple[NodeId, Address, bytes]:
        return await self._asking.sync(peer, body)

    async def command(self, peer: Peer, body: bytes) -> bytes:
        return await self._asking.command(peer, body)

    def fetch_blocks(
        self, peer: Peer, root: Root, keys: Sequence[tuple[int, BlockKey]]
    ) -> AsyncIterator[Sequence[Block]]:
        return self._asking.fetch_blocks(peer, root, keys)

    def fetch_interior(self, peer: Peer, root: Root) -> AsyncIterator[Sequence[Block]]:
        return self._asking.fetch_interior(peer, root)

    async def has_block(self, peer: Peer, key: BlockKey) -> bool:
        return await self._asking.has_block(peer, key)

    async def fetch_block(self, peer: Peer, key: BlockKey) -> bytes | None:
        return await self._asking.fetch_block(peer, key)

    def traffic(self) -> Mapping[NodeId, tuple[int, int]]:
        return self._traffic.counts()

    @property
    def _asking(self) -> Client:
        if self._client is None:
            raise UnavailableError("the transport is not running")
        return self._client
