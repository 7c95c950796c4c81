"""The listening half: puts routes, admission and listener together."""

from __future__ import annotations

import asyncio
import logging

from ralnode.api import Context, PeerService
from ralnode_transport_http.admission import Admission, Gate
from ralnode_transport_http.connection import House
from ralnode_transport_http.listener import Listener
from ralnode_transport_http.options import HttpOptions
from ralnode_transport_http.routes import Routes, body_bytes_max
from ralnode_transport_http.traffic import Traffic


class Server:
    """`open`, then `serve` until cancelled, then `close`."""

    def __init__(self, context: Context, options: HttpOptions, traffic: Traffic, log: logging.Logger) -> None:
        self._context = context
        self._options = options
        self._traffic = traffic
        self._log = log
        self._listener: Listener | None = None
        self._accepting: asyncio.Task[None] | None = None

    def open(self, service: PeerService) -> None:
        """Binds and begins to accept. Raises LocalError when the port is taken."""
        gate = Gate(self._options.requests_max, self._options.requests_per_peer_max)
        house = House(
            identity=self._context.identity,
            answer=Routes(service).answer,
            body_bytes_max=body_bytes_max,
            admission=Admission(gate),
            traffic=self._traffic,
            log=self._log,
            stall_seconds=self._options.stall_timeout_seconds,
        )
        listener = Listener(house, self._context.identity.server_tls(), self._options, self._log)
        listener.bind(self._context.settings.listen_host, self._context.settings.transport_port)
        self._listener = listener
        self._accepting = asyncio.create_task(listener.accept_all())

    @property
    def port(self) -> int:
        return self._listener.port if self._listener is not None else self._context.settings.transport_port

    async def serve(self) -> None:
        assert self._accepting is not None
        await asyncio.shield(self._accepting)

    async def close(self) -> None:
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.wait([self._accepting])
        if self._listener is not None:
            await self._listener.close()
