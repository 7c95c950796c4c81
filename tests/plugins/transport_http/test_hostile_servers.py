"""What the client makes of members who answer wrongly: each case is one answer from a bare TLS socket."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ralnode.api import Address, Context, Identity, Peer, PeerError, RalnodeError, Transport, UnavailableError, limits
from ralnode.dag import car
from ralnode.host.identity import open_identity
from ralnode.testing.store_under_test import make_block
from ralnode.testing.transport_under_test import Node, TransportUnderTest, collect
from ralnode_transport_http import HttpOptions, HttpTransport, bounds

BLOCK = make_block(1, 1000)
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


CAR = car.encode_header([BLOCK.key])
SECTION = car.encode_section(BLOCK.key, BLOCK.data)

WRONG_ANSWERS: dict[str, bytes] = {
    "nothing": b"",
    "garbage": b"\0\1\2\3" * 100,
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\ncontent-le",
    "a status line without end": b"HTTP/1.1 200 " + b"x" * 100_000,
    "a header without end": OK + b"x: " + b"y" * 100_000,
    "many headers": OK + b"x: y\r\n" * 200 + b"\r\n",
    "a redirect": b"HTTP/1.1 302 Found\r\nlocation: http://10.0.0.1/\r\ncontent-length: 0\r\n\r\n",
    "an error": b"HTTP/1.1 500 Oops\r\ncontent-length: 4\r\n\r\nbad\x1b",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "an endless error": b"HTTP/1.1 500 Oops\r\n\r\n" + b"x" * 1_000_000,
    "a body cut off": OK + b"content-length: 100\r\n\r\nshort",
    "a chunk cut off": CHUNKED + b"64\r\nshort",
    "chunks without end": CHUNKED + b"5\r\nhello\r\n",
    "a chunk size that is none": CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n",
    "no length": OK + b"\r\nhello",
    "an absurd length": OK + b"content-length: 99999999999\r\n\r\nx",
}

WRONG_STREAMS: dict[str, bytes] = {
    **{name: answer for name, answer in WRONG_ANSWERS.items() if answer},
    "no CAR": CHUNKED + chunk(b"hello, this is no CAR") + b"0\r\n\r\n",
    "CAR without a header": CHUNKED + chunk(SECTION) + b"0\r\n\r\n",
    "CAR cut off inside, HTTP whole": CHUNKED + chunk(CAR + SECTION[:-1]) + b"0\r\n\r\n",
    "a section too long": CHUNKED + chunk(CAR + b"\xff\xff\xff\xff\x0f") + b"0\r\n\r\n",
    "a section without a CID": CHUNKED + chunk(CAR + b"\x05hello") + b"0\r\n\r\n",
    "an empty body": CHUNKED + b"0\r\n\r\n",
}


class TestHostileServers(TransportUnderTest):
    options = HttpOptions(stall_timeout_seconds=2.0)
    answer = b""
    """What `peer` sends when it has read something."""

    def build(self, context: Context) -> Transport:
        return HttpTransport(context, self.options)

    def identity(self, folder: Path, secret: bytes) -> Identity:
        return open_identity(folder, secret)

    @pytest.fixture
    async def peer(self, tmp_path: Path) -> AsyncIterator[Peer]:
        identity = self.identity(tmp_path / "hostile", bytes(range(32)))

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(65536)
            writer.write(self.answer)
            await asyncio.wait([asyncio.create_task(writer.drain())], timeout=1)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=identity.server_tls())
        yield Peer(identity.id, (Address("127.0.0.1", server.sockets[0].getsockname()[1]),))
        server.close()

    @pytest.mark.parametrize("name", WRONG_ANSWERS)
    async def test_a_wrong_answer_to_a_sync_is_the_peers_fault(self, us: Node, peer: Peer, name: str) -> None:
        self.answer = WRONG_ANSWERS[name]
        with pytest.raises((PeerError, UnavailableError)) as caught:
            await us.transport.sync(peer, b"x")
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 2000

    @pytest.mark.parametrize("name", WRONG_STREAMS)
    async def test_a_wrong_stream_of_blocks_is_the_peers_fault(self, us: Node, peer: Peer, name: str) -> None:
        self.answer = WRONG_STREAMS[name]
        with pytest.raises((PeerError, UnavailableError)):
            await collect(us.transport.fetch_blocks(peer, BLOCK.key, [(0, BLOCK.key)]))

    async def test_a_block_that_came_whole_is_kept_when_the_stream_breaks_off(self, us: Node, peer: Peer) -> None:
        self.answer = CHUNKED + chunk(CAR + SECTION) + b"ff\r\nand th"
        found = []
        with pytest.raises(PeerError):
            async for batch in us.transport.fetch_blocks(peer, BLOCK.key, [(0, BLOCK.key)]):
                found += batch
        assert found == [BLOCK]

    async def test_a_block_above_the_limit_is_not_read(self, us: Node, peer: Peer) -> None:
        self.answer = OK + b"content-length: %d\r\n\r\n" % (limits.BLOCK_BYTES_MAX + 1)
        with pytest.raises(PeerError, match="allowed"):
            await us.transport.fetch_block(peer, BLOCK.key)

    async def test_bodies_in_chunks_are_bounded_too(
        self, us: Node, peer: Peer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bounds, "COMMAND_ANSWER_BYTES_MAX", 1000)
        self.answer = CHUNKED + chunk(b"x" * 1001) + b"0\r\n\r\n"
        with pytest.raises(PeerError, match="more than 1000"):
            await us.transport.command(peer, b"")

    async def test_a_status_of_too_many_requests_means_later(self, us: Node, peer: Peer) -> None:
        self.answer = b"HTTP/1.1 429 Slow down\r\ncontent-length: 4\r\n\r\nbusy"
        with pytest.raises(UnavailableError, match="busy"):
            await us.transport.sync(peer, b"x")


class TestSilentServers(TransportUnderTest):
    options = HttpOptions(connect_timeout_seconds=0.3, stall_timeout_seconds=0.3)

    def build(self, context: Context) -> Transport:
        return HttpTransport(context, self.options)

    def identity(self, folder: Path, secret: bytes) -> Identity:
        return open_identity(folder, secret)

    async def _never(self, tls: ssl.SSLContext | None, first: bytes, us: Node, ask: str) -> RalnodeError:
        """The error of a request to a server that says `first` and no more."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(first)
            await reader.read()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
        peer = Peer(None, (Address("127.0.0.1", server.sockets[0].getsockname()[1]),))
        async with asyncio.timeout(30), server:
            with pytest.raises((UnavailableError, PeerError)) as caught:
                if ask == "sync":
                    await us.transport.sync(peer, b"x")
                else:
                    await collect(us.transport.fetch_blocks(peer, BLOCK.key, [(0, BLOCK.key)]))
        return caught.value  # type: ignore[no-any-return]

    @pytest.mark.parametrize("ask", ["sync", "fetch"])
    async def test_a_server_that_never_shakes_hands_is_given_up(self, us: Node, ask: str) -> None:
        assert isinstance(await self._never(None, b"", us, ask), UnavailableError)

    @pytest.mark.parametrize("ask", ["sync", "fetch"])
    async def test_a_server_that_never_answers_is_given_up(self, us: Node, ask: str, tmp_path: Path) -> None:
        identity = self.identity(tmp_path / "silent", bytes(range(32)))
        assert isinstance(await self._never(identity.server_tls(), b"", us, ask), UnavailableError)

    async def test_a_stream_that_stops_in_the_middle_is_given_up(self, us: Node, tmp_path: Path) -> None:
        identity = self.identity(tmp_path / "silent", bytes(range(32)))
        await self._never(identity.server_tls(), CHUNKED + chunk(CAR), us, "fetch")

    async def test_a_dripping_answer_does_not_hold_a_request_for_ever(self, us: Node, tmp_path: Path) -> None:
        identity = self.identity(tmp_path / "dripping", bytes(range(32)))

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1000)
            writer.write(OK + b"content-length: 1000\r\n\r\n")
            while not writer.is_closing():
                writer.write(b"x")
                await asyncio.sleep(0.05)

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=identity.server_tls())
        peer = Peer(identity.id, (Address("127.0.0.1", server.sockets[0].getsockname()[1]),))
        async with asyncio.timeout(30), server:
            with pytest.raises(UnavailableError, match="no whole answer"):
                await us.transport.sync(peer, b"x")
