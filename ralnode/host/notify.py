"""Tells systemd how we are (sd_notify(3)): READY, STATUS, STOPPING, and the watchdog's pings. Silent without systemd."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Mapping

from ralnode.api import RalnodeError
from ralnode.host.bounds import (
    PATIENCE_SECONDS,
    PROGRESS_SECONDS_MAX,
    START_SECONDS_MAX,
    STATUS_SECONDS,
    WATCHDOG_STORE_SECONDS_MAX,
    WATCHDOG_WRITE_FACTOR,
)


class Notifier:
    """WATCHDOG_PID is not looked at: in a frozen onefile it names the boot loader, and pings would never come."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        usec = environ.get("WATCHDOG_USEC", "")
        self.watchdog_seconds = int(usec) / 1e6 if usec.isdigit() and int(usec) else None
        self._status = ""

    def ready(self) -> None:
        self._send("READY=1")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """One line of health, sent when it is another one than before."""
        line = " ".join(text.split())
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def ping(self) -> None:
        self._send("WATCHDOG=1")

    async def ask_for_patience(self, every_seconds: float = PATIENCE_SECONDS) -> None:
        """While the node opens: a store that is upgraded or mended may need longer than systemd waits for READY."""
        for _ in range(int(START_SECONDS_MAX / every_seconds)):
            await asyncio.sleep(every_seconds)
            self._send(f"EXTEND_TIMEOUT_USEC={int(3 * every_seconds * 1e6)}")

    def progress(self, line: str) -> None:
        """While the node opens, from any thread: how far it is with something that takes long. Each line buys so much time
        that the next one comes before it is over, even from a slow disk that is busy with one fsync."""
        self.status(line)
        self._send(f"EXTEND_TIMEOUT_USEC={int(PROGRESS_SECONDS_MAX * 1e6)}")

    async def tell(self, sentence: Callable[[], str], every_seconds: float = STATUS_SECONDS) -> None:
        """Keeps STATUS up to date. Returns at once without systemd."""
        while self._address:
            self.status(sentence())
            await asyncio.sleep(every_seconds)

    async def watch(
        self,
        store_reads: Callable[[], Awaitable[object]],
        store_writes: Callable[[], Awaitable[object]],
        store_seconds_max: float = WATCHDOG_STORE_SECONDS_MAX,
    ) -> None:
        """Pings at half the watchdog's time while the event loop (this runs on it) and the store's threads answer. Returns at
        once without a watchdog. Writes may take longer, since a slow disk is no hang."""
        if self.watchdog_seconds is None:
            return
        write = _Probe(store_writes)
        try:
            while True:
                await self._look(store_reads, write, min(store_seconds_max, self.watchdog_seconds))
                await asyncio.sleep(self.watchdog_seconds / 2)
        finally:
            write.cancel()

    async def _look(self, store_reads: Callable[[], Awaitable[object]], write: _Probe, seconds_max: float) -> None:
        assert self.watchdog_seconds is not None
        try:
            async with asyncio.timeout(seconds_max):
                await store_reads()
        except (TimeoutError, RalnodeError):
            self.status("the block store does not answer")
            return
        if write.waited_seconds() <= WATCHDOG_WRITE_FACTOR * self.watchdog_seconds:
            self.ping()
        else:
            self.status("the block store does not write")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.setblocking(False)
                out.sendto(message.encode(), self._address)
        except OSError:
            return  # systemd went away or its queue is full: no reason to stop serving


class _Probe:
    """Something that is asked again and again, one call at a time, and how long the present call has waited."""

    def __init__(self, ask: Callable[[], Awaitable[object]]) -> None:
        self._ask = ask
        self._task: asyncio.Task[object] | None = None
        self._since = 0.0

    def waited_seconds(self) -> float:
        """Asks anew when the last call has come back; with an error too: a full or read-only store answers."""
        now = asyncio.get_running_loop().time()
        if self._task is None or self._task.done():
            self._task, self._since = asyncio.ensure_future(self._call()), now
        return now - self._since

    async def _call(self) -> object:
        with contextlib.suppress(RalnodeError):
            return await self._ask()
        return None

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
