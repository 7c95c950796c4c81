"""What every planner must keep to, as a test class. A whole test file for a planner of yours:

    from ralnode.testing.planner_contract import PlannerContract
    from my_planner import MyPlanner

    class TestMyPlanner(PlannerContract):
        def build(self):
            return MyPlanner()

Run it with pytest. The class must stand at the top level of its file: one test plans in another process.
"""

from __future__ import annotations

import copy
import inspect
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import ClassVar

from ralnode.api import BlockSet, ExplainingPlanner, Plan, Planner, View
from ralnode.api.planning import planned_bytes
from ralnode.testing.planner_measures import copies_per_block, plans_everywhere
from ralnode.testing.planner_probe import described, fingerprint
from ralnode.testing.planner_views import NamedView, all_views, ample_view, large_view, node_id, seen_by, source_root


class PlannerContract:
    """Subclass it and say how to make the planner; the two flags say what yours is meant to do."""

    never_exceeds_copies: ClassVar[bool] = True
    """No block is wanted by more nodes than its source asks copies of. Set it to False for mirrors and for planners
    whose nodes decide without regard to each other."""

    covers_at_once: ClassVar[bool] = True
    """Given ample room, one plan has every copy. Set it to False for a planner that goes on in rounds."""

    seconds_max: ClassVar[float] = 5.0

    def build(self) -> Planner:
        raise NotImplementedError("return a new planner")

    def test_it_says_who_it_is(self) -> None:
        planner = self.build()
        assert isinstance(planner.name, str), "name is a word for the configuration"
        assert planner.name, "name is empty"
        assert isinstance(planner.version, int), "version is a whole number"
        assert planner.version >= 1, "versions count from 1"
        assert isinstance(planner.needs_holdings, bool), "needs_holdings is True or False"

    def test_the_same_view_gives_the_same_plan(self) -> None:
        """Twice in a row, from a new planner, and after other views in another order."""
        views = all_views()
        planner = self.build()
        first = [described(planner.plan(named.view)) for named in views]
        again = [described(planner.plan(named.view)) for named in reversed(views)][::-1]
        fresh = [described(self.build().plan(named.view)) for named in views]
        for named, one, two, three in zip(views, first, again, fresh, strict=True):
            assert one == two == three, f"{named.name}: the plan depends on more than the view"

    def test_another_hash_seed_gives_the_same_plan(self) -> None:
        """Nodes are different processes: the order of a set of bytes must not decide anything."""
        expected = fingerprint(self.build(), all_views())
        for seed in ("1", "2"):
            assert self._fingerprint_elsewhere(seed) == expected, f"PYTHONHASHSEED={seed} gives another plan"

    def test_the_view_is_left_as_it_was(self) -> None:
        for named in all_views():
            before = copy.deepcopy(named.view)
            self.build().plan(named.view)
            assert named.view == before, f"{named.name}: the planner changed what it was given"

    def test_it_wants_only_what_exists(self) -> None:
        for named, view, plan in self._plans():
            counts = {source.root: source.leaf_count for source in view.sources}
            for root, blocks in plan.want.items():
                assert root in counts, f"{named.name}: wants a source that is not in the view"
                assert blocks.bits.bit_length() <= counts[root], f"{named.name}: wants a block beyond the source"
                assert blocks.bits >= 0, f"{named.name}: a negative set of blocks"

    def test_urgent_is_part_of_want(self) -> None:
        for named, _, plan in self._plans():
            for root, blocks in plan.urgent.items():
                rest = blocks - plan.want.get(root, BlockSet())
                assert not rest, f"{named.name}: {len(rest)} urgent blocks are not wanted"

    def test_it_stays_within_capacity(self) -> None:
        """The interior nodes of every source are on every node; a node that is not planned for has no room at all."""
        for named, view, plan in self._plans():
            mine = next((node for node in view.nodes if node.id == view.me), None)
            interior_bytes = sum(source.interior_bytes for source in view.sources)
            room = max(0, mine.capacity_bytes - interior_bytes) if mine else 0
            wanted = planned_bytes(view.sources, plan.want)
            assert wanted <= room, f"{named.name}: wants {wanted:,} bytes and has room for {room:,}"

    def test_nodes_with_equal_views_agree_on_the_digest(self) -> None:
        for named in all_views():
            digests = {plan.digest for plan in plans_everywhere(self.build(), named.view).values()}
            assert len(digests) <= 1, f"{named.name}: the digest depends on who plans"
            assert all(isinstance(digest, bytes) and len(digest) <= 16 for digest in digests), "at most 16 bytes"

    def test_no_more_copies_than_asked_for(self) -> None:
        if not self.never_exceeds_copies:
            return
        for named in all_views():
            plans = plans_everywhere(self.build(), named.view)
            for source in named.view.sources:
                most = int(copies_per_block(source, plans.values()).max(initial=0))
                assert most <= max(0, source.copies), (
                    f"{named.name}: {most} copies of a block, {source.copies} asked for"
                )

    def test_with_ample_room_every_block_gets_its_copies(self) -> None:
        """Each on another node: what is counted is how many nodes want it."""
        if not self.covers_at_once:
            return
        view = ample_view()
        plans = plans_everywhere(self.build(), view)
        for source in view.sources:
            fewest = int(copies_per_block(source, plans.values()).min())
            assert fewest >= min(source.copies, len(view.nodes)), f"only {fewest} copies of some block of {source.name}"

    def test_a_million_blocks_are_planned_in_time(self) -> None:
        began = time.monotonic()
        self.build().plan(large_view())
        took = time.monotonic() - began
        assert took <= self.seconds_max, f"{took:.1f} s for a million blocks on six nodes, at most {self.seconds_max} s"

    def test_explanations_are_lines(self) -> None:
        planner = self.build()
        if not isinstance(planner, ExplainingPlanner):
            return
        for named in all_views():
            asked = [(source.root, index) for source in named.view.sources for index in (0, source.leaf_count)]
            for root, index in [*asked[:6], (source_root(10_000), 0)]:
                lines = planner.explain(named.view, root, index)
                assert lines, f"{named.name}: no explanation of block {index}"
                assert all(isinstance(line, str) and "\n" not in line for line in lines), "one string per line"

    def _plans(self) -> Iterator[tuple[NamedView, View, Plan]]:
        """Every view from every one of its nodes (of many: a few), and from a stranger."""
        planner = self.build()
        for named in all_views():
            everybody = [node.id for node in named.view.nodes]
            for me in [*everybody[:8], named.view.me, node_id(4711)]:
                view = seen_by(named.view, me)
                yield named, view, planner.plan(view)

    def _fingerprint_elsewhere(self, hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [
            sys.executable,
            "-m",
            "ralnode.testing.planner_probe",
            inspect.getfile(type(self)),
            type(self).__name__,
        ]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"planning in another process failed:\n{done.stderr}"
        return done.stdout.strip()
