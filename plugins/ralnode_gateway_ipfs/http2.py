"""HTTP/2 for the gateway: one connection, on top of the sans-IO library h2. Its requests run as ASGI calls (http2_stream.py).

Everything that a client can make grow is bounded: streams at one time (also those that it has reset and that have not
ended yet), heads, control frames (credit.py), what waits to be written, and the time without a request.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from typing import Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    PingAckReceived,
    RemoteSettingsChanged,
    RequestReceived,
    SettingsAcknowledged,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from starlette.types import ASGIApp

from ralnode.api.httpserver import HEAD_BYTES_MAX, HEAD_SECONDS_MAX
from ralnode_gateway_ipfs.credit import ANSWER_EARNS, FRAME_COST, RESET_COST, SENT_BYTES_PER_CREDIT, Credit
from ralnode_gateway_ipfs.http2_stream import GoneError, Stream, scope_of

STREAMS_MAX: Final = 100
"""RFC 9113 advises no less. How many are answered at one time is the application's business."""
IDLE_SECONDS: Final = 60.0
HEADER_TABLE_BYTES: Final = 4096
"""Whatever the client would allow: its table on our side grows with our answers."""
FEED_BYTES: Final = 4096
"""Taken from the input at one time: 450 of the smallest frames, 10 ms of work, then the credit is looked at."""
WRITE_BYTES: Final = 512 * 1024
"""Written at one time, and waiting in the transport before streams have to wait."""
UNWRITTEN_BYTES_MAX: Final = 4 * WRITE_BYTES
"""With so much unread by the client it gets no answers to its pings any more, but an end."""
_SETTINGS: Final = {
    SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS_MAX,
    SettingCodes.MAX_HEADER_LIST_SIZE: HEAD_BYTES_MAX,
    SettingCodes.HEADER_TABLE_SIZE: HEADER_TABLE_BYTES,
    SettingCodes.ENABLE_CONNECT_PROTOCOL: 0,
}
_HEAD: Final = struct.Struct(">BHBBL")
"""Of a frame: length in three bytes, type, flags, stream."""
_FREE: Final = (SettingsAcknowledged, StreamEnded, PingAckReceived)


