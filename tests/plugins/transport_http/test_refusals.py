"""What the server does with those who are not members, and with members who misbehave: raw TLS clients against it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ralnode.api import Context, Identity, Transport, UnavailableError, limits
from ralnode.dag.profile import V1_2025
from ralnode.host import certificate
from ralnode.host.identity import open_identity
from ralnode.testing.content import content
from ralnode.testing.transport_under_test import MakeNode, Node, TransportUnderTest, until
from ralnode_transport_http import HttpOptions, HttpTransport, bounds

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def member_tls(node: Node) -> ssl.SSLContext:
    return node.identity.client_tls()


def tls_with(pem: bytes | None, folder: Path) -> ssl.SSLContext:
    """A client that does not care whom it talks to and shows `pem`, if anything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if pem is not None:
        (folder / "client.pem").write_bytes(pem)
        context.load_cert_chain(folder / "client.pem")
    return context


async def dial(node: Node, tls: ssl.SSLContext | None) -> Streams:
    return await asyncio.open_connection(*node.address, ssl=tls)


async def talk(node: Node, tls: ssl.SSLContext | None, data: bytes) -> bytes:
    """Everything that comes back until the server closes."""
    answer = b""
    with contextlib.suppress(OSError):
        reader, writer = await dial(node, tls)
        try:
            writer.write(data)
            while part := await asyncio.wait_for(reader.read(65536), 10):
                answer += part
        finally:
            writer.transport.abort()
    return answer


SYNC = b"POST /ral/v1/sync HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello"


class HttpNodes(TransportUnderTest):
    options = HttpOptions()

    def build(self, context: Context) -> Transport:
        return HttpTransport(context, self.options)

    def identity(self, folder: Path, secret: bytes) -> Identity:
        return open_identity(folder, secret)


class TestStrangers(HttpNodes):
    async def test_a_member_is_answered(self, us: Node, them: Node) -> None:
        """So that the silence in the other tests means something."""
        assert (await talk(them, member_tls(us), SYNC)).endswith(b"\r\n\r\nhello")

    async def test_a_node_without_a_certificate_gets_nothing(self, them: Node, tmp_path: Path) -> None:
        assert await talk(them, tls_with(None, tmp_path), SYNC) == b""
        assert not them.service.asked.syncs

    async def test_a_node_of_another_cluster_gets_nothing(self, them: Node, stranger: Node) -> None:
        tls = member_tls(stranger)
        tls.verify_mode = ssl.CERT_NONE
        assert await talk(them, tls, SYNC) == b""
        assert not them.service.asked.syncs

    async def test_a_self_signed_certificate_gets_nothing(self, them: Node, tmp_path: Path) -> None:
        key = Ed25519PrivateKey.generate()
        own = certificate.to_pem(certificate.make_leaf(key, key.public_key())) + certificate.key_to_pem(key)
        assert await talk(them, tls_with(own, tmp_path), SYNC) == b""
        assert not them.service.asked.syncs

    async def test_a_members_certificate_without_its_key_is_of_no_use(self, us: Node, tmp_path: Path) -> None:
        ca = Ed25519PrivateKey.from_private_bytes(us.identity.derive("cluster-ca-v1"))
        theirs = Ed25519PrivateKey.generate().public_key()
        stolen = certificate.to_pem(certificate.make_leaf(ca, theirs))
        with pytest.raises(ssl.SSLError, match="mismatch"):
            tls_with(stolen + certificate.key_to_pem(Ed25519PrivateKey.generate()), tmp_path)

    async def test_a_certificate_of_the_cluster_that_names_no_node_gets_nothing(
        self, them: Node, tmp_path: Path
    ) -> None:
        """Somebody with the secret can sign anything; a key that is not Ed25519 is no node id."""
        ca = Ed25519PrivateKey.from_private_bytes(them.identity.derive("cluster-ca-v1"))
        key = ec.generate_private_key(ec.SECP256R1())
        builder = certificate.x509.CertificateBuilder(
            issuer_name=certificate.make_ca(ca).subject,
            subject_name=certificate.x509.Name([]),
            public_key=key.public_key(),
            serial_number=1,
            not_valid_before=certificate.NOT_BEFORE,
            not_valid_after=certificate.NOT_AFTER,
        )
        pem = certificate.to_pem(builder.sign(ca, None))
        pem += key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        assert await talk(them, tls_with(pem, tmp_path), SYNC) == b""
        assert not them.service.asked.syncs

    async def test_tls_1_2_is_refused(self, us: Node, them: Node) -> None:
        tls = member_tls(us)
        tls.minimum_version = tls.maximum_version = ssl.TLSVersion.TLSv1_2
        assert await talk(them, tls, SYNC) == b""
        assert not them.service.asked.syncs

    @pytest.mark.parametrize("data", [SYNC, b"\0" * 1000, b"\x16\x03\x01" + b"x" * 5000, b"SSH-2.0-OpenSSH\r\n"])
    async def test_what_is_not_tls_gets_no_http(self, us: Node, them: Node, data: bytes) -> None:
        assert b"HTTP" not in await talk(them, None, data)
        assert not them.service.asked.syncs
        assert (await us.transport.sync(them.peer, b"x"))[2] == b"x"


