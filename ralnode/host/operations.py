"""What commands and the control socket may do with an open node; implements `CommandNode` and `ControlNode` (their ports.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ralnode.api import (
    Address,
    ClusterStatus,
    GaugingGossip,
    Holding,
    LocalError,
    Metric,
    NodeControl,
    Planner,
    Root,
    Source,
    Storage,
    Transport,
    UnavailableError,
)
from ralnode.core.engine import Engine
from ralnode.core.events import Event, HoldingFound, NodeChanged, PeerHinted, SourcePublished, SourceWithdrawn
from ralnode.host.addresses import addresses_of
from ralnode.host.answers import (
    ConfigAnswer,
    ConfigRow,
    PageAnswer,
    PluginLine,
    PluginsAnswer,
    RefusedLine,
    shown,
)
from ralnode.host.assembly import Surroundings, Works
from ralnode.host.backup.collecting import Origin as BackupOrigin
from ralnode.host.bounds import AWAY_SPREAD_SECONDS, SETTLE_SECONDS_MAX, STOP_DELAY_SECONDS
from ralnode.host.building import Roles
from ralnode.host.choose import Chosen, effective
from ralnode.host.commands.params import PageParams
from ralnode.host.commands.verifying import VerifyJob
from ralnode.host.config import Config
from ralnode.host.datadir import DataDir
from ralnode.host.gateways import gateways_of, reachable_ports
from ralnode.host.identity import NodeIdentity
from ralnode.host.ingest.ingest import Ingest
from ralnode.host.joincode import JoinCode
from ralnode.host.leftovers import LeftoversJob, LeftoversParts, LeftoversWatch
from ralnode.host.metering import cluster, process
from ralnode.host.metering.meters import Meters
from ralnode.host.metering.table import sample
from ralnode.host.pageadmin import page_of, tell
from ralnode.host.parts import clock
from ralnode.host.plugins import PluginSet
from ralnode.host.rates import Rates
from ralnode.host.supervise import ServiceState


@dataclass(frozen=True, slots=True)
class Setup:
    """What a node is made from; the same from its start to its end."""

    config: Config
    plugins: PluginSet
    chosen: Chosen
    data: DataDir
    identity: NodeIdentity
    roles: Roles


@dataclass(frozen=True, slots=True)
class Measured:
    """What is counted and timed while the node runs."""

    meters: Meters
    rates: Rates
    services: Sequence[ServiceState]


class Operations:
    """Everything here is called on the event loop."""

    def __init__(
        self,
        setup: Setup,
        around: Surroundings,
        works: Works,
        measured: Measured,
        control: NodeControl,
        stop: Callable[[], None],
    ) -> None:
        self.control = control
        """For reading; the same that plugins have."""

        self._setup = setup
        self._around = around
        self._works = works
        self._measured = measured
        self._rates = measured.rates
        self._services = measured.services
        self._stop = stop
        self.dag = around.dag
        self.ingest = Ingest(around.storage, around.dag, around.unpublished)
        self.verify_job = VerifyJob(lambda: around.storage)
        self.leftovers = LeftoversJob(self._leftovers_parts())
        self.leftovers_watch = LeftoversWatch(
            self.leftovers, around.unpublished, around.storage.usage, self._explained_bytes
        )

    @property
    def engine(self) -> Engine:
        return self._works.engine

    @property
    def storage(self) -> Storage:
        return self._around.storage

    @property
    def transport(self) -> Transport:
        return self._around.transport

    @property
    def planner(self) -> Planner:
        return self._setup.roles.planner

    @property
    def origin(self) -> BackupOrigin:
        """For backups."""
        return BackupOrigin(self._setup.identity, self._setup.data.path, self._setup.config)

    @property
    def default_copies(self) -> int:
        """Of a source that does not say otherwise."""
        return self._setup.config.node.copies

    # --- questions --------------------------------------------------------------------------------------------------

    def status(self) -> ClusterStatus:
        status = self.engine.status(clock(), self._rates.per_node)
        return replace(
            status,
            gateways=gateways_of(self._setup.roles),
            leftover_bytes=self.leftovers_watch.notable_bytes,
        )

    def metrics(self) -> Sequence[Metric]:
        """Every one stands in metering/table.py."""
        status, gossip, chosen = self.status(), self._setup.roles.gossip, self._setup.chosen
        gauges = gossip.gauges() if isinstance(gossip, GaugingGossip) else {}
        return [
            *cluster.from_status(status),
            *cluster.from_nodes(status.nodes),
            *cluster.from_usage(self.storage.usage()),
            *cluster.from_verify(self.verify_job.state),
            *cluster.from_services(self._services),
            *cluster.from_gossip(gossip.counters(), gauges),
            *cluster.from_traffic(self.transport.traffic()),
            *self._measured.meters.samples(),
            *self._from_shell(),
            *process.samples(),
            cluster.build_info(status.version, status.planner, chosen.one("storage").provider.name),
        ]

    def _from_shell(self) -> Sequence[Metric]:
        udp, inbox = self._around.udp, self._around.inbox
        return [
            sample("ralnode_datagrams_total", udp.received_count, direction="received"),
            sample("ralnode_datagrams_total", udp.sent_count, direction="sent"),
            sample("ralnode_datagrams_dropped_total", udp.oversize_count, reason="too large"),
            sample("ralnode_datagrams_dropped_total", udp.send_error_count, reason="not sent"),
            sample("ralnode_datagrams_dropped_total", inbox.dropped_count, reason="core busy"),
            sample("ralnode_loop_turns_total", self._works.shell.turn_count),
            sample("ralnode_loop_lag_seconds_max", self._rates.loop_lag_seconds_max),
            sample("ralnode_events_waiting", len(inbox)),
        ]

    def plugin_rows(self) -> PluginsAnswer:
        plugins = self._setup.plugins
        lines = tuple(
            PluginLine(row.name, row.origin, row.version, row.role, row.providers, row.active, row.summary)
            for row in plugins.rows(self._setup.chosen.active)
        )
        return PluginsAnswer(lines, tuple(RefusedLine(each.name, each.origin, each.reason) for each in plugins.refused))

    def config_rows(self) -> ConfigAnswer:
        config = self._setup.config
        rows = tuple(
            ConfigRow(key, shown(value), origin) for key, value, origin in effective(config, self._setup.chosen)
        )
        return ConfigAnswer(rows, str(config.path or ""), config.warnings)

    def join_code(self) -> str:
        return JoinCode(self._setup.identity.cluster_secret, self.engine.me.addresses).encode()

    # --- changes ----------------------------------------------------------------------------------------------------

    async def publish(self, source: Source, holding: Holding) -> None:
        """Adds a source whose blocks are all durable here; on return its record is. Raises RefusedError, and
        UnavailableError when blocks of it were deleted meanwhile."""

        async def is_whole() -> bool:
            found = await self.dag.locate(source)
            return found.has_interior and not holding.servable - found.servable

        async with self._around.unpublished.publishing(source, is_whole) as has_all:
            if not has_all:
                raise UnavailableError(
                    f"blocks of {source.name} were deleted while it was added, together with a source that was removed. "
                    "Nothing was published. Add it again"
                )
            await self._settled(source.root, SourcePublished(source, holding))

    async def withdraw(self, root: Root) -> None:
        """Removes a source from the cluster; on return that is durable here. Raises RefusedError."""
        await self._settled(root, SourceWithdrawn(root))

    async def _settled(self, root: Root, event: Event) -> None:
        settled = self._around.waiters.expect(root)
        await self._around.inbox.put(event)
        try:
            async with asyncio.timeout(SETTLE_SECONDS_MAX):
                await settled
        except TimeoutError:
            raise UnavailableError(
                f"this node's disk did not take the change within {SETTLE_SECONDS_MAX:.0f} s; it is not lost, look at "
                "`ralnode ls` later"
            ) from None

    async def relocated(self, root: Root, holding: Holding) -> None:
        """Tells the engine what of a source is here, counted afresh."""
        await self._around.inbox.put(HoldingFound(root, holding))

    def say(self, level: str, text: str) -> None:
        """A line for the event log; `level` is info, warning or error."""
        self._around.say(level, text)

    async def set_capacity(self, capacity_bytes: int) -> None:
        """In the store, in the node record, and written down for the next start. Raises StorageFullError, nothing
        changed."""
        before = self.storage.usage().capacity_bytes
        await self.storage.set_capacity(capacity_bytes)
        try:
            self._setup.data.declare_capacity(capacity_bytes)
        except LocalError:
            await self.storage.set_capacity(before)
            raise
        await self._around.inbox.put(NodeChanged(capacity_bytes=capacity_bytes))
        self._around.usage.changed()

    async def set_draining(self, draining: bool) -> None:
        """In the node record, and written down for the next start."""
        self._setup.data.declare_draining(draining)
        await self._around.inbox.put(NodeChanged(draining=draining))

    async def tell_page(self, params: PageParams) -> PageAnswer:
        """Raises NotFoundError when this node has no page that people sign in to."""
        answer = await tell(page_of(self._setup.roles), params)
        await self.tell_page_url()
        return answer

    async def tell_page_url(self) -> None:
        """Brings the page's address in this node's record up to date: it moves to the LAN when it gets a password."""
        pages = self._setup.roles.ui
        if pages and pages[0].service.url != self.engine.me.page_url:
            await self._around.inbox.put(NodeChanged(page_url=pages[0].service.url))

    def hint(self, addresses: Sequence[Address]) -> None:
        """Tells the engine, and remembers for the next start, where a peer may listen."""
        self._setup.data.remember_hints(addresses)
        for address in addresses:
            self._around.inbox.offer(PeerHinted(address, "user"))

    def request_stop(self, away_seconds: float | None) -> None:
        """Begins a clean stop after this call has been answered. `away_seconds`: tell the cluster to move nothing for so
        long (a reboot)."""
        delay = STOP_DELAY_SECONDS
        if away_seconds is not None:
            self._around.inbox.offer(NodeChanged(away_until_ms=clock().unix_ms + int(away_seconds * 1000)))
            delay = AWAY_SPREAD_SECONDS
        asyncio.get_running_loop().call_later(delay, self._stop)

    # --- leftovers --------------------------------------------------------------------------------------------------

    def _leftovers_parts(self) -> LeftoversParts:
        return LeftoversParts(
            store=self._setup.roles.storage,
            storage=self.storage,
            dag=self.dag,
            sources=lambda: self._around.unpublished.known(self.engine.sources()),
            unpublished=self._around.unpublished,
            relocated=self.relocated,
            changed=self._around.usage.changed,
        )

    def _explained_bytes(self) -> int:
        """What the sources take here; blocks that several share count several times."""
        total = 0
        for source in self.engine.sources():
            mine = self.engine.holding(self.engine.me.id, source.root)
            total += len(mine.owned) * source.block_bytes + source.interior_bytes * mine.has_interior
        return total

    # --- what runs by itself ----------------------------------------------------------------------------------------

    async def watch_addresses(self, every_seconds: float) -> None:
        """Returns never. Tells the cluster when this machine's addresses change (DHCP, a cable plugged in), and when a
        gateway of it comes up late."""
        while True:
            await asyncio.sleep(every_seconds)
            found = await asyncio.to_thread(self.addresses)
            if found != self.engine.me.addresses:
                self._around.say("info", f"this node's address is now {found[0]}")
                await self._around.inbox.put(NodeChanged(addresses=found))
            await self.tell_gateways()
            await self.tell_page_url()

    async def tell_gateways(self) -> None:
        """Brings the gateway's ports in this node's record up to date."""
        me = self.engine.me
        port, tls_port = reachable_ports(gateways_of(self._setup.roles), me.addresses)
        if (port, tls_port) != (me.gateway_port, me.gateway_tls_port):
            await self._around.inbox.put(NodeChanged(gateway_port=port, gateway_tls_port=tls_port))

    def addresses(self) -> tuple[Address, ...]:
        """Where peers should dial this node's transport."""
        node = self._setup.config.node
        return addresses_of(node.listen_host, self.transport.port, node.announce)
