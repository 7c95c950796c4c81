"""Node to node over mutual TLS, verified and stored durably, against `curl` over TLS from nginx piped to `sha256sum`.

The sending node is a process of its own. Both read the same file; what arrives is written with fdatasync every 32 MiB.
`python tests/bench/bench_transport.py [--json] [--mib 1024]`. Needs nginx and curl (Debian: apt-get install nginx-light curl).
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import logging
import os
import random
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, cast

import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pairs import Figure, report, speed_ratio

from ralnode.api import Address, Block, BlockKey, BlockSet, Context, NodeId, Peer, Settings, limits
from ralnode.dag import cid
from ralnode.host import certificate
from ralnode.host.identity import open_identity
from ralnode.testing.content import key_stream
from ralnode_transport_http import HttpOptions, HttpTransport

SECRET = bytes(range(32))
BLOCK_BYTES = limits.MIB
SYNC_BYTES = 32 * limits.MIB
BATCH_BLOCKS = 4


class FileService:
    """Serves a file in blocks of 1 MiB, each verified before it is sent, as the store does."""

    def __init__(self, path: Path, keys: Sequence[BlockKey]) -> None:
        self._file = os.open(path, os.O_RDONLY)
        self._keys = keys

    async def answer_sync(self, peer: NodeId, seen_at: Address, body: bytes) -> bytes:
        return body

    async def answer_command(self, peer: NodeId, body: bytes) -> bytes:
        return body

    async def has_block(self, key: BlockKey) -> bool:
        return key in self._keys

    async def block(self, key: BlockKey) -> bytes | None:
        return self._read([self._keys.index(key)])[0].data

    async def blocks(self, root: bytes, wanted: BlockSet) -> AsyncIterator[Sequence[Block]]:
        indexes = list(wanted)
        for start in range(0, len(indexes), BATCH_BLOCKS):
            yield await asyncio.to_thread(self._read, indexes[start : start + BATCH_BLOCKS])

    async def interior(self, root: bytes) -> AsyncIterator[Sequence[Block]]:
        for _ in ():
            yield _

    def _read(self, indexes: Sequence[int]) -> list[Block]:
        found = []
        for index in indexes:
            data = os.pread(self._file, BLOCK_BYTES, index * BLOCK_BYTES)
            assert cid.verify(self._keys[index], data)
            found.append(Block(self._keys[index], data))
        return found


def make_transport(folder: Path) -> HttpTransport:
    settings = Settings("bench", "", "", folder, "127.0.0.1", 0, 0, 0, limits.GIB, 0, ())
    identity = open_identity(folder, SECRET)
    log = logging.getLogger("bench")
    return HttpTransport(Context(settings, identity, cast(Any, None), log, random.Random(1), 1), HttpOptions())


def keys_of(path: Path) -> list[BlockKey]:
    with path.open("rb") as file:
        return [cid.make(cid.RAW, data) for data in iter(lambda: file.read(BLOCK_BYTES), b"")]


async def serve(folder: Path) -> None:
    transport = make_transport(folder / "server")
    await transport.start(FileService(folder / "content", keys_of(folder / "content")))
    print(transport.port, flush=True)
    await transport.wait()


class Store:
    """Writes and syncs in a thread while the next batch is on its way."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self._unsynced = 0

    def put(self, batch: Sequence[Block]) -> None:
        for _, data in batch:
            os.write(self._file, data)
            self._unsynced += len(data)
        if self._unsynced >= SYNC_BYTES:
            self.sync()

    def sync(self) -> None:
        os.fdatasync(self._file)
        self._unsynced = 0


class LoopWatch:
    """The longest time that the event loop did not come round."""

    def __init__(self) -> None:
        self.longest_seconds = 0.0

    async def run(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.005)
            self.longest_seconds = max(self.longest_seconds, time.perf_counter() - before - 0.005)


async def fetch_all(client: HttpTransport, peer: Peer, keys: Sequence[BlockKey], into: Path) -> None:
    store = Store(into)
    numbered = list(enumerate(keys))
    count = limits.FETCH_BYTES_PER_TASK // BLOCK_BYTES
    for start in range(0, len(numbered), count):
        async for batch in client.fetch_blocks(peer, keys[0], numbered[start : start + count]):
            await asyncio.to_thread(store.put, batch)
    await asyncio.to_thread(store.sync)


def start_nginx(folder: Path) -> int:
    ca, key = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    (folder / "nginx.pem").write_bytes(
        certificate.to_pem(certificate.make_leaf(ca, key.public_key())) + certificate.key_to_pem(key)
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "nginx.conf").write_text(
        f"worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log; user root;"
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


def measure(folder: Path, mib: int) -> list[Figure]:
    whole = hashlib.sha256()
    with (folder / "content").open("wb") as file:
        for chunk in key_stream("bench", mib * limits.MIB):
            file.write(chunk)
            whole.update(chunk)
    keys, nginx_port = keys_of(folder / "content"), start_nginx(folder)
    server = subprocess.Popen([sys.executable, __file__, "--serve", str(folder)], stdout=subprocess.PIPE, text=True)
    watch = LoopWatch()
    try:
        assert server.stdout is not None
        peer = Peer(open_identity(folder / "server", SECRET).id, (Address("127.0.0.1", int(server.stdout.readline())),))

        def ours() -> None:
            async def run() -> None:
                client = make_transport(folder / "client")
                await client.start(FileService(folder / "content", keys))
                watching = asyncio.create_task(watch.run())
                await fetch_all(client, peer, keys, folder / "received")
                watching.cancel()
                await client.stop()

            uvloop.run(run())

        def against(tool: Sequence[str]) -> None:
            assert whole.hexdigest() in curl(nginx_port, tool)

        rss_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        what = f"node to node, mTLS, verified, durable, {mib} MiB ÷ curl over TLS from nginx"
        figures = [
            speed_ratio(f"{what} | sha256sum", ours, lambda: against(["sha256sum"]), 0.5),
            speed_ratio(f"{what} | openssl sha256", ours, lambda: against(["openssl", "dgst", "-sha256"]), 0.5),
        ]
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - rss_before) / 1024
        figures.append(Figure("peak memory of the receiver above its start", grown, "MiB", 64, at_least=False))
        assert (folder / "content").stat().st_size == (folder / "received").stat().st_size
        assert keys_of(folder / "received") == keys
        blocked = watch.longest_seconds * 1000
        figures.append(Figure("longest block of the receiver's event loop", blocked, "ms", 50, at_least=False))
        return figures
    finally:
        server.terminate()
        server.wait()
        subprocess.run(["nginx", "-c", f"{folder}/nginx.conf", "-s", "stop"], check=False)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", type=Path)
    parser.add_argument("--mib", type=int, default=1024)
    arguments, rest = parser.parse_known_args()
    if arguments.serve:
        uvloop.run(serve(arguments.serve))
    missing = [tool for tool in ("nginx", "curl", "openssl") if shutil.which(tool) is None]
    if missing:
        print(
            f"not measured, missing: {', '.join(missing)} (apt-get install nginx-light curl openssl)", file=sys.stderr
        )
        return report([], rest)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        return report(measure(Path(folder), arguments.mib), rest)


if __name__ == "__main__":
    raise SystemExit(main())
