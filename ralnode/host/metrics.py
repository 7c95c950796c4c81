"""The samples of /metrics, made from the status and the counters of the shell. Names end in their unit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ralnode.api import ClusterStatus, Health, Metric, Usage
from ralnode.host.supervise import ServiceState

_HEALTH = tuple(Health)


def from_status(status: ClusterStatus) -> Iterator[Metric]:
    """The cluster as this node sees it."""
    yield Metric("ralnode_health", "gauge", "0 healthy … 4 data unavailable", float(_HEALTH.index(status.health)))
    yield Metric("ralnode_sources", "gauge", "Sources in the catalogue", len(status.sources))
    yield Metric("ralnode_deficit_bytes", "gauge", "Bytes still to copy", status.deficit_bytes)
    yield Metric("ralnode_storable_bytes", "gauge", "How much more fits", status.storable_bytes)
    for copies, count in enumerate(status.histogram):
        label = {"copies": f"{copies}{'+' if copies == len(status.histogram) - 1 else ''}"}
        yield Metric("ralnode_blocks", "gauge", "Blocks by number of own live copies", count, label)
    for liveness in sorted({node.liveness.value for node in status.nodes}):
        count = sum(node.liveness == liveness for node in status.nodes)
        yield Metric("ralnode_nodes", "gauge", "Nodes by liveness", count, {"liveness": liveness})
    for node in status.nodes:
        label = {"node": node.name, "id": node.id}
        yield Metric("ralnode_node_capacity_bytes", "gauge", "Declared capacity", node.capacity_bytes, label)
        yield Metric("ralnode_node_used_bytes", "gauge", "Used by the pool", node.used_bytes, label)


def from_usage(usage: Usage) -> Iterator[Metric]:
    """This node's disk."""
    yield Metric("ralnode_disk_free_bytes", "gauge", "Free on the disk of the store", usage.disk_free_bytes)
    yield Metric("ralnode_reserved_bytes", "gauge", "Set aside for blocks on their way", usage.reserved_bytes)
    yield Metric("ralnode_linked_bytes", "gauge", "Served from users' files", usage.linked_bytes)
    yield Metric("ralnode_stored_blocks", "gauge", "Blocks in the store", usage.block_count)
    yield Metric("ralnode_read_only", "gauge", "1 when the store refuses writes", float(bool(usage.read_only_reason)))


def from_services(states: Sequence[ServiceState]) -> Iterator[Metric]:
    for state in states:
        label = {"service": state.name}
        yield Metric("ralnode_service_up", "gauge", "1 when the service runs", float(state.is_running), label)
        yield Metric("ralnode_service_restarts_total", "counter", "Starts after a failure", state.restart_count, label)


def from_counters(name: str, help_text: str, counters: Mapping[str, int]) -> Iterator[Metric]:
    for kind, count in sorted(counters.items()):
        yield Metric(name, "counter", help_text, count, {"kind": kind})
