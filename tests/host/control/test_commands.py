from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from ralnode.api import (
    Address,
    ClusterStatus,
    Liveness,
    Member,
    MemberChanged,
    NotFoundError,
    PeerError,
    RefusedError,
    UnavailableError,
    UsageError,
)
from ralnode.dag import cid
from ralnode.host.answers import (
    CapacityAnswer,
    EventsAnswer,
    MetricsAnswer,
    NodesAnswer,
    PlanAnswer,
    PluginsAnswer,
    SourceAnswer,
    SourcesAnswer,
    VerifyAnswer,
    WhyAnswer,
)
from ralnode.host.commands import COMMANDS, Origin, answer, decode_answer, dispatch, encode, run
from ralnode.host.jsonable import from_jsonable

if TYPE_CHECKING:
    from tests.host.control.conftest import ControlNode
else:
    ControlNode = Any


def film(node: ControlNode) -> Any:
    return next(source for source in node.engine.sources() if source.name == "film")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("status", ClusterStatus), ("nodes", NodesAnswer), ("sources", SourcesAnswer), ("plan", PlanAnswer),
        ("plugins", PluginsAnswer), ("events", EventsAnswer), ("metrics", MetricsAnswer), ("capacity", CapacityAnswer),
    ],
)  # fmt: skip
async def test_what_is_shown_can_be_made_from_json_again(node: ControlNode, name: str, kind: type) -> None:
    found = await run(node, name, {})
    assert from_jsonable(kind, json.loads(json.dumps(found)))


async def test_the_status_command_is_the_status(node: ControlNode) -> None:
    assert from_jsonable(ClusterStatus, await run(node, "status", {})) == node.status()


async def test_help_lists_every_command_with_its_parameters(node: ControlNode) -> None:
    listed = {row["name"]: row for row in (await run(node, "help", {}))["commands"]}
    assert set(listed) == set(COMMANDS)
    assert "index" in listed["plan_why"]["params"]
    assert listed["rm"]["is_dangerous"] is True


@pytest.mark.parametrize("word", ["film", "CID", "CID in base58"])
async def test_a_source_is_found_by_name_and_by_any_form_of_its_cid(node: ControlNode, word: str) -> None:
    root = film(node).root
    if word == "CID":
        word = cid.to_text(root)
    elif word == "CID in base58":
        word = cid.to_text(root[2:])  # the same dag-pb node as a CIDv0
    found = from_jsonable(SourceAnswer, await run(node, "source", {"source": word}))
    assert found.status.name == "film"
    assert [(h.name, h.owned_count, h.linked_count) for h in found.holders] == [("attic", 10, 0)]


async def test_an_unknown_source_is_refused_with_what_was_probably_meant(node: ControlNode) -> None:
    with pytest.raises(NotFoundError, match="did you mean 'film'"):
        await run(node, "source", {"source": "flim"})


@pytest.mark.parametrize(
    ("name", "params", "says"),
    [
        ("capacity", {"capacity_byte": 3}, "capacity_bytes"),
        ("capacity", {"capacity_bytes": "lots"}, "capacity_bytes"),
        ("capacity", {"capacity_bytes": -1}, "capacity_bytes"),
        ("capacity", {"capacity_bytes": True}, "capacity_bytes"),
        ("source", {}, "'source' is missing"),
        ("rm", {"source": 7}, "source"),
        ("plan_why", {"source": "film", "index": "1"}, "index"),
        ("plan_why", {"source": "film", "index": 10}, "0 to 9"),
        ("plan_why", {"source": "film", "index": -1}, "0 to 9"),
        ("stop", {"away_minutes": 0}, "away_minutes"),
        ("stop", {"away_minutes": 99999}, "away_minutes"),
        ("hint_peer", {"addresses": []}, "1 to 64"),
        ("hint_peer", {"addresses": ["nowhere"]}, "host:port"),
        ("events", {"limit": 0}, "limit"),
        ("verify", {"action": "dance"}, "start, progress, pause"),
        ("status", {"x": 1}, "unknown key"),
    ],
)
async def test_wrong_parameters_are_refused_by_name(
    node: ControlNode, name: str, params: dict[str, Any], says: str
) -> None:
    before = node.storage.usage()
    with pytest.raises(UsageError, match=says):
        await run(node, name, params)
    assert node.storage.usage() == before and not node.stops and not node.hinted


