"""Counts what passes through the core loop: every event that goes in, every effect that comes out. No IO."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from ralnode.api import Metric
from ralnode.core import events as ev
from ralnode.core.events import Effect, Event
from ralnode.host.metering.histogram import Histogram
from ralnode.host.metering.table import sample

OUTCOMES: Final = ("complete", "failed", "peer_fault", "full", "cancelled")
SYNCS: Final = (("asked", "ok"), ("asked", "failed"), ("answered", "ok"), ("answered", "refused"))


class Tally:
    """`watch` is called with every turn of the core loop, so what is uninteresting costs one look-up."""

    def __init__(self) -> None:
        self._fetches = Counter[str]()
        self._syncs = Counter[tuple[str, str]]()
        self._plans = Counter[str]()
        self._plan_seconds = Histogram("ralnode_plan_seconds")
        self._fetched_bytes = self._fetched_blocks = self._copied_bytes = 0
        self._copies_running: set[int] = set()
        self._interesting: Mapping[type, Callable[[Any], None]] = {
            ev.BlocksStored: self._stored,
            ev.FetchEnded: self._fetch_ended,
            ev.PlanComputed: self._planned,
            ev.SyncAnswered: lambda _: self._syncs.update([("asked", "ok")]),
            ev.SyncFailed: lambda _: self._syncs.update([("asked", "failed")]),
            ev.ReplySync: lambda e: self._syncs.update([("answered", "refused" if e.refusal else "ok")]),
            ev.CopyLinked: lambda e: self._copies_running.add(e.task),
        }

    def watch(self, events: Sequence[Event], effects: Sequence[Effect]) -> None:
        for each in (*events, *effects):
            count = self._interesting.get(type(each))
            if count is not None:
                count(each)

    def samples(self) -> Iterator[Metric]:
        yield sample("ralnode_fetched_bytes_total", self._fetched_bytes)
        yield sample("ralnode_fetched_blocks_total", self._fetched_blocks)
        yield sample("ralnode_copied_bytes_total", self._copied_bytes)
        for outcome in OUTCOMES:
            yield sample("ralnode_fetches_total", self._fetches[outcome], outcome=outcome)
        for direction, outcome in SYNCS:
            yield sample("ralnode_syncs_total", self._syncs[(direction, outcome)], direction=direction, outcome=outcome)
        for outcome in ("made", "failed"):
            yield sample("ralnode_plans_total", self._plans[outcome], outcome=outcome)
        yield from self._plan_seconds.samples()

    def _stored(self, event: ev.BlocksStored) -> None:
        if event.task in self._copies_running:
            self._copied_bytes += event.size_bytes
        elif event.size_bytes:  # without bytes: another source had brought them here before
            self._fetched_bytes += event.size_bytes
            self._fetched_blocks += len(event.blocks)

    def _fetch_ended(self, event: ev.FetchEnded) -> None:
        self._copies_running.discard(event.task)
        self._fetches[_outcome(event)] += 1

    def _planned(self, event: ev.PlanComputed) -> None:
        self._plans["failed" if event.plan is None else "made"] += 1
        self._plan_seconds.observe(event.seconds)


def _outcome(event: ev.FetchEnded) -> str:
    if event.peer_fault:
        return "peer_fault"
    if event.full:
        return "full"
    if event.reason == "cancelled":
        return "cancelled"
    return "failed" if event.reason else "complete"
