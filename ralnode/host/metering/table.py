"""Every metric of /metrics in one table: name, kind, labels, meaning. `packaging/METRICS.md` is written from it
(`python -m ralnode.host.metering.table`), and a sample whose name or labels do not stand here cannot be made.

Labels are bounded: nodes at most NODES_MAX, the others by lists in this program. No metric has a label per source.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final, NamedTuple

from ralnode.api import Metric

NODES_MAX: Final = 200
"""Nodes with samples of their own; a monitoring system pays for every label value, and forgets none for weeks."""


class Spec(NamedTuple):
    name: str
    kind: str
    """gauge, counter or histogram (then samples have `_bucket`, `_sum` and `_count` behind the name)."""
    help: str
    labels: tuple[str, ...] = ()


TABLE: Final[Mapping[str, tuple[Spec, ...]]] = {
    "The cluster, as this node sees it": (
        Spec("ralnode_health", "gauge", "1 for the state that the cluster is in, 0 for the others", ("state",)),
        Spec("ralnode_sources", "gauge", "Sources in the catalogue by health", ("health",)),
        Spec("ralnode_blocks", "gauge", "Blocks of all sources by own copies on live nodes; 3+ are three or more", ("copies",)),
        Spec("ralnode_unreachable_blocks", "gauge", "Blocks that no live node can serve, not even from a user's file"),
        Spec("ralnode_deficit_bytes", "gauge", "Bytes still to copy until every block has its copies"),
        Spec("ralnode_storable_bytes", "gauge", "How much more fits with the default number of copies"),
        Spec("ralnode_plan_agreement", "gauge", "1 when all live nodes with this planner report the same plan"),
        Spec("ralnode_nodes", "gauge", "Nodes by liveness", ("liveness",)),
    ),
    f"Its nodes, at most {NODES_MAX} of them": (
        Spec("ralnode_node_up", "gauge", "1 when the node is heard", ("node", "id")),
        Spec("ralnode_node_capacity_bytes", "gauge", "Declared capacity", ("node", "id")),
        Spec("ralnode_node_used_bytes", "gauge", "Used by the pool", ("node", "id")),
        Spec("ralnode_node_wanted_blocks", "gauge", "Blocks that its plan gives it", ("node", "id")),
        Spec("ralnode_node_stored_blocks", "gauge", "Blocks of sources of which it has own copies", ("node", "id")),
        Spec("ralnode_node_last_seen_seconds", "gauge", "Since it was last heard of; 0 for this node", ("node", "id")),
    ),
    "Blocks that move": (
        Spec("ralnode_fetched_bytes_total", "counter", "Bytes of blocks fetched from peers, verified and durable"),
        Spec("ralnode_fetched_blocks_total", "counter", "Blocks of them"),
        Spec("ralnode_copied_bytes_total", "counter", "Bytes of own copies made from users' files on this machine"),
        Spec("ralnode_fetches_total", "counter", "Fetches ended, by outcome", ("outcome",)),
        Spec("ralnode_served_bytes_total", "counter", "Bytes of blocks given to peers"),
        Spec("ralnode_served_blocks_total", "counter", "Blocks of them"),
        Spec("ralnode_peer_received_bytes_total", "counter", "Bytes of all bodies received from peers"),
        Spec("ralnode_peer_sent_bytes_total", "counter", "Bytes of all bodies sent to peers"),
    ),
    "This node's disk": (
        Spec("ralnode_disk_free_bytes", "gauge", "Free on the disk of the store"),
        Spec("ralnode_disk_total_bytes", "gauge", "Size of the disk of the store"),
        Spec("ralnode_store_capacity_bytes", "gauge", "Hard limit of the store"),
        Spec("ralnode_store_used_bytes", "gauge", "Used by the store, index and metadata included"),
        Spec("ralnode_reserved_bytes", "gauge", "Set aside for blocks on their way"),
        Spec("ralnode_linked_bytes", "gauge", "Served from users' files, without a copy"),
        Spec("ralnode_leftover_bytes", "gauge", "Of adds and pulls that were never finished; 0 while it is not worth a word"),
        Spec("ralnode_stored_blocks", "gauge", "Blocks in the store"),
        Spec("ralnode_read_only", "gauge", "1 when the store refuses writes since one failed"),
        Spec("ralnode_store_commit_seconds", "histogram", "From asking for a change until it is durable", ("change",)),
        Spec("ralnode_store_failures_total", "counter", "Changes that the store refused or failed to make", ("change",)),
    ),
    "Checking every block (ralnode verify)": (
        Spec("ralnode_verify_running", "gauge", "1 while it runs"),
        Spec("ralnode_verify_checked_blocks", "gauge", "Blocks checked by the present or last run"),
        Spec("ralnode_verify_blocks", "gauge", "Blocks to check in that run"),
        Spec("ralnode_verify_bad_blocks", "gauge", "Blocks found bad in that run; they are quarantined and fetched again"),
        Spec("ralnode_lost_blocks_total", "counter", "Blocks that turned out bad or gone, found by verifying or by reading"),
    ),
    "Talk between nodes": (
        Spec("ralnode_syncs_total", "counter", "Exchanges of state by direction (asked, answered) and outcome", ("direction", "outcome")),
        Spec("ralnode_datagrams_total", "counter", "UDP datagrams of membership by direction (received, sent)", ("direction",)),
        Spec("ralnode_datagrams_dropped_total", "counter", "Datagrams that were dropped, by reason", ("reason",)),
        Spec("ralnode_gossip_total", "counter", "What membership counts, in the words of its plugin", ("kind",)),
        Spec("ralnode_gossip_state", "gauge", "What membership measures, in the words of its plugin", ("kind",)),
    ),
    "Planning": (
        Spec("ralnode_plans_total", "counter", "Plans by outcome (made, failed)", ("outcome",)),
        Spec("ralnode_plan_seconds", "histogram", "Time that the planner took"),
    ),
    "The parts of this node": (
        Spec("ralnode_build_info", "gauge", "1; the labels say what runs", ("version", "python", "sqlite", "planner", "storage")),
        Spec("ralnode_uptime_seconds", "gauge", "Since this node was opened"),
        Spec("ralnode_service_up", "gauge", "1 when the service runs", ("service",)),
        Spec("ralnode_service_restarts_total", "counter", "Starts of the service after a failure", ("service",)),
        Spec("ralnode_loop_lag_seconds", "histogram", "How late the event loop came to a timer that is set every second"),
        Spec("ralnode_loop_lag_seconds_max", "gauge", "The latest since the start"),
        Spec("ralnode_loop_turns_total", "counter", "Batches of events that the core took"),
        Spec("ralnode_events_waiting", "gauge", "Events in the queue before the core"),
    ),
    "Its process, under the names that every exporter uses": (
        Spec("process_resident_memory_bytes", "gauge", "Resident memory"),
        Spec("process_virtual_memory_bytes", "gauge", "Address space"),
        Spec("process_cpu_seconds_total", "counter", "User and system time"),
        Spec("process_open_fds", "gauge", "Open file descriptors"),
        Spec("process_max_fds", "gauge", "The limit of open file descriptors"),
        Spec("process_threads", "gauge", "Threads"),
        Spec("process_start_time_seconds", "gauge", "Start of the process in seconds since 1970"),
    ),
}  # fmt: skip

SPECS: Final[Mapping[str, Spec]] = {spec.name: spec for part in TABLE.values() for spec in part}


def sample(name: str, value: float, suffix: str = "", **labels: str) -> Metric:
    """One sample of a metric of the table; `suffix` and the label `le` are for histograms."""
    spec = SPECS[name]
    given = tuple(each for each in labels if each != "le")
    assert given == spec.labels, f"{name} has the labels {spec.labels}, not {given}"
    return Metric(name + suffix, spec.kind, spec.help, value, labels)


def markdown() -> str:
    """The page for people."""
    lines = [
        "# Metrics",
        "",
        "What `/metrics` of the status page tells Prometheus, text format 0.0.4. Written from `ralnode/host/metering/table.py`",
        "by `python -m ralnode.host.metering.table`; do not edit. `grafana-dashboard.json` and `prometheus-alerts.yml` beside",
        "this page use these names.",
    ]
    for title, specs in TABLE.items():
        lines += ["", f"## {title}", "", "| name | kind | labels | meaning |", "|---|---|---|---|"]
        lines += [f"| `{s.name}` | {s.kind} | {', '.join(s.labels)} | {s.help} |" for s in specs]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
