"""What the meters count, and that nothing gets out which does not stand in the table."""

from __future__ import annotations

import os
import re
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ralnode.api import (
    Block,
    BlockSet,
    ClusterStatus,
    Health,
    Liveness,
    Metric,
    NodeStatus,
    Peer,
    Source,
    SourceStatus,
    StorageFullError,
    Usage,
    VerifyProgress,
)
from ralnode.core import events as ev
from ralnode.dag import cid
from ralnode.host.commands.verifying import VerifyState
from ralnode.host.metering import cluster, process
from ralnode.host.metering.histogram import SECONDS, Histogram
from ralnode.host.metering.meters import Meters
from ralnode.host.metering.table import NODES_MAX, SPECS, sample
from ralnode.host.metering.tally import Tally
from ralnode.host.supervise import ServiceState
from ralnode.testing.memory_storage import MemoryStorage

ROOT = cid.make(cid.RAW, b"root")


def node(name: str, liveness: Liveness = Liveness.ALIVE, *, is_me: bool = False) -> NodeStatus:
    return NodeStatus(
        f"12D3{name}", name, is_me, liveness, "seeding", 1000, 400, "", "1", "h:1", "", 1, 2, 3, 5.0, None
    )  # fmt: skip


def source(name: str, health: Health, unreachable: int = 0) -> SourceStatus:
    return SourceStatus(name, name, 1, 1, 2, health, (0, 0, 1, 0), unreachable, False, 0, {}, {})


STATUS = ClusterStatus(
    "fine", Health.REPAIRING, "me", "group", "rendezvous/1", "", True,
    (node("attic", is_me=True), node("cellar", Liveness.DEAD)),
    (source("a", Health.HEALTHY), source("b", Health.REPAIRING), source("c", Health.UNAVAILABLE, 4)),
    (0, 5, 7, 1), 123, 456, None, (), 0, "1",
)  # fmt: skip


def values(samples: Sequence[Metric]) -> dict[tuple[str, ...], float]:
    return {(each.name, *each.labels.values()): each.value for each in samples}


# --- table ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", SPECS.values(), ids=lambda spec: spec.name)
def test_names_are_as_prometheus_wants_them(spec) -> None:
    assert re.fullmatch(r"(ralnode|process)_[a-z_]+", spec.name)
    assert spec.help and spec.kind in ("gauge", "counter", "histogram")
    assert (spec.kind == "counter") == spec.name.endswith("_total")
    assert not spec.name.endswith(("_bucket", "_sum", "_count"))
    assert not {"source", "root", "cid"} & set(spec.labels), "sources are without number"
    if spec.kind == "histogram":
        assert spec.name.endswith("_seconds")


def test_a_sample_that_is_not_in_the_table_cannot_be_made() -> None:
    with pytest.raises(KeyError):
        sample("ralnode_surprise", 1)
    with pytest.raises(AssertionError, match="has the labels"):
        sample("ralnode_node_up", 1, source="x")


# --- the cluster ------------------------------------------------------------------------------------------------------


def test_the_cluster_is_told_by_health_liveness_and_copies() -> None:
    found = values(list(cluster.from_status(STATUS)))
    assert [found[("ralnode_health", each.value)] for each in Health] == [0, 0, 1, 0, 0]
    assert found[("ralnode_sources", "repairing")] == 1 and found[("ralnode_sources", "full")] == 0
    assert (found[("ralnode_blocks", "2")], found[("ralnode_blocks", "3+")]) == (7, 1)
    assert found[("ralnode_unreachable_blocks",)] == 4
    assert (found[("ralnode_nodes", "dead")], found[("ralnode_nodes", "left")]) == (1, 0)


def test_nodes_have_samples_of_their_own_up_to_a_bound_and_the_dead_are_left_out_first() -> None:
    dead = [node(f"dead{n:04}", Liveness.DEAD) for n in range(NODES_MAX)]
    found = list(cluster.from_nodes([*dead, node("me", is_me=True), *(node(f"live{n}") for n in range(9))]))
    up = {each.labels["node"]: each.value for each in found if each.name == "ralnode_node_up"}
    assert len(up) == NODES_MAX
    assert up["me"] == 1 and sum(up.values()) == 10
    used = values(list(cluster.from_nodes(STATUS.nodes)))
    assert used[("ralnode_node_used_bytes", "attic", "12D3attic")] == 400


