from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from ralnode.api import ClusterStatus, EventLine, Health, Liveness, NodeStatus, PeerError, SourceStatus
from ralnode.host.jsonable import from_jsonable, to_jsonable

NODE = NodeStatus(
    "12D3", "attic", True, Liveness.ALIVE, "seeding", 100, 50, "", "1", "10.0.0.1:1", "", 3, 2, 1, 0.0, None, 1.5, 2.5
)
SOURCE = SourceStatus("baf", "ü", 10, 3, 2, Health.AT_RISK, (1, 2, 0, 0), 0, False, 5, {"12D3": "909"}, {})
STATUS = ClusterStatus(
    "All is well.", Health.HEALTHY, "12D3", "g", "rendezvous/1", "", True, (NODE,), (SOURCE,), (1, 2, 0, 0), 5, 6, None,
    (EventLine(1, "info", "x"),), 7, "1",
)  # fmt: skip


def test_a_status_survives_the_way_through_json() -> None:
    assert from_jsonable(ClusterStatus, json.loads(json.dumps(to_jsonable(STATUS)))) == STATUS


def test_unknown_keys_of_a_newer_node_are_passed_over() -> None:
    table = to_jsonable(STATUS) | {"new_in_version_9": 1}
    assert from_jsonable(ClusterStatus, table) == STATUS


@pytest.mark.parametrize(
    "change", [{"health": "splendid"}, {"nodes": {}}, {"histogram": 3}, {"sentence": None}, {"nodes": [{"id": "x"}]}]
)
def test_an_answer_that_makes_no_sense_is_a_peer_error(change: dict[str, object]) -> None:
    with pytest.raises(PeerError):
        from_jsonable(ClusterStatus, to_jsonable(STATUS) | change)


@dataclass(frozen=True, slots=True)
class Odd:
    value: object


def test_infinity_becomes_none_and_bytes_are_refused() -> None:
    assert to_jsonable(Odd(float("inf"))) == {"value": None}
    with pytest.raises(TypeError):
        to_jsonable(Odd(b"x"))
