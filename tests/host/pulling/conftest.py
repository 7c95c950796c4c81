"""A trustless gateway on a real socket that does what a test tells it to, and counts what it is asked for."""

from __future__ import annotations

import random
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ralnode.api import Block
from ralnode.dag import car, pb
from ralnode.dag import cid as cids
from ralnode.dag.build import FileBuilder, make_leaf
from ralnode.dag.directory import build_directory
from ralnode.dag.pb import Link
from ralnode.dag.profile import Profile, choose
from ralnode.host.dagindex import DagIndex
from ralnode.host.ingest import AddOptions, Progress
from ralnode.host.pulling import GatewayAddress, GatewayClient, Pull
from ralnode.testing.memory_storage import MemoryStorage
from ralnode_gateway_ipfs.certificate import self_signed

SMALL = choose("unixfs-v1-2025", chunk_size="4096", max_links=4)
"""Some levels of nodes from little content."""


@dataclass
class Made:
    """A DAG: its blocks depth first, and the file contents below the root."""

    root: bytes
    blocks: dict[bytes, bytes]
    content: bytes = b""

    def car(self) -> bytes:
        return car.encode_header([self.root]) + b"".join(car.encode_section(k, v) for k, v in self.blocks.items())


def file_of(data: bytes, profile: Profile = SMALL) -> Made:
    builder, blocks = FileBuilder(profile), dict[bytes, bytes]()

    def keep(made: list[Block]) -> None:
        blocks.update({block.key: block.data for block in made})

    for start in range(0, max(1, len(data)), profile.chunk_bytes):
        leaf, block = make_leaf(profile, data[start : start + profile.chunk_bytes])
        keep([block])
        keep(builder.add(leaf))
    built, rest = builder.finish()
    keep(rest)
    return Made(built.cid, depth_first(built.cid, blocks), data)


def folder_of(files: dict[str, Made]) -> Made:
    blocks = {key: data for made in files.values() for key, data in made.blocks.items()}
    links = [Link(made.root, name.encode(), sum(map(len, made.blocks.values()))) for name, made in files.items()]
    built, own = build_directory(SMALL, links, sum(len(made.content) for made in files.values()))
    blocks.update({cids.to_key(block.key): block.data for block in own})
    return Made(built.cid, depth_first(built.cid, blocks))


def depth_first(root: bytes, blocks: dict[bytes, bytes]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    waiting = [cids.to_key(root)]
    while waiting:
        key = waiting.pop()
        if key not in found and key in blocks:
            found[key] = blocks[key]
            if cids.codec_of(key) == cids.DAG_PB:
                waiting += [cids.to_key(link.cid) for link in reversed(pb.decode(blocks[key]).links)]
    return found


@dataclass
class Origin:
    """`blocks` are served singly, and as CARs unless `makes_cars` is False."""

    blocks: dict[bytes, bytes] = field(default_factory=dict)
    makes_cars: bool = True
    cut_cars_after: int | None = None
    """Bytes, then the connection breaks."""
    twist: Callable[[bytes, bytes], bytes] = lambda _key, data: data
    """What is sent for a block."""
    before: Callable[[Any, str], bool] = lambda _handler, _path: False
    """True: it has answered by itself."""
    asked_blocks: list[bytes] = field(default_factory=list)
    asked_cars: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""
    at_once: int = 0
    at_once_max: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def serve(self, made: Made) -> Made:
        self.blocks.update(made.blocks)
        return made


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    origin: Origin

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        origin = self.origin
        origin.headers.append({k.lower(): v for k, v in self.headers.items()})
        if origin.before(self, self.path):
            return
        parts = urlsplit(self.path)
        key = cids.to_key(cids.parse(parts.path.rsplit("/", 1)[1]))
        if parse_qs(parts.query)["format"] == ["car"]:
            self._car(key)
        else:
            with origin.lock:
                origin.at_once += 1
                origin.at_once_max = max(origin.at_once, origin.at_once_max)
            self._block(key)
            with origin.lock:
                origin.at_once -= 1

    def _block(self, key: bytes) -> None:
        self.origin.asked_blocks.append(key)
        data = self.origin.blocks.get(key)
        if data is None:
            self.answer(404, b"not here")
        else:
            self.answer(200, self.origin.twist(key, data))

    def _car(self, key: bytes) -> None:
        if not self.origin.makes_cars:
            self.answer(406, b"no CARs here")
            return
        self.origin.asked_cars.append(key)
        if key not in self.origin.blocks:
            self.answer(404, b"not here")
            return
        found = depth_first(key, self.origin.blocks)
        body = Made(key, {k: self.origin.twist(k, v) for k, v in found.items()}).car()
        cut = self.origin.cut_cars_after
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.ipld.car; version=1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if cut is None else body[:cut])
        if cut is not None and cut < len(body):
            self.close_connection = True

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are what some tests are about."""


MakeOrigin = Callable[..., Origin]


@pytest.fixture
def make_origin() -> Iterator[MakeOrigin]:
    servers: list[_Server] = []

    def make(tls: Path | None = None, **settings: Any) -> Origin:
        origin = Origin(**settings)
        server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"origin": origin}))
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        origin.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return origin

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def origin(make_origin: MakeOrigin) -> Origin:
    return make_origin()


@dataclass
class Store:
    """A store to pull into. `slept`: what the client would have waited for."""

    storage: MemoryStorage
    index: DagIndex
    progress: list[Progress] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    is_open: bool = False

    async def pull(self, url: str, root: bytes, *, insecure: bool = False, **options: Any) -> Any:
        if not self.is_open:
            await self.storage.open(lambda _keys: None)
            self.is_open = True
        client = GatewayClient(GatewayAddress.parse(url), insecure=insecure, sleep=self.slept.append)
        pull = Pull(self.storage, self.index, client, AddOptions(**options), self.progress.append)
        try:
            return await pull.run(root)
        finally:
            pull.close()

    async def holds(self, made: Made) -> bool:
        return None not in await self.storage.get_many(list(made.blocks))


@pytest.fixture
def make_store() -> Callable[[int], Store]:
    def make(capacity_bytes: int = 1 << 30) -> Store:
        storage = MemoryStorage(capacity_bytes)
        return Store(storage, DagIndex(storage))

    return make


@pytest.fixture
def store(make_store: Callable[..., Store]) -> Store:
    return make_store()


@pytest.fixture
def film() -> Made:
    """30 leaves on three levels."""
    return file_of(random.Random(3).randbytes(30 * 4096 - 7))


@pytest.fixture
def tools() -> Any:
    """The makers above, for test files."""

    class Tools:
        file = staticmethod(file_of)
        folder = staticmethod(folder_of)
        made = Made

    return Tools


@pytest.fixture
def given() -> Callable[[Path], Path]:
    """A certificate that nobody trusts, with its key, in one file of a folder."""

    def make(folder: Path) -> Path:
        return self_signed(folder, "origin", [], datetime.now(UTC)).path

    return make