def test_parts_of_the_node_are_told() -> None:
    verify = VerifyState("running", VerifyProgress(3, 10, 99), bad_count=2)
    found = values([
        *cluster.from_usage(Usage(10, 5, read_only_reason="fsync failed")),
        *cluster.from_verify(verify),
        *cluster.from_services([ServiceState("ui web", False, 3, "it broke")]),
        *cluster.from_gossip({"probes_sent": 7, "local_health": 1}, {"local_health": 1}),
        *cluster.from_traffic({b"a": (1, 2), b"b": (10, 20)}),
    ])  # fmt: skip
    assert found[("ralnode_read_only",)] == 1 and found[("ralnode_store_capacity_bytes",)] == 10
    assert (found[("ralnode_verify_running",)], found[("ralnode_verify_bad_blocks",)]) == (1, 2)
    assert (found[("ralnode_service_up", "ui web")], found[("ralnode_service_restarts_total", "ui web")]) == (0, 3)
    assert ("ralnode_gossip_total", "local_health") not in found
    assert (found[("ralnode_gossip_total", "probes_sent")], found[("ralnode_gossip_state", "local_health")]) == (7, 1)
    assert found[("ralnode_peer_sent_bytes_total",)] == 22


def test_a_gossip_plugin_cannot_flood_the_monitoring() -> None:
    many = {f"kind{n}": n for n in range(1000)}
    assert len(list(cluster.from_gossip(many, {}))) == cluster.KINDS_MAX


# --- histograms -------------------------------------------------------------------------------------------------------


def test_buckets_are_cumulative_and_the_last_one_has_everything() -> None:
    histogram = Histogram("ralnode_plan_seconds")
    for seconds in (0.0005, 0.001, 0.7, 1000.0):
        histogram.observe(seconds)
    samples = list(histogram.samples())
    buckets = {each.labels["le"]: each.value for each in samples if each.name.endswith("_bucket")}
    assert (buckets["0.001"], buckets["0.5"], buckets["1"], buckets["30"], buckets["+Inf"]) == (2, 2, 3, 3, 4)
    assert list(buckets.values()) == sorted(buckets.values()) and len(buckets) == len(SECONDS) + 1
    assert (samples[-1].name, samples[-1].value) == ("ralnode_plan_seconds_count", 4)
    assert samples[-2].value == pytest.approx(1000.7015)


# --- the core's traffic ------------------------------------------------------------------------------------------------


def test_what_passes_through_the_core_is_counted() -> None:
    tally, peer = Tally(), Peer(bytes(32), ())
    linked = Source(ROOT, "linked", 9, 1, 9, 0, 0)
    tally.watch([], [ev.CopyLinked(7, linked, BlockSet.of([0])), ev.ReplySync(1, b""), ev.ReplySync(2, b"", "no")])
    tally.watch(
        [
            ev.BlocksStored(1, ROOT, BlockSet.of([1, 2]), 500),
            ev.BlocksStored(1, ROOT, BlockSet.of([3]), 0),
            ev.BlocksStored(7, ROOT, BlockSet.of([0]), 9),
            ev.FetchEnded(1),
            ev.FetchEnded(7),
            ev.FetchEnded(2, "wrong bytes", peer_fault=True),
            ev.FetchEnded(3, "no room", full=True),
            ev.FetchEnded(4, "cancelled"),
            ev.FetchEnded(5, "gone"),
            ev.SyncFailed(peer, "no route"),
            ev.PlanComputed(1, None, 0.5, "it raised"),
        ],
        [],
    )
    tally.watch([ev.BlocksStored(7, ROOT, BlockSet.of([0]), 100)], [])
    found = values(list(tally.samples()))
    assert (found[("ralnode_fetched_bytes_total",)], found[("ralnode_fetched_blocks_total",)]) == (600, 3)
    assert found[("ralnode_copied_bytes_total",)] == 9, "a number that is used again is a new task"
    outcomes = {key[1]: value for key, value in found.items() if key[0] == "ralnode_fetches_total"}
    assert outcomes == {"complete": 2, "peer_fault": 1, "full": 1, "cancelled": 1, "failed": 1}
    assert (
        found[("ralnode_syncs_total", "asked", "failed")],
        found[("ralnode_syncs_total", "answered", "refused")],
    ) == (
        1,
        1,
    )
    assert (found[("ralnode_plans_total", "failed")], found[("ralnode_plan_seconds_sum",)]) == (1, 0.5)


