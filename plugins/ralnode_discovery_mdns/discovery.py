"""The `Discovery` role over python-zeroconf: opens sockets, announces every few seconds, reports what it hears.

It says when a peer appears, never that one is gone: a killed node stays in mDNS caches for 75 minutes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from zeroconf import Error as ZeroconfError
from zeroconf import ServiceStateChange
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from ralnode.api import Context, Hint, LocalError
from ralnode_discovery_mdns import service
from ralnode_discovery_mdns.interfaces import usable
from ralnode_discovery_mdns.options import LOOKUPS_MAX, SERVICES_MAX, MdnsOptions


class MdnsDiscovery:
    """Without multicast `start` or `wait` raises LocalError with the reason; both may be called again after `stop`."""

    def __init__(self, context: Context, options: MdnsOptions) -> None:
        self._identity = context.identity
        self._listen_host = context.settings.listen_host
        self._log = context.log
        self._random = context.random
        self._options = options
        self._tag = service.group_tag(context.identity)
        self._zeroconf: AsyncZeroconf | None = None
        self._browser: AsyncServiceBrowser | None = None
        self._known: dict[str, list[Hint]] = {}
        self._lookups: dict[str, asyncio.Task[None]] = {}

    # --- the role

    async def start(self, report: Callable[[Hint], None], transport_port: int) -> None:
        self._report = report
        try:
            await self._open(transport_port)
        except (OSError, ZeroconfError, TimeoutError) as error:
            await self.stop()
            raise self._unusable(error) from error
        except BaseException:
            await self.stop()
            raise

    async def wait(self) -> None:
        while True:
            await asyncio.sleep(self._options.announce_seconds * self._random.uniform(0.9, 1.1))
            try:
                await self._announce_again()
            except (OSError, ZeroconfError, TimeoutError) as error:
                raise self._unusable(error) from error
            for hints in list(self._known.values()):
                self._tell(hints)

    async def stop(self) -> None:
        """Says good-bye on the network and closes everything; at most about two seconds."""
        browser, self._browser = self._browser, None
        zeroconf, self._zeroconf = self._zeroconf, None
        lookups = list(self._lookups.values())
        for lookup in lookups:
            lookup.cancel()
        if lookups:
            await asyncio.wait(lookups)
        if browser is not None:
            await browser.async_cancel()
        if zeroconf is not None:
            await zeroconf.async_close()
        self._known.clear()

    # --- speaking

    async def _open(self, port: int) -> None:
        self._interfaces = usable(self._listen_host)
        self._mine = service.describe(self._identity, port, self._interfaces.announced)
        self._zeroconf = AsyncZeroconf(interfaces=self._interfaces.spoken_on, ip_version=self._interfaces.ip_version)
        await self._zeroconf.zeroconf.async_wait_for_start()
        self._browser = AsyncServiceBrowser(
            self._zeroconf.zeroconf, service.SERVICE_TYPE, handlers=[self._service_changed]
        )
        await (await self._zeroconf.async_register_service(self._mine, allow_name_change=True))

    async def _announce_again(self) -> None:
        """Also notices new addresses: a cable plugged in late, a new lease."""
        if self._zeroconf is None:
            raise ZeroconfError("not started")
        interfaces = usable(self._listen_host)
        if interfaces != self._interfaces:
            self._log.info("mdns: this machine is now at %s", ", ".join(interfaces.announced))
            self._interfaces = interfaces
            self._mine.addresses = interfaces.announced
            await self._zeroconf.async_update_interfaces(interfaces.spoken_on)
        await (await self._zeroconf.async_update_service(self._mine))

    def _unusable(self, error: Exception) -> LocalError:
        where = self._listen_host or "any interface"
        return LocalError(
            f"cannot use mDNS on {where}: {error or type(error).__name__}; peers on this LAN are not found by themselves. "
            "Name some in [node] known_peers, or check that this machine has a network that carries multicast."
        )

    # --- listening

    def _service_changed(self, *, name: str, state_change: ServiceStateChange, **_: Any) -> None:
        """Called by zeroconf on the event loop, for our own announcement too."""
        if self._zeroconf is None or name == self._mine.name:
            return
        if state_change is ServiceStateChange.Removed:
            self._known.pop(name, None)
            return
        info = AsyncServiceInfo(service.SERVICE_TYPE, name)
        if info.load_from_cache(self._zeroconf.zeroconf):
            self._learn(info)
        elif name not in self._lookups and len(self._lookups) < LOOKUPS_MAX:
            self._lookups[name] = asyncio.create_task(self._look_up(info), name=f"mdns look-up {name}")

    async def _look_up(self, info: AsyncServiceInfo) -> None:
        """Asks for the records that an announcement lacked."""
        try:
            if self._zeroconf is not None and await info.async_request(
                self._zeroconf.zeroconf, self._options.lookup_seconds * 1000
            ):
                self._learn(info)
        except (OSError, ZeroconfError) as error:
            self._log.debug("mdns: look-up of %s failed: %s", info.name, error)
        finally:
            self._lookups.pop(info.name, None)

    def _learn(self, info: AsyncServiceInfo) -> None:
        hints = service.hints_of(info, self._tag)
        if not hints:
            self._known.pop(info.name, None)
            return
        if info.name not in self._known and len(self._known) >= SERVICES_MAX:
            del self._known[next(iter(self._known))]
        self._known[info.name] = hints
        self._tell(hints)

    def _tell(self, hints: list[Hint]) -> None:
        for hint in hints:
            self._report(hint)
