"""Node to node over mutual TLS, verified and stored durably, against `curl` over TLS from nginx piped to `sha256sum`.

    python tests/bench/bench_transport.py [--mib 1024] [--pairs 5] [--json]

Two real halves of nodes, the sending one a process of its own: block store, DAG index, transport. Debian: nginx-light curl.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import logging
import random
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pairs import Figure, report, speed_ratio

from ralnode.api import Address, Block, BlockKey, Context, Peer, Settings, limits
from ralnode.dag.build import FileBuilder, make_leaf
from ralnode.dag.profile import V1_2025
from ralnode.host import certificate
from ralnode.host.dagindex import DagIndex
from ralnode.host.groups import GroupWriter
from ralnode.host.identity import open_identity
from ralnode.host.metering.meters import Meters
from ralnode.host.peerservice import PeerAnswers
from ralnode.host.streams import guarded, pour
from ralnode.testing.content import key_stream
from ralnode_storage_sqlite.options import SqliteOptions
from ralnode_storage_sqlite.store import SqliteStorage
from ralnode_transport_http import HttpOptions, HttpTransport

SECRET: Final = bytes(range(32))
NOBODY: Any = None
"""Parts of a node that are not measured."""


class Half:
    """Store and transport of a node."""

    def __init__(self, folder: Path) -> None:
        settings = Settings("bench", "", "", folder, "127.0.0.1", 0, 0, 0, 1 << 40, 0, ())
        context = Context(
            settings, open_identity(folder, SECRET), NOBODY, logging.getLogger("bench"), random.Random(1), 1
        )
        self.storage = SqliteStorage(context, SqliteOptions())
        self.transport = HttpTransport(context, HttpOptions())
        self.dag = DagIndex(self.storage)

    async def __aenter__(self) -> Half:
        await self.storage.open(lambda keys: None)
        await self.transport.start(PeerAnswers(NOBODY, self.storage, self.dag, NOBODY, Meters(self.storage)))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.transport.stop()
        await self.storage.close()

    async def add(self, path: Path) -> bytes:
        """The root of the file, all blocks of which are stored."""
        builder = FileBuilder(V1_2025)
        with path.open("rb") as file:
            while chunk := file.read(limits.MIB):
                leaf, block = make_leaf(V1_2025, chunk)
                await self.storage.put([block, *builder.add(leaf)])
        built, last = builder.finish()
        await self.storage.put(last)
        await self.dag.describe(built.cid, "bench")
        return built.cid

    async def fetch(self, peer: Peer, root: bytes) -> None:
        """As a node does that has got to know a source: interior nodes first, then leaves, 64 MiB in each request."""
        await self._store(self.transport.fetch_interior(peer, root))
        await self.dag.describe(root, "bench")
        keys = list(enumerate((await self.dag._known(root)).leaves))
        count = limits.FETCH_BYTES_PER_TASK // limits.MIB
        for start in range(0, len(keys), count):
            await self._store(self.transport.fetch_blocks(peer, root, keys[start : start + count]))

    async def _store(self, stream: AsyncIterator[Sequence[Block]]) -> None:
        async with GroupWriter(self.storage, None, told) as writer, aclosing(guarded(stream)) as batches:
            await pour(batches, writer)


async def told(_keys: Sequence[BlockKey], _size_bytes: int) -> None:
    """Nobody waits for it here."""


async def serve(folder: Path) -> None:
    async with Half(folder / "server") as half:
        root = await half.add(folder / "content")
        print(half.transport.port, root.hex(), flush=True)
        await half.transport.wait()


async def watch_loop(longest: list[float]) -> None:
    """The longest time that the event loop did not come round."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.005)
        longest[0] = max(longest[0], time.perf_counter() - before - 0.005)


