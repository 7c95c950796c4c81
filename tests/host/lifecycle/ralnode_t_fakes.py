"""A plugin for the lifecycle tests: every role, harmless unless an option tells it to fail. Copied into a drop-in directory.

`fail` says where: build, start, wait or stop, with `error` the kind. `hang` says where to wait for ever, `stubborn` so that
cancelling does not help, and `block` where to hold up the whole event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ralnode.api import (
    Address,
    ConfigError,
    Hint,
    LocalError,
    Plan,
    Provider,
    StorageError,
    UnavailableError,
    hookimpl,
)
from ralnode.testing.memory_storage import MemoryStorage

ERRORS = {"storage": StorageError, "local": LocalError, "config": ConfigError, "odd": ZeroDivisionError}


@dataclass(frozen=True)
class Trouble:
    fail: str = ""
    error: str = "local"
    hang: str = ""
    stubborn: bool = False
    block: str = ""
    times: int = 1_000_000
    """How often to fail."""


class Troubled:
    def __init__(self, options: Trouble, name: str) -> None:
        self.options = options
        self.name = name
        self.left = options.times

    async def at(self, where: str) -> None:
        self.fail_at(where)
        if self.options.hang == where:
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    if not self.options.stubborn:
                        raise
        if self.options.block == where:
            time.sleep(60)

    def fail_at(self, where: str) -> None:
        if self.options.fail == where and self.left > 0:
            self.left -= 1
            raise ERRORS[self.options.error](f"{self.name} fails at {where}")


class Storage(MemoryStorage):
    def __init__(self, context: Any, options: Trouble) -> None:
        super().__init__(context.settings.capacity_bytes)
        self.trouble = Troubled(options, "storage")
        self.trouble.fail_at("build")

    async def open(self, on_lost: Any) -> None:
        await self.trouble.at("start")
        await super().open(on_lost)

    async def load_state(self, prefix: bytes) -> dict[bytes, bytes]:
        if prefix == b"node/watchdog":
            await self.trouble.at("answer")
        return await super().load_state(prefix)

    async def save_state(self, items: Any) -> None:
        await self.trouble.at("save")
        await super().save_state(items)

    async def close(self) -> None:
        print("storage closes", flush=True)
        await self.trouble.at("stop")
        await super().close()


class Service(Troubled):
    """Discovery, gateway and ui."""

    url = "http://127.0.0.1:1/page"

    async def start(self, *arguments: Any) -> None:
        await self.at("start")
        for report in arguments[:1]:
            report(Hint(Address("192.0.2.1", 1), "test"))
        print(f"{self.name} starts", flush=True)

    async def wait(self) -> None:
        await asyncio.sleep(0.05)
        await self.at("wait")
        await asyncio.Event().wait()

    async def stop(self) -> None:
        print(f"{self.name} stops", flush=True)
        await self.at("stop")


class Transport(Service):
    port = 4242

    async def start(self, service: Any) -> None:
        await super().start()

    async def sync(self, peer: Any, body: bytes) -> Any:
        raise UnavailableError("nobody is there")

    async def command(self, peer: Any, body: bytes) -> bytes:
        raise UnavailableError("nobody is there")

    async def fetch_blocks(self, peer: Any, root: Any, keys: Any) -> Any:
        raise UnavailableError("nobody is there")

    async def fetch_interior(self, peer: Any, root: Any) -> Any:
        raise UnavailableError("nobody is there")

    async def has_block(self, peer: Any, key: Any) -> bool:
        return False

    async def fetch_block(self, peer: Any, key: Any) -> None:
        return None

    def traffic(self) -> dict[bytes, tuple[int, int]]:
        return {}


class Gossip:
    """Knows nobody."""

    wake_at = float("inf")

    def start(self, me: Any, now: Any) -> list[Any]:
        return []

    def tick(self, now: Any) -> list[Any]:
        return []

    def datagram_received(self, data: bytes, sender: Any, now: Any) -> list[Any]:
        return []

    def exchange(self) -> bytes:
        return b""

    def exchange_received(self, data: bytes, sender: Any, seen_at: Any, now: Any) -> list[Any]:
        return []

    def announce(self, author: Any, versions: Any, now: Any) -> list[Any]:
        return []

    def leave(self, now: Any) -> list[Any]:
        return []

    def members(self) -> list[Any]:
        return []

    def counters(self) -> dict[str, int]:
        return {"packets": 0}


class Planner:
    name = "fake"
    version = 1
    needs_holdings = False

    def __init__(self, options: Trouble) -> None:
        self.options = options

    def plan(self, view: Any) -> Plan:
        if self.options.fail == "plan":
            raise ERRORS[self.options.error]("planner fails")
        if self.options.hang == "plan":
            time.sleep(60)
        return Plan({})


def service(kind: Callable[..., Any], name: str) -> Callable[[Any, Trouble], Any]:
    return lambda context, options: kind(options, name)


@hookimpl
def provide_storage() -> Provider[Any]:
    return Provider("fake", Storage, Trouble)


@hookimpl
def provide_transport() -> Provider[Any]:
    return Provider("fake", service(Transport, "transport"), Trouble)


@hookimpl
def provide_gossip() -> Provider[Any]:
    return Provider("fake", lambda context, options: Gossip())


@hookimpl
def provide_planner() -> Provider[Any]:
    return Provider("fake", lambda context, options: Planner(options), Trouble)


@hookimpl
def provide_discovery() -> Provider[Any]:
    return Provider("fake", service(Service, "discovery"), Trouble)


@hookimpl
def provide_gateway() -> Provider[Any]:
    return Provider("fake", service(Service, "gateway"), Trouble)


@hookimpl
def provide_ui() -> Provider[Any]:
    return Provider("fake", service(Service, "ui"), Trouble)
