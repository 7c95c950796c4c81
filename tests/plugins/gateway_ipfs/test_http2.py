"""HTTP/2 over TLS: the same answers as without, and what a rude client cannot do."""

import asyncio
import logging
import random
import shutil
import socket
import ssl
import subprocess
from types import SimpleNamespace

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from ralnode.dag import cid as cids
from ralnode.dag.build import FileBuilder, make_leaf
from ralnode.dag.profile import Profile
from ralnode_gateway_ipfs import answer, http2
from ralnode_gateway_ipfs.credit import CREDIT_MAX, CREDIT_PER_SECOND, Credit
from ralnode_gateway_ipfs.http2 import Http2Connection
from ralnode_gateway_ipfs.options import IpfsOptions

PROFILE = Profile()
FILM = random.Random(9).randbytes(9_000_000)
NOBODY = "QmYzfKSE55XCjD1MW128RfciAf2DViABhEiXfgVFMabSjN"


@pytest.fixture
def options() -> IpfsOptions:
    return IpfsOptions(port=0, tls_port=0, requests_max=4)


@pytest.fixture
def film(node) -> str:
    """Its leaves lie on another node."""
    builder = FileBuilder(PROFILE)
    for start in range(0, len(FILM), PROFILE.chunk_bytes):
        leaf, block = make_leaf(PROFILE, FILM[start : start + PROFILE.chunk_bytes])
        node.elsewhere[block.key] = block.data
        node.here.update({made.key: made.data for made in builder.add(leaf)})
    made, rest = builder.finish()
    node.here.update({block.key: block.data for block in rest})
    return cids.to_text(made.cid)


@pytest.fixture
def small(node) -> str:
    key = cids.make(cids.RAW, b"small")
    node.here[key] = b"small"
    return f"/ipfs/{cids.to_text(key)}?format=raw"


async def with_client(http2, work):
    """Runs blocking work with a new client in a thread."""

    def run():
        with http2() as client:
            return work(client)

    return await asyncio.to_thread(run)


class TestAnswers:
    async def test_a_file_comes_whole_through_windows_of_64_kib(self, http2, film) -> None:
        found = await with_client(http2, lambda c: c.get(f"/ipfs/{film}"))
        assert (found.status, found.body == FILM, found.is_whole) == (200, True, True)
        assert found.headers["content-length"] == str(len(FILM))

    async def test_a_range_and_a_head_are_answered_as_over_http1(self, http2, client, film) -> None:
        part = await with_client(http2, lambda c: c.get(f"/ipfs/{film}", range="bytes=5000000-5000009"))
        assert (part.status, bytes(part.body)) == (206, FILM[5_000_000:5_000_010])
        head = await with_client(http2, lambda c: c.get(f"/ipfs/{film}", "HEAD"))
        plain = await client.ask(f"/ipfs/{film}", "HEAD")
        assert (head.status, head.body, head.is_whole) == (200, b"", True)
        assert {k: v for k, v in head.headers.items() if k != "date"} == {
            k.lower(): v for k, v in plain.headers.items() if k.lower() not in ("date", "connection")
        }

    async def test_heads_stay_under_the_2_kib_that_kubo_reads(self, http2, small) -> None:
        for target in (
            small,
            f"/ipfs/{NOBODY}?format=raw",
            "/ipfs/bafkqaaa?format=raw",
            f"/routing/v1/providers/{NOBODY}",
        ):
            found = await with_client(http2, lambda c, target=target: c.get(target))
            assert sum(len(k) + len(v) + 4 for k, v in found.headers.items()) < 1500

    @pytest.mark.parametrize(("path", "method", "status"), [
        (f"/ipfs/{NOBODY}?format=raw", "GET", 404), ("/ipfs/nonsense", "GET", 400), ("/nowhere", "GET", 404),
        ("/ipfs/bafkqaaa?format=raw", "POST", 405), ("/ipfs/bafkqaaa?format=raw", "OPTIONS", 204),
    ])  # fmt: skip
    async def test_refusals_have_their_status(self, http2, path, method, status) -> None:
        assert (await with_client(http2, lambda c: c.get(path, method))).status == status

    async def test_a_hundred_at_once_are_all_answered_by_a_gateway_that_answers_four_at_a_time(
        self, http2, small
    ) -> None:
        def work(client):
            streams = [client.ask(small) for _ in range(100)]
            client.until(lambda: all(client.responses[s].is_over for s in streams))
            return [client.responses[s] for s in streams]

        found = await with_client(http2, work)
        assert {(each.status, bytes(each.body)) for each in found} == {(200, b"small")}

    async def test_an_answer_that_fails_midway_is_reset(self, http2, film, node) -> None:
        node.elsewhere.pop(cids.make(cids.RAW, FILM[PROFILE.chunk_bytes * 7 : PROFILE.chunk_bytes * 8]))
        found = await with_client(http2, lambda c: c.get(f"/ipfs/{film}?filename=x.bin"))
        assert (found.status, found.is_whole, found.reset) == (200, False, ErrorCodes.INTERNAL_ERROR)
        assert FILM.startswith(found.body)
        assert (await with_client(http2, lambda c: c.get("/ipfs/bafkqaaa?format=raw"))).status == 200

    async def test_http1_is_spoken_on_the_same_port(self, gateway, small) -> None:
        def work():
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(socket.create_connection(("127.0.0.1", gateway.listening().tls_port), 10)) as tls:
                tls.sendall(f"GET {small} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                return b"".join(iter(lambda: tls.recv(65536), b""))

        found = await asyncio.to_thread(work)
        assert found.startswith(b"HTTP/1.1 200 OK\r\n")
        assert found.endswith(b"\r\n\r\nsmall")

    async def test_curl_speaks_http2_with_it(self, gateway, film, tmp_path) -> None:
        curl = shutil.which("curl")
        if curl is None or "HTTP2" not in subprocess.run([curl, "--version"], capture_output=True, text=True).stdout:
            pytest.skip("no curl with HTTP/2 here")
        url = f"https://127.0.0.1:{gateway.listening().tls_port}/ipfs/{film}"
        command = [curl, "-sS", "-k", "--http2", "-o", tmp_path / "film", "-w", "%{http_version} %{http_code}", url]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=50)
        assert (done.stdout, done.stderr) == ("2 200", "")
        assert (tmp_path / "film").read_bytes() == FILM