def start_nginx(folder: Path) -> int:
    ca, key = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    (folder / "nginx.pem").write_bytes(
        certificate.to_pem(certificate.make_leaf(ca, key.public_key())) + certificate.key_to_pem(key)
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    (folder / "nginx.conf").write_text(
        f"worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log error;"
        "events {} http { access_log off; sendfile on; server {"
        f"listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/nginx.pem; ssl_certificate_key {folder}/nginx.pem;"
        f"ssl_protocols TLSv1.3; root {folder}; }} }}"
    )
    subprocess.run(["nginx", "-c", f"{folder}/nginx.conf"], check=True)
    return port


def curl(port: int, digest: Sequence[str]) -> str:
    source = ["curl", "-sk", "--fail", f"https://127.0.0.1:{port}/content"]
    with subprocess.Popen(source, stdout=subprocess.PIPE) as running:
        return subprocess.run(digest, stdin=running.stdout, capture_output=True, check=True, text=True).stdout


def make_content(path: Path, mib: int) -> str:
    whole = hashlib.sha256()
    with path.open("wb") as file:
        for chunk in key_stream("bench", mib * limits.MIB):
            file.write(chunk)
            whole.update(chunk)
    return whole.hexdigest()


def measure(folder: Path, mib: int, pairs: int, server: subprocess.Popen[str], digest: str) -> list[Figure]:
    assert server.stdout is not None
    port, root = server.stdout.readline().split()
    peer = Peer(open_identity(folder / "server", SECRET).id, (Address("127.0.0.1", int(port)),))
    nginx_port = start_nginx(folder)
    longest, runs = [0.0], iter(range(1000))

    def ours() -> None:
        """Removes what it has received, or the page cache would grow by a file each time, which costs more each time."""
        place = folder / f"client{next(runs)}"
        receiver = Half(place)

        async def run() -> None:
            async with receiver:
                watching = asyncio.create_task(watch_loop(longest))
                await receiver.fetch(peer, bytes.fromhex(root))
                watching.cancel()
                assert receiver.storage.usage().block_count >= mib

        uvloop.run(run())
        shutil.rmtree(place)

    def curl_to(*tool: str) -> None:
        assert digest in curl(nginx_port, tool)

    peak_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    what = f"node to node, mTLS, verified, stored durably, {mib} MiB ÷ curl over TLS from nginx"
    try:
        figures = [
            speed_ratio(f"{what} | sha256sum", ours, lambda: curl_to("sha256sum"), 0.5, pairs=pairs),
            _told(
                speed_ratio(f"{what} | openssl", ours, lambda: curl_to("openssl", "dgst", "-sha256"), 0, pairs=pairs)
            ),
        ]
    finally:
        subprocess.run(["nginx", "-c", f"{folder}/nginx.conf", "-s", "quit"], check=False, stderr=subprocess.DEVNULL)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_before) / 1024
    figures.append(Figure("peak memory of the receiver above its start", grown, "MiB", 64, at_least=False))
    figures.append(Figure("longest block of the receiver's event loop", longest[0] * 1000, "ms", None, at_least=False))
    return figures


def _told(figure: Figure) -> Figure:
    """Shown without a bar: openssl hashes with the processor's SHA instructions, Debian 12's sha256sum does not."""
    return replace(figure, bar=None)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", type=Path)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--pairs", type=int, default=5)
    arguments, rest = parser.parse_known_args()
    if arguments.serve:
        uvloop.run(serve(arguments.serve))
    missing = [tool for tool in ("nginx", "curl", "openssl", "sha256sum") if shutil.which(tool) is None]
    if missing:
        print(
            f"not measured, missing: {', '.join(missing)} (apt-get install nginx-light curl openssl)", file=sys.stderr
        )
        return report([], rest)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx reads as another user
        digest = make_content(folder / "content", arguments.mib)
        server = subprocess.Popen([sys.executable, __file__, "--serve", name], stdout=subprocess.PIPE, text=True)
        try:
            return report(measure(folder, arguments.mib, arguments.pairs, server, digest), rest)
        finally:
            server.kill()
            server.wait()


if __name__ == "__main__":
    raise SystemExit(main())
