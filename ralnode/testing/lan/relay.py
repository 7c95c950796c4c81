"""Carries connections from a unix socket to a TCP port, or the other way: what is served inside a namespace is reached from
outside. Run inside (`python -m ralnode.testing.lan.relay SOCKET PORT`) it serves SOCKET from 127.0.0.1:PORT there.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeAlias

PIECE_BYTES: Final = 64 << 10
Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Outside:
    """A loopback port outside that leads to a unix socket, for as long as this process lives."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ready = threading.Event()
        self.port = 0
        threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True, name=f"relay {path.name}").start()
        self._ready.wait(10)

    async def _serve(self) -> None:
        carry = carrier(lambda: asyncio.open_unix_connection(self._path))
        server = await asyncio.start_server(carry, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await server.serve_forever()


def carrier(connect: Callable[[], Awaitable[Streams]]) -> Callable[..., Awaitable[None]]:
    """What to do with each connection: everything goes to a new one made by `connect`, and back."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await connect()
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pump(reader, back), _pump(there, writer))
        back.close()
        writer.close()

    return carry


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(PIECE_BYTES):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def inside(path: str, port: str) -> None:
    server = await asyncio.start_unix_server(carrier(lambda: asyncio.open_connection("127.0.0.1", int(port))), path)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(inside(*sys.argv[1:]))
