"""Dry runs tell what would happen and change nothing; draining leaves a node out of plans and it goes on serving."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from ralnode.api import BlockSet, Plan, RefusedError, UsageError, View
from ralnode.host.answers import DrainAnswer, Foresight
from ralnode.host.commands import Origin, dispatch, run
from ralnode.host.jsonable import from_jsonable

if TYPE_CHECKING:
    from tests.host.control.conftest import ControlNode
else:
    ControlNode = Any


class FirstTwo:
    """Every block goes to the first two nodes by id."""

    name, version, needs_holdings = "first-two", 1, False

    def plan(self, view: View) -> Plan:
        mine = view.me in [node.id for node in view.nodes[:2]]
        want = {source.root: BlockSet.full(source.leaf_count) for source in view.sources} if mine else {}
        return Plan(want, digest=b"\x02" * 16)


async def foresee(node: ControlNode, action: str, **params: Any) -> Foresight:
    return from_jsonable(Foresight, await run(node, "foresee", {"action": action, **params}, Origin.PAGE))


async def test_a_dry_run_changes_nothing(node: ControlNode, other: ControlNode) -> None:
    before = (node.engine.me, node.engine.sources(), node.storage.usage())
    for action, params in (
        ("remove", {"source": "film"}),
        ("capacity", {"capacity_bytes": 2_000_000}),
        ("drain", {}),
        ("undrain", {}),
        ("stop", {"away_minutes": 5}),
    ):
        found = await foresee(node, action, **params)
        assert found.lines and not found.refusal
    assert (node.engine.me, node.engine.sources(), node.storage.usage()) == before
    assert not node.stops


async def test_removing_tells_the_name_to_type_and_what_becomes_free(node: ControlNode) -> None:
    found = await foresee(node, "remove", source="film")
    assert found.target == "film"
    assert any("60 B" in line for line in found.lines)
    assert found.warnings == ("It cannot be undone.",)


async def test_stopping_the_only_holder_warns_of_every_block_that_would_be_out_of_reach(
    node: ControlNode, other: ControlNode
) -> None:
    found = await foresee(node, "stop")
    assert found.unreachable_count == 11
    assert "11 blocks" in found.warnings[0] and "film" in found.warnings[0]
    assert found.copies_min == 0
    theirs = await foresee(other, "stop")
    assert (theirs.unreachable_count, theirs.warnings, theirs.target) == (0, (), "cellar")


async def test_a_capacity_below_what_is_used_would_be_refused(node: ControlNode) -> None:
    found = await foresee(node, "capacity", capacity_bytes=59)
    assert "uses 60 B" in found.refusal
    with pytest.raises(UsageError, match="needs the capacity"):
        await foresee(node, "capacity")


async def test_what_moves_is_told_by_the_planner(node: ControlNode, other: ControlNode) -> None:
    node.planner = FirstTwo()
    node.settle()
    found = await foresee(node, "drain")
    assert found.moved_bytes == 0  # the other one was to have everything already
    node.planner = type("OnlyMe", (FirstTwo,), {"plan": _only_the_first_in_the_view(node.engine.me.id)})()
    found = await foresee(node, "drain")
    assert found.moved_bytes == 64  # film and book, once
    assert any("about 64 B" in line for line in found.lines)


def _only_the_first_in_the_view(favoured: bytes) -> Any:
    def plan(_self: object, view: View) -> Plan:
        here = favoured if favoured in [node.id for node in view.nodes] else view.nodes[0].id
        want = {source.root: BlockSet.full(source.leaf_count) for source in view.sources} if view.me == here else {}
        return Plan(want, digest=b"\x03" * 16)

    return plan


async def test_draining_takes_a_node_out_of_plans_and_can_be_undone(node: ControlNode, other: ControlNode) -> None:
    found = from_jsonable(DrainAnswer, await run(node, "drain", {"draining": True}))
    assert found.draining and found.waiting_count == 10  # the linked book is nobody's own copy
    node.settle()
    other.settle()
    assert node.engine.me.draining and node.engine.me.activity == "draining"
    assert [planned.id for planned in node.engine.plan_view.nodes] == [other.engine.me.id]
    assert len(node.engine.holding(node.engine.me.id, node.engine.sources()[0].root).servable)
    shown = from_jsonable(DrainAnswer, await run(node, "drain", {}))
    assert (shown.draining, shown.waiting_count, shown.is_done) == (True, 10, False)
    await run(node, "drain", {"draining": False})
    node.settle()
    assert not node.engine.me.draining and len(node.engine.plan_view.nodes) == 2


async def test_the_only_node_cannot_be_drained(node: ControlNode) -> None:
    assert (await foresee(node, "drain")).refusal
    with pytest.raises(RefusedError, match="no other live node"):
        await run(node, "drain", {"draining": True})
    assert not node.engine.me.draining


async def test_a_dry_run_is_made_by_the_node_that_is_meant(node: ControlNode, other: ControlNode) -> None:
    found = await dispatch(node, "foresee", {"action": "capacity", "capacity_bytes": 5_000_000}, "cellar", Origin.PAGE)
    assert found["target"] == "cellar"


async def test_a_verification_can_be_paused_and_gone_on_with(node: ControlNode) -> None:
    for action in ("pause", "resume"):
        with pytest.raises(RefusedError, match="Nothing was changed"):
            await run(node, "verify", {"action": action})
    await run(node, "verify", {})
    assert (await run(node, "verify", {"action": "pause"}))["state"] == "paused"
    before = None
    for _ in range(50):
        await asyncio.sleep(0)
        before = (await run(node, "verify", {"action": "progress"}))["state"]
    assert before == "paused"
    assert (await run(node, "verify", {"action": "resume"}))["state"] == "running"
    while (await run(node, "verify", {"action": "progress"}))["state"] == "running":
        await asyncio.sleep(0)
    assert (await run(node, "verify", {"action": "progress"}))["state"] == "done"


async def test_only_the_socket_may_say_who_signs_in(node: ControlNode, other: ControlNode) -> None:
    answer = await run(node, "page", {"action": "password", "role": "admin", "password": "secret words"})
    assert answer["accounts"] == ["admin"]
    assert [told.password for told in node.told_page] == ["secret words"]
    assert "secret words" not in repr(node.told_page)
    with pytest.raises(RefusedError, match="run it on attic itself"):
        await dispatch(other, "page", {"action": "link"}, "attic")
