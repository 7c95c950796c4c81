"""What the parts of the transport contract stand on: nodes with a transport under test, and small helpers."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, cast

import pytest

from ralnode.api import Address, Block, Context, Identity, NodeControl, Peer, Settings, Transport, limits
from ralnode.testing.memory_peer import MemoryPeer

_SECRET: Final = bytes(range(32))
_OTHER_SECRET: Final = bytes(32)
_PATIENCE_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Node:
    """A transport that is running, and what it answers with."""

    transport: Transport
    identity: Identity
    service: MemoryPeer

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.transport.port)

    @property
    def peer(self) -> Peer:
        return Peer(self.identity.id, (self.address,))


class MakeNode(Protocol):
    """Starts a node; the same name in the same cluster is the same identity."""

    def __call__(self, name: str, *, port: int = 0, is_stranger: bool = False) -> Awaitable[Node]: ...


class TransportUnderTest:
    """`build` and `identity` are what a subclass must give."""

    def build(self, context: Context) -> Transport:
        raise NotImplementedError

    def identity(self, folder: Path, secret: bytes) -> Identity:
        """A real identity that keeps its key in `folder`."""
        raise NotImplementedError

    @pytest.fixture
    async def make_node(self, tmp_path: Path) -> AsyncIterator[MakeNode]:
        started: list[Transport] = []

        async def make(name: str, *, port: int = 0, is_stranger: bool = False) -> Node:
            identity = self.identity(tmp_path / name, _OTHER_SECRET if is_stranger else _SECRET)
            node = Node(self.build(_context(identity, tmp_path / name, port)), identity, MemoryPeer())
            await node.transport.start(node.service)
            started.append(node.transport)
            return node

        yield make
        for transport in started:
            await transport.stop()

    @pytest.fixture
    async def us(self, make_node: MakeNode) -> Node:
        return await make_node("us")

    @pytest.fixture
    async def them(self, make_node: MakeNode) -> Node:
        return await make_node("them")

    @pytest.fixture
    async def third(self, make_node: MakeNode) -> Node:
        return await make_node("third")

    @pytest.fixture
    async def stranger(self, make_node: MakeNode) -> Node:
        """A node of another cluster."""
        return await make_node("stranger", is_stranger=True)

    @pytest.fixture
    def free_address(self) -> Address:
        """Where nobody listens."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            return Address(*taken.getsockname())


async def collect(stream: AsyncIterator[Sequence[Block]]) -> list[Block]:
    return [block async for batch in stream for block in batch]


async def close(stream: AsyncIterator[Any]) -> None:
    """What leaving an `async for` early should do."""
    await cast(Any, stream).aclose()


async def until(condition: Callable[[], bool]) -> None:
    """Waits for something that another task or thread brings about."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event to await
            await asyncio.sleep(0.01)


def _context(identity: Identity, folder: Path, port: int) -> Context:
    settings = Settings(
        name="node",
        group="test",
        zone="",
        data_dir=folder,
        listen_host="127.0.0.1",
        transport_port=port,
        gossip_port=0,
        page_port=0,
        capacity_bytes=limits.GIB,
        disk_floor_bytes=0,
        known_peers=(),
    )
    log = logging.getLogger("ralnode.test")
    return Context(settings, identity, cast(NodeControl, None), log, random.Random(1), 1)
