"""From the configuration to the values that the engine and the plugins are given. No IO."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ralnode import __version__
from ralnode.api import Address, NodeId, NodeInfo, Planner, Settings
from ralnode.core.engine_options import EngineOptions
from ralnode.core.planning import PlanOptions
from ralnode.dag import cid
from ralnode.host.node_options import NodeOptions


def settings_of(node: NodeOptions, data_dir: Path, capacity_bytes: int, invited_by: Sequence[Address]) -> Settings:
    """`invited_by`: where the members listen whom the join code names; known peers like the configured ones."""
    known = dict.fromkeys([*(Address(*peer) for peer in node.known_peers), *invited_by])
    return Settings(
        name=node.name,
        group=node.group,
        zone=node.zone,
        data_dir=data_dir,
        listen_host=node.listen_host,
        transport_port=node.transport_port,
        gossip_port=node.gossip_port,
        page_port=node.page_port,
        capacity_bytes=capacity_bytes,
        disk_floor_bytes=node.disk_floor_bytes,
        known_peers=tuple(known),
    )


def info_of(me: NodeId, settings: Settings, addresses: tuple[Address, ...], gossip_port: int) -> NodeInfo:
    """What this node says of itself at its start."""
    return NodeInfo(
        id=me,
        name=settings.name,
        capacity_bytes=settings.capacity_bytes,
        zone=settings.zone,
        addresses=addresses,
        gossip_port=gossip_port,
        version=__version__,
    )


def engine_options(node: NodeOptions, planner: Planner) -> EngineOptions:
    return EngineOptions(
        group=node.group,
        version=__version__,
        planner=f"{planner.name}/{planner.version}",
        repair_grace_seconds=node.repair_grace_seconds,
        repair_grace_last_copy_seconds=node.repair_grace_last_copy_seconds,
        default_copies=node.copies,
        plan=PlanOptions(needs_holdings=planner.needs_holdings),
        node_text=cid.peer_id,
        root_text=cid.to_text,
    )
