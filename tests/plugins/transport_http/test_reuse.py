"""Connections are kept, replaced when they die, and bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ralnode.api import Address, Context, Identity, Peer, Transport
from ralnode.host.identity import open_identity
from ralnode.testing.content import content
from ralnode.testing.transport_under_test import Node, TransportUnderTest, collect, until
from ralnode_transport_http import HttpOptions, HttpTransport, bounds


class HttpNodes(TransportUnderTest):
    def build(self, context: Context) -> Transport:
        return HttpTransport(context, HttpOptions())

    def identity(self, folder: Path, secret: bytes) -> Identity:
        return open_identity(folder, secret)


def ports(node: Node) -> list[int]:
    """The client ports that its syncs came from: one for each connection."""
    return [seen_at.port for _, seen_at, _ in node.service.asked.syncs]


class TestReuse(HttpNodes):
    async def test_requests_one_after_the_other_share_a_connection(self, us: Node, them: Node) -> None:
        root = await them.service.add(content("reuse", 100_000))
        for _ in range(5):
            await us.transport.sync(them.peer, b"x")
            await us.transport.fetch_block(them.peer, root)
            await collect(us.transport.fetch_blocks(them.peer, root, them.service.leaves(root)))
        assert len(set(ports(them))) == 1

    async def test_a_connection_to_one_node_is_not_used_for_another(self, us: Node, them: Node, third: Node) -> None:
        for node in (them, third, them, third):
            found, _, _ = await us.transport.sync(node.peer, b"x")
            assert found == node.identity.id
        assert len(them.service.asked.syncs) == len(third.service.asked.syncs) == 2

    async def test_what_the_server_has_closed_is_not_used_again(
        self, us: Node, them: Node, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bounds, "IDLE_SECONDS", 0.2)
        for _ in range(3):
            await us.transport.sync(them.peer, b"x")
            (idle,) = us.transport._client._dialer._idle  # type: ignore[attr-defined]
            await until(lambda link=idle: not link.is_alive)  # type: ignore[misc]
        assert len(set(ports(them))) == 3

    async def test_no_more_idle_connections_are_kept_than_allowed(self, us: Node, them: Node) -> None:
        for _ in range(3):
            await asyncio.gather(*(us.transport.sync(them.peer, b"x") for _ in range(8)))
        before = set(ports(them))
        them.service.asked.syncs.clear()
        for _ in range(10):
            await us.transport.sync(them.peer, b"x")
        assert set(ports(them)) <= before
        assert len(us.transport._client._dialer._idle) <= bounds.IDLE_PER_PEER_MAX  # type: ignore[attr-defined]


class TestDeadConnections(HttpNodes):
    """A server that closes a kept connection exactly when the next request arrives on it."""

    @pytest.fixture
    async def server(self, tmp_path: Path) -> AsyncIterator[Peer]:
        identity = self.identity(tmp_path / "server", bytes(range(32)))
        self.requests = 0
        self.connections = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            await reader.readuntil(b"\r\n\r\n")
            self.requests += 1
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            await reader.read(1000)
            self.requests += 1
            writer.transport.abort()

        listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=identity.server_tls())
        yield Peer(identity.id, (Address("127.0.0.1", listening.sockets[0].getsockname()[1]),))
        listening.close()

    async def test_a_repeatable_request_is_sent_again_on_a_new_connection(self, us: Node, server: Peer) -> None:
        assert (await us.transport.sync(server, b""))[2] == b"ok"
        assert (await us.transport.sync(server, b""))[2] == b"ok"
        assert self.connections == 2

    async def test_a_command_is_never_sent_twice(self, us: Node, server: Peer) -> None:
        assert (await us.transport.sync(server, b""))[2] == b"ok"
        assert await us.transport.command(server, b"") == b"ok"
        await until(lambda: self.connections == 2)
        assert self.requests == 2, "it went over a connection of its own"
