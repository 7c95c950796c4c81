"""The service on a real socket, over a node in memory whose pulls are scripted."""

import asyncio
import http.client
import json
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ralnode.api import Context, NodeInfo, Settings
from ralnode.dag import cid as cids
from ralnode.testing.fake_identity import FakeIdentity
from ralnode_gateway_pinning import worker
from ralnode_gateway_pinning.options import PinningOptions
from ralnode_gateway_pinning.server import PinningGateway

GATEWAY = "http://192.0.2.7:8080"


@dataclass
class KnownSource:
    root: bytes
    name: str


class MemoryNode:
    def __init__(self) -> None:
        self.known: list[KnownSource] = []
        self.pulled: list[tuple[str, str]] = []
        self.removed: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.trouble: Callable[[str], Exception | None] = lambda _url: None
        self.me = NodeInfo(bytes(range(32)), "attic", "", 0, (), 0)

    def sources(self) -> Sequence[Any]:
        return self.known

    def nodes(self) -> Sequence[NodeInfo]:
        return [self.me]

    async def pull(self, url: str, cid: bytes, name: str) -> Mapping[str, Any]:
        self.pulled.append((url, cids.to_text(cid)))
        await self.gate.wait()
        if (trouble := self.trouble(url)) is not None:
            raise trouble
        self.known.append(KnownSource(cid, name))
        return {}

    async def command(self, name: str, params: Mapping[str, Any], node: str | None = None) -> Mapping[str, Any]:
        assert name == "rm"
        self.removed.append(params["source"])
        self.known = [source for source in self.known if cids.to_text(source.root) != params["source"]]
        return {}


class Service:
    """The gateway and a client of it."""

    def __init__(self, node: MemoryNode, folder: Path, options: PinningOptions) -> None:
        self.node = node
        settings = Settings("attic", "home", "", folder, "127.0.0.1", 0, 0, 0, 10**9, 0, ())
        context = Context(settings, FakeIdentity("attic"), node, logging.getLogger("t"), random.Random(1), 1)  # type: ignore[arg-type]
        self.gateway = PinningGateway(context, options)

    @property
    def token(self) -> str:
        return self.gateway.token_path.read_text().strip()

    async def ask(
        self, method: str, target: str, body: Any = None, token: str | None = None, **headers: str
    ) -> tuple[int, Any]:
        given = {"Authorization": f"Bearer {self.token if token is None else token}", **headers}
        sent = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        return await asyncio.to_thread(self._ask, method, target, sent, given)

    def _ask(self, method: str, target: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", int(self.gateway.url.rsplit(":", 1)[1]), timeout=30)
        try:
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            data = answer.read()
            return answer.status, json.loads(data) if data else None
        finally:
            connection.close()

    async def raw(self, data: bytes) -> bytes:
        """Everything that comes back until the other side closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", int(self.gateway.url.rsplit(":", 1)[1]))
        writer.write(data)
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return answer

    async def pin(self, cid: str, **more: Any) -> str:
        """The requestid."""
        status, found = await self.ask("POST", "/pins", {"cid": cid, **more})
        assert status == 202, found
        return str(found["requestid"])

    async def until(self, request_id: str, state: str) -> Any:
        async with asyncio.timeout(30):
            while (found := (await self.ask("GET", f"/pins/{request_id}"))[1])["status"] != state:
                await asyncio.sleep(0.01)
            return found


@pytest.fixture
def node() -> MemoryNode:
    return MemoryNode()


@pytest.fixture
def options() -> PinningOptions:
    return PinningOptions(port=0, gateways=(GATEWAY,), client_port=0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries again at once."""
    monkeypatch.setattr(worker, "RETRY_SECONDS", 0.02)


@pytest.fixture
async def service(node: MemoryNode, options: PinningOptions, tmp_path: Path) -> AsyncIterator[Service]:
    made = Service(node, tmp_path, options)
    await made.gateway.start()
    try:
        yield made
    finally:
        await made.gateway.stop()


@pytest.fixture
def again(node: MemoryNode, options: PinningOptions, tmp_path: Path) -> Callable[..., Service]:
    """The same service after a restart, with other options if need be."""
    return lambda **changed: Service(node, tmp_path, replace(options, **changed))
