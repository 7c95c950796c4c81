"""A gateway on a real socket over blocks in memory: some on this node, some on another one of its cluster."""

import asyncio
import http.client
import logging
import random
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

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
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, target, headers=headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()


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