BAD_REQUESTS: dict[str, tuple[bytes, int]] = {
    "garbage": (b"\x00\x01\x02 garbage \r\n\r\n", 400),
    "http/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "two lengths": (b"POST /ral/v1/sync HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", 400),
    "length and chunks": (
        b"POST /ral/v1/sync HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "negative length": (b"POST /ral/v1/sync HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
    "absurd length": (b"POST /ral/v1/sync HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n", 400),
    "upgrade": (b"GET /ipfs/x HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", 501),
    "connect": (b"CONNECT 10.0.0.1:22 HTTP/1.1\r\n\r\n", 404),
    "unknown path": (b"GET /etc/passwd HTTP/1.1\r\n\r\n", 404),
    "path above the root": (b"GET /../../etc/passwd HTTP/1.1\r\n\r\n", 404),
    "get of a post": (b"GET /ral/v1/sync HTTP/1.1\r\n\r\n", 405),
    "post of a get": (b"POST /ipfs/bafkqaaa HTTP/1.1\r\ncontent-length: 0\r\n\r\n", 405),
    "body too large": (b"POST /ral/v1/sync HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % (limits.SYNC_BYTES_MAX + 1), 413),
    "body of a get": (b"GET /ipfs/bafkqaaa HTTP/1.1\r\ncontent-length: 1\r\n\r\nx", 413),
    "blocks body too large": (
        b"POST /ral/v1/blocks HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % (bounds.BLOCKS_BODY_BYTES_MAX + 1),
        413,
    ),
    "chunks too large": (
        b"POST /ral/v1/blocks HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n" + b"10000\r\n" + bytes(65536) + b"\r\n" +
        b"10001\r\n" + bytes(65537) + b"\r\n",
        413,
    ),
    "long target": (b"GET /ipfs/" + b"a" * bounds.HEAD_BYTES_MAX, 431),
    "long header": (b"GET /ipfs/x HTTP/1.1\r\nx: " + b"a" * bounds.HEAD_BYTES_MAX, 431),
    "many headers": (b"GET /ipfs/x HTTP/1.1\r\n" + b"x: y\r\n" * (bounds.HEADERS_MAX + 1) + b"\r\n", 431),
    "endless trailer": (
        b"POST /ral/v1/blocks HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: " + b"a" * 250_000,
        431,
    ),
}  # fmt: skip

BAD_BODIES: dict[str, bytes] = {
    "empty": b"",
    "garbage": b"\xff\xff\xff",
    "not an array": cbor2.dumps({"root": b"x"}),
    "no root": cbor2.dumps([1]),
    "another version": cbor2.dumps([2, V1_2025.name.encode()]),
    "root is text": cbor2.dumps([1, "bafkqaaa"]),
    "root is no CID": cbor2.dumps([1, b"\x09abc"]),
    "root with a tail": cbor2.dumps([1, bytes.fromhex("01550000") + b"x"]),
    "ranges are text": cbor2.dumps([1, bytes.fromhex("01550000"), "all"]),
    "odd ranges": cbor2.dumps([1, bytes.fromhex("01550000"), [1, 2, 3]]),
    "negative gap": cbor2.dumps([1, bytes.fromhex("01550000"), [5, 1, -3, 1]]),
    "empty range": cbor2.dumps([1, bytes.fromhex("01550000"), [5, 0]]),
    "not numbers": cbor2.dumps([1, bytes.fromhex("01550000"), [0.5, True]]),
    "too many leaves": cbor2.dumps([1, bytes.fromhex("01550000"), [0, bounds.LEAVES_PER_REQUEST_MAX + 1]]),
    "beyond every source": cbor2.dumps([1, bytes.fromhex("01550000"), [limits.LEAVES_PER_SOURCE_MAX, 1]]),
    "huge numbers": cbor2.dumps([1, bytes.fromhex("01550000"), [1 << 200, 1]]),
    "deep nesting": b"\x81" * 100_000,
    "claims a huge array": b"\x9b\x00\x00\x00\xff\xff\xff\xff\xff",
}


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


class TestBadRequests(HttpNodes):
    @pytest.fixture(autouse=True)
    def _short_linger(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bounds, "LINGER_SECONDS", 0.1)

    @pytest.mark.parametrize("name", BAD_REQUESTS)
    async def test_a_malformed_or_oversized_request_is_refused_and_the_connection_ends(
        self, us: Node, them: Node, name: str
    ) -> None:
        data, status = BAD_REQUESTS[name]
        answer = await talk(them, member_tls(us), data)
        assert status_of(answer) == status
        assert b"connection: close" in answer
        assert not (them.service.asked.syncs or them.service.asked.streams)
        assert (await us.transport.sync(them.peer, b"x"))[2] == b"x"

    @pytest.mark.parametrize("name", BAD_BODIES)
    async def test_a_malformed_request_for_blocks_is_refused(self, us: Node, them: Node, name: str) -> None:
        body = BAD_BODIES[name]
        head = b"POST /ral/v1/blocks HTTP/1.1\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        assert status_of(await talk(them, member_tls(us), head + body)) == 400
        assert not them.service.asked.streams

    async def test_an_oversized_body_is_refused_before_it_is_sent(self, us: Node, them: Node) -> None:
        reader, writer = await dial(them, member_tls(us))
        writer.write(b"POST /ral/v1/sync HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 999999999\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
        writer.transport.abort()

    async def test_a_client_that_asks_first_is_told_to_go_on(self, us: Node, them: Node) -> None:
        reader, writer = await dial(them, member_tls(us))
        writer.write(b"POST /ral/v1/sync HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"ok")
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 OK")
        writer.transport.abort()

    async def test_a_second_request_before_the_answer_to_the_first_ends_the_connection(
        self, us: Node, them: Node
    ) -> None:
        request = SYNC.replace(b"connection: close\r\n", b"")
        answer = await talk(them, member_tls(us), request + request)
        assert answer.count(b"HTTP/1.1 200") <= 1
        assert b"one request at a time" in answer or not answer

    async def test_a_request_that_comes_while_the_answer_before_it_is_finished_is_served(
        self, us: Node, them: Node
    ) -> None:
        """The peer has the whole answer a moment before the server's task ends: nobody did anything wrong."""
        reader, writer = await dial(them, member_tls(us))
        them.service.gate.clear()
        ask = b"POST /ral/v1/sync HTTP/1.1\r\ncontent-length: 1\r\n\r\n%d"
        writer.write(ask % 1)
        await until(lambda: len(them.service.asked.syncs) == 1)
        writer.write(ask % 2)
        await asyncio.sleep(0.1)  # it lies there while the first is still being answered
        them.service.gate.set()
        for number in (1, 2):
            assert (await reader.readuntil(b"\r\n\r\n%d" % number)).startswith(b"HTTP/1.1 200 OK")
        assert len(them.service.asked.syncs) == 2
        writer.transport.abort()

    async def test_a_connection_serves_many_requests_one_after_the_other(self, us: Node, them: Node) -> None:
        reader, writer = await dial(them, member_tls(us))
        for number in range(5):
            writer.write(
                b"POST /ral/v1/sync HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\n%d\r\n0\r\n\r\n" % number
            )
            assert (await reader.readuntil(b"\r\n\r\n%d" % number)).startswith(b"HTTP/1.1 200 OK")
        writer.transport.abort()


class TestSlowPeers(HttpNodes):
    @pytest.fixture(autouse=True)
    def _short_deadlines(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("HANDSHAKE_SECONDS", "HEAD_SECONDS", "BODY_SECONDS", "IDLE_SECONDS", "LINGER_SECONDS"):
            monkeypatch.setattr(bounds, name, 0.3)

    @pytest.mark.parametrize(
        "start",
        [
            b"",
            b"G",
            b"POST /ral/v1/sync HTTP/1.1\r\nx: y",
            b"POST /ral/v1/sync HTTP/1.1\r\ncontent-length: 10\r\n\r\n123",
        ],
        ids=["nothing", "one byte", "half a head", "half a body"],
    )
    async def test_whoever_does_not_get_on_is_cut_off(self, us: Node, them: Node, start: bytes) -> None:
        assert await asyncio.wait_for(talk(them, member_tls(us), start), 5) == b""

    async def test_dripping_header_bytes_do_not_extend_the_deadline(self, us: Node, them: Node) -> None:
        reader, writer = await dial(them, member_tls(us))
        writer.write(b"GET /ipfs/bafkqaaa HTTP/1.1\r\n")

        async def drip() -> None:
            while True:
                writer.write(b"x: y\r\n")
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        with contextlib.suppress(OSError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        dripping.cancel()
        writer.transport.abort()

    async def test_handshakes_that_never_end_do_not_keep_members_out(self, us: Node, them: Node) -> None:
        silent = [await dial(them, None) for _ in range(bounds.HANDSHAKES_PER_ADDRESS_MAX + 4)]
        cut_off = [asyncio.create_task(reader.read()) for reader, _ in silent]
        await asyncio.wait_for(asyncio.gather(*cut_off, return_exceptions=True), 5)
        assert (await us.transport.sync(them.peer, b"x"))[2] == b"x"
        for _, writer in silent:
            writer.transport.abort()


class TestStalledReaders(HttpNodes):
    options = HttpOptions(stall_timeout_seconds=0.5)

    async def test_a_reader_that_stops_reading_is_given_up_and_costs_little(self, us: Node, them: Node) -> None:
        root = await them.service.add(content("stalled", 64 * limits.MIB), V1_2025)
        body = cbor2.dumps([1, root, [0, 64]])
        _, writer = await dial(them, member_tls(us))
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"POST /ral/v1/blocks HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await until(lambda: them.service.asked.streams_ended == 1)
        assert them.service.asked.batches_given * 4 <= 24, "what the socket buffers of the system hold, and two batches"
        writer.transport.abort()


class TestCrowds(HttpNodes):
    options = HttpOptions(requests_per_peer_max=2, requests_max=3)

    @pytest.fixture(autouse=True)
    def _short_linger(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bounds, "LINGER_SECONDS", 0.1)

    async def test_one_peer_may_ask_for_so_much_at_once_and_not_more(self, us: Node, them: Node) -> None:
        held = asyncio.Event()
        hold(them, held)
        running = [asyncio.create_task(us.transport.sync(them.peer, b"x")) for _ in range(2)]
        await until(lambda: len(them.service.asked.syncs) == 2)
        answer = await talk(them, member_tls(us), SYNC)
        assert status_of(answer) == 429
        assert b"retry-after: 1" in answer
        with pytest.raises(UnavailableError, match="more than 2 requests"):
            await us.transport.sync(them.peer, b"x")
        held.set()
        await asyncio.gather(*running)
        await us.transport.sync(them.peer, b"again")

    async def test_all_peers_together_may_ask_for_so_much_at_once(
        self, us: Node, them: Node, third: Node, make_node: MakeNode
    ) -> None:
        held = asyncio.Event()
        hold(them, held)
        fourth = await make_node("fourth")
        running = [asyncio.create_task(node.transport.sync(them.peer, b"x")) for node in (us, us, third)]
        await until(lambda: len(them.service.asked.syncs) == 3)
        assert status_of(await talk(them, member_tls(fourth), SYNC)) == 503
        held.set()
        await asyncio.gather(*running)
        await fourth.transport.sync(them.peer, b"x")


class TestConnectionLimits(HttpNodes):
    options = HttpOptions(connections_max=3)

    async def test_more_connections_than_allowed_are_closed_before_any_cryptography(self, us: Node, them: Node) -> None:
        kept = [await dial(them, member_tls(us)) for _ in range(3)]
        assert await talk(them, member_tls(us), SYNC) == b""
        kept[0][1].transport.abort()
        await until_answered(lambda: talk(them, member_tls(us), SYNC))
        for _, writer in kept:
            writer.transport.abort()


class TestConnectionRate(HttpNodes):
    options = HttpOptions(accepts_per_second=0.5)

    async def test_an_address_that_connects_too_often_is_turned_away(self, us: Node, them: Node) -> None:
        answers = [await talk(them, member_tls(us), SYNC) for _ in range(4)]
        assert [status_of(answer) for answer in answers] == [200, 200, 0, 0]


def hold(node: Node, until_set: asyncio.Event) -> None:
    """Makes its answers wait."""
    answer = node.service.answer_sync

    async def wait(*asked: object) -> bytes:
        found = await answer(*asked)  # type: ignore[arg-type]
        await until_set.wait()
        return found

    node.service.answer_sync = wait  # type: ignore[method-assign]


async def until_answered(ask: Callable[[], Awaitable[bytes]]) -> None:
    async with asyncio.timeout(30):
        while not await ask():
            pass
