"""A gateway on a real socket over blocks in memory: some on this node, some on another one of its cluster."""

import asyncio
import http.client
import logging
import random
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset

from ralnode.api import Address, BlockKey, Context, NodeInfo, Settings, UnavailableError
from ralnode.dag import cid as cids
from ralnode.dag.car import CarReader
from ralnode.testing.fake_identity import FakeIdentity
from ralnode_gateway_ipfs.options import IpfsOptions
from ralnode_gateway_ipfs.server import IpfsGateway

FIXTURES = Path(__file__).parent / "fixtures"


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        try:
            self.body, self.is_whole = response.read(), True
        except http.client.IncompleteRead as error:
            self.body, self.is_whole = error.partial, False

    @property
    def cids(self) -> list[str]:
        """Of the CAR in the body, each block verified."""
        reader = CarReader()
        found = [cids.to_text(block.key) for block in reader.feed(self.body)]
        if self.is_whole:
            reader.finish()
        return found

    @property
    def header_bytes(self) -> int:
        return sum(len(name) + len(value) + 4 for name, value in self.headers.items())


class MemoryNode:
    """What a gateway asks of its node, over two dictionaries. Counts what it was asked for."""

    def __init__(self) -> None:
        self.here: dict[BlockKey, bytes] = {}
        self.elsewhere: dict[BlockKey, bytes] = {}
        self.asked_elsewhere = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.me = NodeInfo(bytes([1]) * 32, "attic", 10**9, addresses=(Address("192.168.1.10", 10090),))
        self.others: list[NodeInfo] = []
        self.holding: dict[bytes, list[bytes]] = {}
        """Root -> ids of the nodes that have blocks of it."""
        self.removed: set[bytes] = set()

    async def block(self, key: BlockKey, *, local_only: bool = False) -> bytes | None:
        await self.gate.wait()
        found = self.here.get(key)
        if found is None and not local_only:
            self.asked_elsewhere += 1
            found = self.elsewhere.get(key)
        return found

    async def blocks(
        self, keys: Sequence[BlockKey], *, root: bytes | None = None, local_only: bool = False
    ) -> Sequence[bytes]:
        found = [await self.block(key, local_only=local_only) for key in keys]
        if None in found:
            raise UnavailableError("no live node has it")
        return [block for block in found if block is not None]

    def nodes(self) -> Sequence[NodeInfo]:
        return [self.me, *self.others]

    def holders(self, root: bytes) -> Sequence[NodeInfo] | None:
        having = self.holding.get(root)
        return None if having is None else [node for node in self.nodes() if node.id in having]

    async def block_holders(self, key: BlockKey) -> Sequence[NodeInfo]:
        places = [*([self.me] if key in self.here else []), *(self.others if key in self.elsewhere else [])]
        return [node for node in self.nodes() if node in places]

    def was_removed(self, root: bytes) -> bool:
        return root in self.removed

    def add_car(self, name: str) -> list[str]:
        """The CIDs of its blocks."""
        blocks = list(CarReader().feed((FIXTURES / name).read_bytes()))
        self.here.update({cids.to_key(block.key): block.data for block in blocks})
        return [cids.to_text(block.key) for block in blocks]


class Client:
    def __init__(self, url: str) -> None:
        self.port = int(url.rsplit(":", 1)[1])

    async def ask(self, target: str, method: str = "GET", **headers: str) -> Answer:
        return await asyncio.to_thread(self._ask, target, method, {k.replace("_", "-"): v for k, v in headers.items()})

    def _ask(self, target: str, method: str, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, target, headers=headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()


@dataclass
class Response:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    is_whole: bool = False
    reset: int | None = None

    @property
    def is_over(self) -> bool:
        return self.is_whole or self.reset is not None


class Http2Client:
    """Blocking: as polite or as rude as a test wants it."""

    def __init__(self, port: int, alpn: str = "h2") -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols([alpn])
        self.socket = context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=20))
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.responses: dict[int, Response] = {}
        self.ended: ConnectionTerminated | None = None
        self.is_closed = False
        self.opens_windows = True

    def __enter__(self) -> Self:
        self.h2.initiate_connection()
        self.flush()
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    @property
    def certificate(self) -> bytes:
        found = self.socket.getpeercert(binary_form=True)
        assert found is not None
        return found

    def flush(self) -> None:
        self.socket.sendall(self.h2.data_to_send())

    def ask(self, path: str, method: str = "GET", **headers: str) -> int:
        stream = self.h2.get_next_available_stream_id()
        pseudo = [(":method", method), (":path", path), (":scheme", "https"), (":authority", "localhost")]
        self.h2.send_headers(
            stream, [*pseudo, *((k.replace("_", "-"), v) for k, v in headers.items())], end_stream=True
        )
        self.responses[stream] = Response()
        return stream

    def get(self, path: str, method: str = "GET", **headers: str) -> Response:
        found = self.responses[self.ask(path, method, **headers)]
        self.until(lambda: found.is_over)
        return found

    def until(self, done: Callable[[], bool]) -> None:
        """Reads until then, or until the server has closed."""
        self.flush()
        while not done() and not self.is_closed:
            try:
                data = self.socket.recv(1 << 18)
            except (ConnectionError, ssl.SSLError):
                data = b""
            if not data:
                self.is_closed = True
                return
            for event in self.h2.receive_data(data):
                self._take(event)
            if not self.is_closed and self.ended is None:
                self.flush()

    def until_closed(self) -> ErrorCodes | int | None:
        """The code of the server's GOAWAY, None if it left without a word."""
        self.until(lambda: self.ended is not None)
        return self.ended.error_code if self.ended else None

    def _take(self, event: object) -> None:
        if isinstance(event, ConnectionTerminated):
            self.ended = event
        stream = getattr(event, "stream_id", None)
        found = self.responses.get(stream) if stream else None
        if found is None:
            return
        if isinstance(event, ResponseReceived):
            fields = dict(event.headers)
            found.status = int(fields.pop(":status"))
            found.headers = {str(k): str(v) for k, v in fields.items()}
        elif isinstance(event, DataReceived):
            found.body += event.data
            if self.opens_windows:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            found.is_whole = True
        elif isinstance(event, StreamReset):
            found.reset = event.error_code


def context(node: MemoryNode, folder: Path) -> Context:
    settings = Settings("attic", "home", "", folder, "127.0.0.1", 0, 0, 0, 10**9, 0, ())
    return Context(settings, FakeIdentity("attic"), node, logging.getLogger("t"), random.Random(1), 1)  # type: ignore[arg-type]


@pytest.fixture
def node() -> MemoryNode:
    return MemoryNode()


@pytest.fixture
def options() -> IpfsOptions:
    return IpfsOptions(port=0, tls=False)


@pytest.fixture
async def gateway(node: MemoryNode, options: IpfsOptions, tmp_path: Path) -> AsyncIterator[IpfsGateway]:
    made = IpfsGateway(context(node, tmp_path), options)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@pytest.fixture
def client(gateway: IpfsGateway) -> Client:
    return Client(gateway.url)


@pytest.fixture
def again(node: MemoryNode, tmp_path: Path) -> Callable[[IpfsOptions], IpfsGateway]:
    """Another gateway of the same node."""
    return lambda options: IpfsGateway(context(node, tmp_path), options)


@pytest.fixture
def http2(gateway: IpfsGateway) -> Callable[[], Http2Client]:
    """Another connection to the gateway's port for TLS."""
    return lambda: Http2Client(gateway.listening().tls_port)