async def test_an_unknown_command_is_refused(node: ControlNode) -> None:
    with pytest.raises(NotFoundError, match="did you mean 'status'"):
        await run(node, "stauts", {})


async def test_removing_takes_the_source_out_of_the_catalogue(node: ControlNode) -> None:
    removed = await run(node, "rm", {"source": "film"})
    assert removed["name"] == "film"
    assert [source.name for source in node.engine.sources()] == ["book"]
    with pytest.raises(NotFoundError):
        await run(node, "rm", {"source": "film"})


async def test_capacity_grows_and_says_what_it_was(node: ControlNode) -> None:
    found = from_jsonable(CapacityAnswer, await run(node, "capacity", {"capacity_bytes": 2_000_000}))
    assert (found.capacity_bytes, found.before_bytes) == (2_000_000, 1_000_000)
    assert node.engine.me.capacity_bytes == 2_000_000


async def test_shrinking_below_what_is_used_is_refused_with_the_reason(node: ControlNode) -> None:
    with pytest.raises(RefusedError, match="60 bytes are used"):
        await run(node, "capacity", {"capacity_bytes": 59})
    assert node.storage.usage().capacity_bytes == 1_000_000
    await run(node, "capacity", {"capacity_bytes": 60})


async def test_stop_is_answered_and_passed_on(node: ControlNode) -> None:
    assert (await run(node, "stop", {}))["node"] == "attic"
    await run(node, "stop", {"away_minutes": 30})
    assert node.stops == [None, 1800.0]


async def test_a_peer_can_be_hinted_at(node: ControlNode) -> None:
    await run(node, "hint_peer", {"addresses": ["10.1.2.3:10090", "[fe80::1]:7"]})
    assert node.hinted == [Address("10.1.2.3", 10090), Address("fe80::1", 7)]


async def test_the_plan_says_what_is_wanted_and_stored_and_why(node: ControlNode, other: ControlNode) -> None:
    found = from_jsonable(PlanAnswer, await run(node, "plan", {}))
    line = {each.name: each for each in found.sources}["film"]
    assert (line.wanted_count, line.stored_count, line.missing_count, line.extra_count) == (10, 10, 0, 0)
    assert "gives 50% of the capacity of 2 nodes" in line.why
    book = {each.name: each for each in found.sources}["book"]
    assert (book.stored_count, book.linked_count) == (0, 1)
    assert "3 copies were asked for, but only 2 nodes can take one each" in book.why
    theirs = from_jsonable(PlanAnswer, await run(other, "plan", {}))
    assert {each.name: each.missing_count for each in theirs.sources} == {"film": 10, "book": 1}


async def test_why_a_block_is_here_is_told_in_names(node: ControlNode, other: ControlNode) -> None:
    found = from_jsonable(WhyAnswer, await run(other, "plan_why", {"source": "film", "index": 3}))
    assert set(found.lines) == {"block 3 goes to attic", "block 3 goes to cellar"}
    assert (found.wanted_here, found.stored_here, found.holders) == (True, False, ("attic",))
    linked = from_jsonable(WhyAnswer, await run(other, "plan_why", {"source": "book", "index": 0}))
    assert (linked.holders, linked.linked_at) == ((), ("attic",))


async def test_a_verification_runs_in_the_background_and_finds_what_is_bad(node: ControlNode) -> None:
    with pytest.raises(NotFoundError):
        await run(node, "verify", {"action": "progress"})
    bad = cid.make(cid.RAW, b"leaf 3")
    node.storage.flip_bit(bad)
    assert (await run(node, "verify", {}))["state"] == "running"
    while (found := from_jsonable(VerifyAnswer, await run(node, "verify", {"action": "progress"}))).state == "running":
        await asyncio.sleep(0)
    assert (found.state, found.bad, found.bad_count) == ("done", (cid.to_text(bad),), 1)