class Http2Connection(asyncio.Protocol):
    """`connections`: all that are open, for whoever has to close them."""

    def __init__(self, app: ASGIApp, connections: set[Http2Connection], log: logging.Logger) -> None:
        self._app = app
        self._connections = connections
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._credit = Credit(self._loop.time())
        self._streams: dict[int, Stream] = {}
        self._writable = asyncio.Event()
        self._writable.set()
        self._idle: asyncio.TimerHandle | None = None
        self._is_closing = False
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))

    # --- asyncio.Protocol -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._connections.add(self)
        transport.set_write_buffer_limits(high=WRITE_BYTES)
        self._h2.local_settings = Settings(client=False, initial_values=_SETTINGS)
        self._h2.decoder.max_header_list_size = HEAD_BYTES_MAX
        self._h2.initiate_connection()
        self.flush()
        self._wait_for_request(HEAD_SECONDS_MAX)

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), FEED_BYTES):
            if self._is_closing:
                return
            try:
                events = self._h2.receive_data(data[start : start + FEED_BYTES])
            except ProtocolError as error:  # h2 has put its GOAWAY into the output
                self._end(f"broke the protocol: {error}")
                return
            if not all(map(self._take, events)):
                self.end(ErrorCodes.ENHANCE_YOUR_CALM, "too many control frames")
                return
        if self._transport.get_write_buffer_size() > UNWRITTEN_BYTES_MAX:
            self._is_closing = True
            self._transport.abort()
            return
        self.flush()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_closing = True
        self._connections.discard(self)
        self._writable.set()
        self._forget_idle()
        for stream in self._streams.values():
            stream.gone()

    # --- what comes in ----------------------------------------------------------------------------------------------

    def _take(self, event: Event) -> bool:
        """False: the client has used up its credit."""
        if isinstance(event, RequestReceived):
            self._begin(event)
            return True
        if isinstance(event, _FREE):
            return True
        if isinstance(event, StreamReset):
            self._forget(event.stream_id)
            return self._credit.spend(RESET_COST, self._loop.time())
        if isinstance(event, DataReceived):  # bodies are of no use here
            if event.flow_controlled_length:
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, RemoteSettingsChanged):
            self._h2.encoder.header_table_size = min(HEADER_TABLE_BYTES, self._h2.encoder.header_table_size)
            self._wake(0)
        elif isinstance(event, WindowUpdated):
            self._wake(event.stream_id or 0)
        elif isinstance(event, TrailersReceived):
            pass
        return self._credit.spend(FRAME_COST, self._loop.time())

    def _begin(self, event: RequestReceived) -> None:
        if len(self._streams) >= STREAMS_MAX:  # those that were reset count until they have ended
            self._h2.reset_stream(event.stream_id, ErrorCodes.REFUSED_STREAM)
            return
        self._forget_idle()
        scope = scope_of(event.headers, self._transport)
        stream = Stream(event.stream_id, self)
        self._streams[event.stream_id] = stream
        stream.start(self._app, scope, self._ended)

    def _wake(self, stream_id: int) -> None:
        for stream in [self._streams.get(stream_id)] if stream_id else self._streams.values():
            if stream is not None:
                stream.window_opened.set()

    def _forget(self, stream_id: int) -> None:
        if (stream := self._streams.get(stream_id)) is not None:
            stream.gone()

    # --- what goes out, for streams ---------------------------------------------------------------------------------

    def send_head(self, stream_id: int, headers: list[tuple[bytes, bytes]], *, is_all: bool) -> None:
        """It leaves with the next bytes, or at once if there are none."""
        self._h2.send_headers(stream_id, headers, end_stream=is_all)
        if is_all:
            self.flush()

    async def send_body(self, stream: Stream, data: bytes, *, is_last: bool) -> None:
        """Returns when the transport has it. Raises GoneError when the client has gone."""
        rest, stream_id = memoryview(data), stream.id
        while rest or is_last:
            while not self._writable.is_set():
                await self._writable.wait()
            stream.check()
            budget = min(WRITE_BYTES, self._h2.local_flow_control_window(stream_id)) if rest else 0
            if rest and budget <= 0:
                stream.window_opened.clear()
                self.flush()
                await stream.window_opened.wait()
                continue
            now, rest = rest[:budget], rest[budget:]
            self._write_data(stream_id, now, is_end=is_last and not rest)
            self._credit.earn(len(now) / SENT_BYTES_PER_CREDIT)
            if not rest:
                return

    def _write_data(self, stream_id: int, data: memoryview, *, is_end: bool) -> None:
        """All but the last frame is made here: h2 copies each piece four times. Its windows are brought up to date for it;
        `data` fits into both."""
        size = self._h2.max_outbound_frame_size
        parts: list[bytes | memoryview] = [self._h2.data_to_send()]
        whole = max(0, len(data) - 1) // size * size
        for start in range(0, whole, size):
            parts += (_HEAD.pack(size >> 16, size & 0xFFFF, 0, 0, stream_id), data[start : start + size])
        self._h2.outbound_flow_control_window -= whole
        self._h2.streams[stream_id].outbound_flow_control_window -= whole
        self._h2.send_data(stream_id, data[whole:], end_stream=is_end)
        parts.append(self._h2.data_to_send())
        self._transport.write(b"".join(parts))

    def reset(self, stream_id: int) -> None:
        """GoneError an answer before its end: the client notices."""
        try:
            self._h2.reset_stream(stream_id, ErrorCodes.INTERNAL_ERROR)
        except ProtocolError:
            return  # it has gone already
        self.flush()

    def flush(self) -> None:
        if data := self._h2.data_to_send():
            self._transport.write(data)

    # --- the end ----------------------------------------------------------------------------------------------------

    def end(self, code: ErrorCodes = ErrorCodes.NO_ERROR, why: str = "") -> None:
        """Says so and closes; what is under way is cut."""
        if not self._is_closing:
            self._h2.close_connection(code)
            self._end(why)

    def _end(self, why: str) -> None:
        if why:
            self._log.debug("an HTTP/2 client %s: %s", self._transport.get_extra_info("peername"), why)
        self._is_closing = True
        self.flush()
        self._transport.close()
        for stream in self._streams.values():
            stream.gone()

    def _ended(self, stream: Stream) -> None:
        self._streams.pop(stream.id, None)
        self._credit.earn(ANSWER_EARNS if stream.is_answered else 0.0)
        if not self._streams and not self._is_closing:
            self._wait_for_request(IDLE_SECONDS)

    def _wait_for_request(self, seconds: float) -> None:
        self._forget_idle()
        self._idle = self._loop.call_later(seconds, self.end)

    def _forget_idle(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None


__all__ = ["GoneError", "Http2Connection"]
