"""What `ralnode plan simulate` is told of the present cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ralnode.api import RefusedError, UnavailableError
from ralnode.host.answers import ViewAnswer
from ralnode.host.commands import Origin, run
from ralnode.host.jsonable import from_jsonable

if TYPE_CHECKING:
    from tests.host.control.conftest import ControlNode
else:
    ControlNode = Any


async def test_the_view_is_the_one_the_plan_in_force_was_made_from(node: ControlNode) -> None:
    found = from_jsonable(ViewAnswer, json.loads(json.dumps(await run(node, "plan_view", {}))))
    view = node.engine.plan_view
    assert view is not None
    assert [(bytes.fromhex(n.id), n.capacity_bytes, n.zone) for n in found.nodes] == [
        (n.id, n.capacity_bytes, n.zone) for n in view.nodes
    ]
    names = {info.id: info.name for info in node.engine.nodes()}
    assert [n.name for n in found.nodes] == [names[n.id] for n in view.nodes]
    assert [(bytes.fromhex(s.root), s.leaf_count, s.leaf_bytes, s.copies) for s in found.sources] == [
        (s.root, s.leaf_count, s.leaf_bytes, s.copies) for s in view.sources
    ]
    assert found.sources


async def test_the_status_page_may_not_ask_for_it(node: ControlNode) -> None:
    with pytest.raises(RefusedError):
        await run(node, "plan_view", {}, Origin.PAGE)


class Unplanned:
    """A node that has just started, as far as this command looks."""

    class engine:  # noqa: N801
        plan_view = None


async def test_a_node_without_a_plan_says_so() -> None:
    with pytest.raises(UnavailableError, match="no plan yet"):
        await run(Unplanned(), "plan_view", {})  # type: ignore[arg-type]