def resets(client, small):
    """CVE-2023-44487: asks and takes it back, again and again."""
    for _ in range(1000):
        client.h2.reset_stream(client.ask(small), ErrorCodes.CANCEL)


def settings(client, _small):
    for value in range(3000):
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 65_535 + value})


def pings(client, _small):
    for number in range(3000):
        client.h2.ping(number.to_bytes(8, "big"))


def windows(client, _small):
    for _ in range(3000):
        client.h2.increment_flow_control_window(1)


def priorities(client, _small):
    for number in range(3000):
        client.h2.prioritize(2 * number + 1, weight=9, depends_on=0)


def empty_data(client, _small):
    stream = client.h2.get_next_available_stream_id()
    pseudo = [(":method", "GET"), (":path", "/ipfs/bafkqaaa"), (":scheme", "https"), (":authority", "x")]
    client.h2.send_headers(stream, pseudo)
    for _ in range(3000):
        client.h2.send_data(stream, b"")


class TestRudeClients:
    @pytest.mark.parametrize("flood", [resets, settings, pings, windows, priorities, empty_data])
    async def test_a_flood_is_ended_and_others_are_served(self, http2, small, flood) -> None:
        def work(client):
            client.get(small)
            flood(client, small)
            try:
                client.flush()
            except OSError:
                return ErrorCodes.ENHANCE_YOUR_CALM  # it has hung up on us already
            return client.until_closed()

        assert await with_client(http2, work) in (ErrorCodes.ENHANCE_YOUR_CALM, None)
        assert (await with_client(http2, lambda c: c.get(small))).body == b"small"
        async with asyncio.timeout(30):
            while any(task.get_name() == "HTTP/2 request" for task in asyncio.all_tasks()):
                await asyncio.sleep(0.01)

    async def test_a_polite_client_that_cancels_now_and_then_is_not_taken_for_a_flood(self, http2, small) -> None:
        def work(client):
            for _ in range(300):
                client.h2.reset_stream(client.ask(small), ErrorCodes.CANCEL)
                client.get(small)
            return client.get(small).status

        assert await with_client(http2, work) == 200

    async def test_more_streams_than_allowed_break_the_protocol(self, http2, node, small) -> None:
        node.gate.clear()

        def work(client):
            client.until(lambda: client.h2.remote_settings.max_concurrent_streams == 100)
            client.h2.remote_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 1000
            client.h2.remote_settings.acknowledge()
            for _ in range(101):
                client.ask(small)
            return client.until_closed()

        assert await with_client(http2, work) == ErrorCodes.PROTOCOL_ERROR
        node.gate.set()

    @pytest.mark.parametrize("value", ["x" * 20_000, "x" * 100_000])
    async def test_a_large_head_ends_the_connection(self, http2, small, value) -> None:
        def work(client):
            client.ask(small, cookie=value)
            return client.until_closed()

        assert await with_client(http2, work) == ErrorCodes.ENHANCE_YOUR_CALM

    async def test_a_client_that_reads_nothing_holds_a_window_and_then_its_answer_is_cut(
        self, http2, film, node, monkeypatch
    ) -> None:
        monkeypatch.setattr(answer, "SEND_SECONDS_MAX", 0.5)

        def work(client):
            client.opens_windows = False
            stream = client.ask(f"/ipfs/{film}?filename=x.bin")
            client.until(lambda: client.responses[stream].is_over)
            return client.responses[stream]

        found = await with_client(http2, work)
        assert (found.is_whole, found.reset, len(found.body)) == (False, ErrorCodes.INTERNAL_ERROR, 65_535)
        assert node.asked_elsewhere <= 9

    async def test_who_asks_nothing_is_sent_away(self, gateway, http2, monkeypatch) -> None:
        monkeypatch.setattr(http2_module, "HEAD_SECONDS_MAX", 0.2)
        assert await with_client(http2, lambda c: c.until_closed()) == ErrorCodes.NO_ERROR

    @pytest.mark.parametrize(
        "junk", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100, b"\xff" * 5000], ids=["http1", "zeros", "ones"]
    )
    async def test_junk_ends_the_connection(self, http2, junk) -> None:
        def work():
            client = http2()  # without a preface
            with client.socket:
                client.socket.sendall(junk)
                return b"".join(iter(lambda: client.socket.recv(65536), b""))

        assert len(await asyncio.to_thread(work)) < 200, "its settings, and at most a GOAWAY; then the end"

    async def test_a_body_is_taken_and_forgotten(self, http2, small) -> None:
        """More than the windows of connection and stream, so it is acknowledged as well."""

        def work(client):
            stream = client.h2.get_next_available_stream_id()
            pseudo = [(":method", "POST"), (":path", "/ipfs/bafkqaaa"), (":scheme", "https"), (":authority", "x")]
            client.h2.send_headers(stream, pseudo)
            client.responses[stream] = type(client.responses[client.ask(small)])()
            client.until(lambda: client.responses[stream].status == 405)
            return client.get(small).status

        assert await with_client(http2, work) == 200


