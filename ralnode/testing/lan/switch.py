"""The switch: learns which machine is where, floods what it does not know, and spoils frames as told. Frames keep their virtio
header, so checksums and segments that the kernel has not finished stay valid.
"""

from __future__ import annotations

import asyncio
import random
import socket
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

VNET_HEADER_BYTES: Final = 10
FRAME_BYTES_MAX: Final = 70_000
FRAMES_PER_TURN: Final = 64


@dataclass
class Port:
    """One socket of the switch and the machine behind it."""

    number: int
    holder: subprocess.Popen[bytes]
    """Keeps the namespace alive."""
    up: bool = True
    loss: float = 0.0
    delay: float = 0.0
    jitter: float = 0.0
    socket: socket.socket = field(init=False)

    @property
    def namespace(self) -> str:
        return f"/proc/{self.holder.pid}/ns/net"

    def mend(self) -> None:
        """As new."""
        self.up, self.loss, self.delay, self.jitter = True, 0.0, 0.0, 0.0


class Switch:
    """`attach` it to the running loop once."""

    def __init__(self, ports: dict[int, Port], seed: int) -> None:
        self.ports = ports
        self.cuts: set[tuple[int, int]] = set()
        self.stats: Counter[str] = Counter()
        self._places: dict[bytes, int] = {}
        self._rng = random.Random(seed)

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        for port in self.ports.values():
            loop.add_reader(port.socket, self._readable, port)

    def _readable(self, port: Port) -> None:
        for _ in range(FRAMES_PER_TURN):
            try:
                frame = port.socket.recv(FRAME_BYTES_MAX)
            except OSError:
                return
            self._forward(port, frame)

    def _forward(self, source: Port, frame: bytes) -> None:
        target, sender = frame[VNET_HEADER_BYTES : VNET_HEADER_BYTES + 6], frame[VNET_HEADER_BYTES + 6 :][:6]
        if not source.up:
            self.stats["cut"] += 1
            return
        self._places[sender] = source.number
        is_group = bool(target[0] & 1)
        place = None if is_group else self._places.get(target)
        for port in [self.ports[place]] if place is not None else list(self.ports.values()):
            if port is not source:
                self._send(source, port, frame)

    def _send(self, source: Port, port: Port, frame: bytes) -> None:
        if not port.up or (source.number, port.number) in self.cuts:
            self.stats["cut"] += 1
        elif self._rng.random() < 1 - (1 - source.loss) * (1 - port.loss):
            self.stats["lost"] += 1
        else:
            self.stats["forwarded"] += 1
            jitter = source.jitter + port.jitter
            delay = source.delay + port.delay + (self._rng.random() * jitter if jitter else 0)
            if delay:
                self._loop.call_later(delay, self._write, port, frame)
            else:
                self._write(port, frame)

    def _write(self, port: Port, frame: bytes) -> None:
        try:
            port.socket.send(frame)
        except OSError:
            self.stats["refused"] += 1