# --- the store --------------------------------------------------------------------------------------------------------


async def test_commits_are_timed_failures_counted_and_the_rest_passes_through() -> None:
    inner = MemoryStorage(200_000)
    meters = Meters(inner)
    store, lost = meters.storage, []
    await store.open(lost.extend)
    block = Block(cid.make(cid.RAW, b"x"), b"x")
    await store.put([block])
    await store.save_state({b"a": b"1"})
    large = bytes(500_000)
    with pytest.raises(StorageFullError):
        await store.put([Block(cid.make(cid.RAW, large), large)])
    assert await store.get(block.key) == b"x"
    assert (await store.load_state(b"a"), store.usage()) == ({b"a": b"1"}, inner.usage())
    assert await store.delete([block.key]) == 1
    found = values(list(meters.samples()))
    counts = {key[1]: value for key, value in found.items() if key[0] == "ralnode_store_commit_seconds_count"}
    assert counts == {"put": 1, "link": 0, "delete": 1, "state": 1}
    assert found[("ralnode_store_failures_total", "put")] == 1
    await store.close()


async def test_lost_blocks_are_counted_on_their_way_to_who_repairs_them() -> None:
    class Failing(MemoryStorage):
        async def open(self, on_lost) -> None:
            await super().open(on_lost)
            on_lost([b"k1", b"k2"])

    meters, lost = Meters(Failing(1000)), []
    await meters.storage.open(lost.extend)
    assert lost == [b"k1", b"k2"]
    assert values(list(meters.samples()))[("ralnode_lost_blocks_total",)] == 2


async def test_blocks_given_to_peers_are_counted_and_a_stream_left_early_is_closed() -> None:
    closed = []

    async def stream() -> AsyncIterator[Sequence[Block]]:
        try:
            yield [Block(b"1", b"abc"), Block(b"2", b"de")]
            yield [Block(b"3", b"f" * 100)]
        finally:
            closed.append(True)

    meters = Meters(MemoryStorage(1000))
    served = meters.served(stream())
    assert len(await anext(served)) == 2
    await served.aclose()  # type: ignore[attr-defined]
    meters.served_one(b"12345")
    found = values(list(meters.samples()))
    assert closed == [True]
    assert (found[("ralnode_served_bytes_total",)], found[("ralnode_served_blocks_total",)]) == (10, 3)


# --- the process ------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="there is no /proc here")
def test_the_process_is_measured() -> None:
    with Path(os.devnull).open():
        found = values(list(process.samples()))
    assert 5e6 < found[("process_resident_memory_bytes",)] < found[("process_virtual_memory_bytes",)]
    assert found[("process_cpu_seconds_total",)] > 0
    assert 3 <= found[("process_open_fds",)] < found[("process_max_fds",)]
    assert found[("process_threads",)] >= 1
    assert time.time() - 86_400 < found[("process_start_time_seconds",)] < time.time() + 1


def test_a_system_without_proc_leaves_out_what_it_would_tell(tmp_path: Path) -> None:
    assert {each.name for each in process.samples(tmp_path)} == {"process_cpu_seconds_total", "process_max_fds"}


def test_dead_status_is_still_whole() -> None:
    empty = replace(STATUS, nodes=(), sources=(), histogram=())
    assert values(list(cluster.from_status(empty)))[("ralnode_deficit_bytes",)] == 123