http2_module = http2


class TestWithoutASocket:
    """What needs a transport that behaves badly."""

    async def test_a_client_that_reads_no_answers_to_its_pings_is_dropped(self) -> None:
        aborted = []
        transport = SimpleNamespace(
            set_write_buffer_limits=lambda high: None, write=lambda data: None, get_extra_info=lambda name: None,
            get_write_buffer_size=lambda: http2_module.UNWRITTEN_BYTES_MAX + 1, abort=lambda: aborted.append(1),
        )  # fmt: skip
        connection = Http2Connection(_never, set(), logging.getLogger("t"))
        connection.connection_made(transport)
        connection.data_received(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000"))
        assert aborted == [1]
        connection.connection_lost(None)

    async def test_our_table_of_headers_stays_small_whatever_the_client_allows(self) -> None:
        transport = SimpleNamespace(
            set_write_buffer_limits=lambda high: None, write=lambda data: None, get_extra_info=lambda name: None,
            get_write_buffer_size=lambda: 0, close=lambda: None,
        )  # fmt: skip
        connection = Http2Connection(_never, set(), logging.getLogger("t"))
        connection.connection_made(transport)
        allow_4_gib = bytes.fromhex("0000060400000000000001ffffffff")
        connection.data_received(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + allow_4_gib)
        assert connection._h2.encoder.header_table_size == http2_module.HEADER_TABLE_BYTES
        connection.connection_lost(None)


async def _never(_scope, _receive, _send) -> None:
    raise AssertionError("nothing was asked")


def test_credit_is_used_up_by_a_flood_and_grows_with_time_and_with_what_is_read() -> None:
    credit = Credit(10.0)
    assert all(credit.spend(1.0, 10.0) for _ in range(int(CREDIT_MAX)))
    assert not credit.spend(1.0, 10.0)
    credit.earn(5.0)
    assert credit.spend(1.0, 10.0)
    assert credit.spend(CREDIT_PER_SECOND, 11.0)
    assert not credit.spend(CREDIT_MAX, 11.0)
    assert credit.spend(CREDIT_MAX, 10_000.0)


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    credit = Credit(10.0)
    credit.spend(CREDIT_MAX, 10.0)
    assert not credit.spend(1.0, 5.0)
