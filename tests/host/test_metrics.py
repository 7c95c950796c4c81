"""Samples for /metrics have names that end in their unit and a help text."""

import re

from ralnode.api import ClusterStatus, Health, Liveness, NodeStatus, Usage
from ralnode.host import metrics
from ralnode.host.supervise import ServiceState


def node(name: str, liveness: Liveness) -> NodeStatus:
    return NodeStatus(
        f"12D3{name}", name, False, liveness, "seeding", 1000, 400, "", "1", "h:1", "", 1, 2, 3, 0.0, None
    )  # fmt: skip


STATUS = ClusterStatus(
    "fine",
    Health.REPAIRING,
    "me",
    "group",
    "rendezvous/1",
    "",
    True,
    (node("attic", Liveness.ALIVE), node("cellar", Liveness.DEAD)),
    (),
    (0, 5, 7, 1),
    123,
    456,
    None,
    (),
    0,
    "1",
)


def test_the_cluster_is_told_by_nodes_and_copies() -> None:
    found = {(m.name, *sorted(m.labels.items())): m.value for m in metrics.from_status(STATUS)}
    assert found[("ralnode_health",)] == 2
    assert found[("ralnode_blocks", ("copies", "2"))] == 7
    assert found[("ralnode_blocks", ("copies", "3+"))] == 1
    assert found[("ralnode_nodes", ("liveness", "dead"))] == 1
    assert found[("ralnode_node_used_bytes", ("id", "12D3attic"), ("node", "attic"))] == 400


def test_names_kinds_and_help_are_as_prometheus_wants_them() -> None:
    found = [
        *metrics.from_status(STATUS),
        *metrics.from_usage(Usage(10, 5, read_only_reason="fsync failed")),
        *metrics.from_services([ServiceState("ui web", False, 3, "it broke")]),
        *metrics.from_counters("ralnode_shell_total", "What the shell counts", {"a": 1}),
    ]
    for metric in found:
        assert re.fullmatch(r"ralnode_[a-z_]+", metric.name)
        assert metric.help
        assert metric.kind == ("counter" if metric.name.endswith("_total") else "gauge")
    values = {metric.name: metric.value for metric in found}
    assert (values["ralnode_read_only"], values["ralnode_service_up"], values["ralnode_service_restarts_total"]) == (
        1,
        0,
        3,
    )
