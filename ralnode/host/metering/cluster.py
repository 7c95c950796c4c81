"""Samples made from the status and from what the node's parts say of themselves."""

from __future__ import annotations

import platform
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from ralnode.api import ClusterStatus, Health, Liveness, Metric, NodeStatus, Usage
from ralnode.host.commands.verifying import VerifyState
from ralnode.host.metering.table import NODES_MAX, sample
from ralnode.host.supervise import ServiceState

KINDS_MAX: Final = 64
"""Kinds of counts taken from a gossip plugin, whoever wrote it."""


def from_status(status: ClusterStatus) -> Iterator[Metric]:
    """The cluster as this node sees it."""
    for health in Health:
        yield sample("ralnode_health", float(status.health is health), state=health.value)
    by_health = Counter(source.health for source in status.sources)
    for health in Health:
        yield sample("ralnode_sources", by_health[health], health=health.value)
    last = len(status.histogram) - 1
    for copies, count in enumerate(status.histogram):
        yield sample("ralnode_blocks", count, copies=f"{copies}{'+' if copies == last else ''}")
    yield sample("ralnode_unreachable_blocks", sum(source.unreachable_count for source in status.sources))
    yield sample("ralnode_deficit_bytes", status.deficit_bytes)
    yield sample("ralnode_storable_bytes", status.storable_bytes)
    yield sample("ralnode_leftover_bytes", status.leftover_bytes)
    yield sample("ralnode_plan_agreement", float(status.plan_agreement))
    for liveness in Liveness:
        count = sum(node.liveness is liveness for node in status.nodes)
        yield sample("ralnode_nodes", count, liveness=liveness.value)


def from_nodes(nodes: Sequence[NodeStatus]) -> Iterator[Metric]:
    """This node and the live ones first, so that the bound forgets the long dead."""
    first = sorted(nodes, key=lambda node: (not node.is_me, node.liveness is not Liveness.ALIVE, node.id))
    for node in first[:NODES_MAX]:
        is_up = node.liveness in (Liveness.ALIVE, Liveness.SUSPECT)
        for name, value in (
            ("ralnode_node_up", float(is_up)),
            ("ralnode_node_capacity_bytes", node.capacity_bytes),
            ("ralnode_node_used_bytes", node.used_bytes),
            ("ralnode_node_wanted_blocks", node.wanted_count),
            ("ralnode_node_stored_blocks", node.stored_count),
            ("ralnode_node_last_seen_seconds", node.last_seen_seconds),
        ):
            yield sample(name, value, node=node.name, id=node.id)


def from_usage(usage: Usage) -> Iterator[Metric]:
    """This node's disk."""
    yield sample("ralnode_disk_free_bytes", usage.disk_free_bytes)
    yield sample("ralnode_disk_total_bytes", usage.disk_total_bytes)
    yield sample("ralnode_store_capacity_bytes", usage.capacity_bytes)
    yield sample("ralnode_store_used_bytes", usage.used_bytes)
    yield sample("ralnode_reserved_bytes", usage.reserved_bytes)
    yield sample("ralnode_linked_bytes", usage.linked_bytes)
    yield sample("ralnode_stored_blocks", usage.block_count)
    yield sample("ralnode_read_only", float(bool(usage.read_only_reason)))


def from_verify(state: VerifyState) -> Iterator[Metric]:
    yield sample("ralnode_verify_running", float(state.state == "running"))
    yield sample("ralnode_verify_checked_blocks", state.progress.checked_count)
    yield sample("ralnode_verify_blocks", state.progress.total_count)
    yield sample("ralnode_verify_bad_blocks", state.bad_count)


def from_services(states: Sequence[ServiceState]) -> Iterator[Metric]:
    for state in states:
        yield sample("ralnode_service_up", float(state.is_running), service=state.name)
    for state in states:
        yield sample("ralnode_service_restarts_total", state.restart_count, service=state.name)


def from_gossip(counters: Mapping[str, int], gauges: Mapping[str, int]) -> Iterator[Metric]:
    """A plugin that tells no gauges apart has all its values taken for counters."""
    for kind in sorted(set(counters) - set(gauges))[:KINDS_MAX]:
        yield sample("ralnode_gossip_total", counters[kind], kind=kind)
    for kind in sorted(gauges)[:KINDS_MAX]:
        yield sample("ralnode_gossip_state", gauges[kind], kind=kind)


def from_traffic(traffic: Mapping[bytes, tuple[int, int]]) -> Iterator[Metric]:
    yield sample("ralnode_peer_received_bytes_total", sum(received for received, _ in traffic.values()))
    yield sample("ralnode_peer_sent_bytes_total", sum(sent for _, sent in traffic.values()))


def build_info(version: str, planner: str, storage: str) -> Metric:
    return sample(
        "ralnode_build_info", 1, version=version, python=platform.python_version(), sqlite=sqlite3.sqlite_version,
        planner=planner, storage=storage,
    )  # fmt: skip
