"""Writes to one connection at the pace of its reader: bounded buffers, and an end to waiting."""

from __future__ import annotations

import asyncio

from ralnode_transport_http import bounds
from ralnode_transport_http.messages import Pieces


class Sender:
    """Told by the protocol when the transport's buffer is full (`pause`), has room (`resume`) or is gone (`lose`)."""

    def __init__(self, transport: asyncio.Transport, stall_seconds: float) -> None:
        transport.set_write_buffer_limits(high=bounds.WRITE_BUFFER_BYTES)
        self._transport = transport
        self._stall_seconds = stall_seconds
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._is_lost = False

    def pause(self) -> None:
        self._has_room.clear()

    def resume(self) -> None:
        self._has_room.set()

    def lose(self) -> None:
        self._is_lost = True
        self._has_room.set()

    async def send(self, pieces: Pieces) -> None:
        """Raises ConnectionError when the peer is gone, TimeoutError when it has read nothing for too long."""
        if self._is_lost or self._transport.is_closing():
            raise ConnectionAbortedError("the peer is gone")
        self._transport.writelines(pieces)
        if self._has_room.is_set():
            await asyncio.sleep(
                0
            )  # a fast reader must not keep the loop from anybody else, nor from news of its own end
            return
        async with asyncio.timeout(self._stall_seconds):
            await self._has_room.wait()

    async def send_chunk(self, pieces: Pieces) -> None:
        """One chunk of a body whose length is not known (RFC 9112 section 7.1)."""
        size_bytes = sum(map(len, pieces))
        if size_bytes:  # an empty chunk would end the body
            await self.send([b"%x\r\n" % size_bytes, *pieces, b"\r\n"])
