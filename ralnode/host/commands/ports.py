"""What a control command may ask of the node it runs in. `ralnode.host.node.Node` is one; tests have smaller ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ralnode.api import (
    Address,
    ClusterStatus,
    EventLine,
    Holding,
    Liveness,
    Metric,
    NodeId,
    NodeInfo,
    Peer,
    Plan,
    Planner,
    Root,
    Source,
    Storage,
    Transport,
    View,
)
from ralnode.host.answers import ConfigAnswer, PageAnswer, PluginsAnswer
from ralnode.host.commands.params import PageParams
from ralnode.host.commands.verifying import VerifyJob
from ralnode.host.leftovers import LeftoversJob


class EngineView(Protocol):
    """The part of the engine that may be read from outside."""

    @property
    def me(self) -> NodeInfo: ...

    @property
    def plan(self) -> Plan | None: ...

    @property
    def plan_view(self) -> View | None:
        """What the plan in force was made from."""
        ...

    @property
    def events(self) -> Sequence[EventLine]: ...

    def sources(self) -> Sequence[Source]: ...

    def nodes(self) -> Sequence[NodeInfo]: ...

    def liveness(self, node: NodeId) -> Liveness: ...

    def holding(self, node: NodeId, root: Root) -> Holding: ...

    def peer(self, node: NodeId) -> Peer: ...


class CommandNode(Protocol):
    """Everything here is called on the event loop."""

    @property
    def engine(self) -> EngineView: ...

    @property
    def storage(self) -> Storage: ...

    @property
    def transport(self) -> Transport: ...

    @property
    def planner(self) -> Planner: ...

    @property
    def verify_job(self) -> VerifyJob:
        """One per node, made with its storage; the node cancels it when it stops."""
        ...

    @property
    def leftovers(self) -> LeftoversJob:
        """One per node; the node ends it when it stops."""
        ...

    def status(self) -> ClusterStatus: ...

    def metrics(self) -> Sequence[Metric]: ...

    def plugin_rows(self) -> PluginsAnswer: ...

    def config_rows(self) -> ConfigAnswer: ...

    def join_code(self) -> str:
        """With the addresses where this node's transport listens."""
        ...

    async def set_capacity(self, capacity_bytes: int) -> None:
        """In the store, in the node record, and written down for the next start. Raises StorageFullError, nothing changed."""
        ...

    async def set_draining(self, draining: bool) -> None:
        """In the node record, and written down for the next start."""
        ...

    async def tell_page(self, params: PageParams) -> PageAnswer:
        """Raises NotFoundError when this node has no page that people sign in to."""
        ...

    async def withdraw(self, root: Root) -> None:
        """Removes a source from the cluster; on return that is durable here. Raises RefusedError."""
        ...

    def hint(self, addresses: Sequence[Address]) -> None:
        """Tells the engine, and remembers for the next start, where a peer may listen."""
        ...

    def request_stop(self, away_seconds: float | None) -> None:
        """Begins a clean stop after this call has been answered. `away_seconds`: tell the cluster to move nothing for
        so long (a reboot)."""
        ...


def own_name(node: CommandNode) -> str:
    return node.engine.me.name


Params = Mapping[str, object]