async def test_only_one_verification_runs_at_a_time_and_it_can_be_stopped(node: ControlNode) -> None:
    await run(node, "verify", {})
    with pytest.raises(RefusedError, match="running already"):
        await run(node, "verify", {})
    assert (await run(node, "verify", {"action": "stop"}))["state"] in ("stopped", "done")
    await run(node, "verify", {})


async def test_events_are_the_newest(node: ControlNode) -> None:
    found = await run(node, "events", {"limit": 1})
    assert [line["text"] for line in found["events"]] == [node.engine.events[-1].text]


@pytest.mark.parametrize("name", sorted(name for name, command in COMMANDS.items() if not command.from_page))
async def test_the_page_may_not_ask_for_secrets_of_this_machine(node: ControlNode, name: str) -> None:
    with pytest.raises(RefusedError, match="status page"):
        await run(node, name, {}, Origin.PAGE)


async def test_the_join_code_is_not_given_to_another_node(node: ControlNode, other: ControlNode) -> None:
    assert (await run(node, "invite", {})) == {"code": "ral1secret", "group": "lab"}
    with pytest.raises(RefusedError, match="run it on attic itself"):
        await dispatch(other, "invite", {}, "attic")


async def test_a_command_reaches_the_node_it_names(node: ControlNode, other: ControlNode) -> None:
    await dispatch(node, "capacity", {"capacity_bytes": 77_000}, "cellar")
    assert other.storage.usage().capacity_bytes == 77_000
    assert node.storage.usage().capacity_bytes == 1_000_000
    await dispatch(node, "stop", {}, cid.peer_id(other.identity.id))
    assert other.stops == [None]
    assert (await dispatch(node, "capacity", {}, "attic"))["node"] == "attic"


async def test_the_error_of_the_other_node_comes_back_as_it_was(node: ControlNode, other: ControlNode) -> None:
    with pytest.raises(RefusedError, match="cannot set the capacity of attic"):
        await dispatch(other, "capacity", {"capacity_bytes": 1}, "attic")


async def test_a_command_for_nobody_or_for_a_dead_node_is_not_sent(node: ControlNode, other: ControlNode) -> None:
    with pytest.raises(NotFoundError, match="did you mean 'cellar'"):
        await dispatch(node, "stop", {}, "celar")
    gone = Member(other.identity.id, "cellar", other.address, 10090, Liveness.DEAD)
    node.engine._carry([MemberChanged(gone)], node.now)
    with pytest.raises(UnavailableError, match="was not sent"):
        await dispatch(node, "stop", {}, "cellar")
    assert not other.stops


async def test_the_page_can_command_another_node_but_not_ask_it_for_secrets(
    node: ControlNode, other: ControlNode
) -> None:
    await dispatch(node, "stop", {}, "cellar", Origin.PAGE)
    assert other.stops == [None]
    for name in ("page", "invite", "config"):
        with pytest.raises(RefusedError, match="status page"):
            await dispatch(node, name, {"action": "link"} if name == "page" else {}, "cellar", Origin.PAGE)
    assert not other.told_page


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"command": 3, "params": {}}',
        b'{"command": "stop", "params": []}',
        b"[" * 20000,
        b"x" * 70000,
    ],
    ids=lambda body: body[:20].decode(),
)
async def test_a_malformed_command_of_a_peer_is_answered_with_an_error(node: ControlNode, body: bytes) -> None:
    with pytest.raises(UsageError):
        decode_answer(await answer(node, b"p" * 32, body))
    assert not node.stops


async def test_what_a_peer_sends_is_run_as_sent_by_a_peer(node: ControlNode) -> None:
    found = decode_answer(await answer(node, b"p" * 32, encode("stop", {"away_minutes": 1})))
    assert (found["node"], found["away_seconds"]) == ("attic", 60.0)
    assert node.stops == [60.0]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"answer": 3}', b'{"error": 1}', b"{" * 9000])
def test_an_answer_that_makes_no_sense_is_a_peer_error(body: bytes) -> None:
    with pytest.raises(PeerError):
        decode_answer(body)
