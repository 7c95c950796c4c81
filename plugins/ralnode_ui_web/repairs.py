"""What needs a hand, each with what to do about it. Pure; healing that goes on by itself is told, but asks for nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ralnode.api import ClusterStatus, Health, Liveness, NodeStatus
from ralnode_ui_web.nodecards import UP
from ralnode_ui_web.words import counted, key, listed, size, span

_SHOWN_MAX: Final = 20
_FULL_PART: Final = 0.9
"""No incoming repair from here on; a person should know before."""
_RECENT_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class Repair:
    level: str
    """error, warning or info."""
    title: str
    text: str
    link: str = ""
    """An address here."""
    link_text: str = ""
    needs_admin: bool = False
    """The link is a change."""
    command: str = ""
    """Where only the command line helps."""


def repairs(status: ClusterStatus) -> tuple[Repair, ...]:
    """The gravest first."""
    found = [each for finder in _FINDERS for each in finder(status)]
    found.sort(key=lambda repair: ("error", "warning", "info").index(repair.level))
    return tuple(found[:_SHOWN_MAX])


def _unreadable(status: ClusterStatus) -> Iterator[Repair]:
    lost = [source for source in status.sources if source.health is Health.UNAVAILABLE]
    if not lost:
        return
    away = sorted(n.name for n in status.nodes if n.liveness is Liveness.DEAD)
    hope = f"Switch {listed(away)} on again" if away else "Add the file again from wherever it still lies"
    yield Repair(
        "error",
        f"{counted(len(lost), 'file', 'files')} cannot be read whole",
        f"{listed([source.name for source in lost])}: some of the blocks are on no node that is here. {hope}.",
        "/dashboard?health=short#sources",
        "Show them",
    )


def _last_copies(status: ClusterStatus) -> Iterator[Repair]:
    bare = [source for source in status.sources if source.health is Health.AT_RISK]
    if bare:
        blocks = sum(source.histogram[0] for source in bare)
        yield Repair(
            "warning",
            f"{counted(blocks, 'block has', 'blocks have')} no copy besides the added file",
            f"{listed([source.name for source in bare])}: leave the file where it is, and its node on, until it is copied.",
            "/dashboard?health=short#sources",
            "Show them",
        )


def _away(status: ClusterStatus) -> Iterator[Repair]:
    for node in status.nodes:
        if node.liveness is Liveness.DEAD and node.repair_in_seconds:
            yield Repair(
                "warning",
                f"{node.name} does not answer",
                f"Switch it on within {span(node.repair_in_seconds)} and nothing has to move. After that its share is "
                "copied again by itself.",
            )
        elif node.liveness is Liveness.DEAD and node.repair_in_seconds is not None:
            yield Repair("info", f"{node.name} is away", "Its share has moved on. It is welcome back at any time.")


def _full(status: ClusterStatus) -> Iterator[Repair]:
    for node in _up(status):
        if node.capacity_bytes and node.used_bytes >= _FULL_PART * node.capacity_bytes:
            yield Repair(
                "warning",
                f"{node.name} is nearly full",
                f"{size(node.used_bytes)} of {size(node.capacity_bytes)} are used. Give it more, or remove a source.",
                f"/dashboard#n-{key(node.id)}",
                "Change its capacity",
                needs_admin=True,
            )


def _overpromised(status: ClusterStatus) -> Iterator[Repair]:
    for node in _up(status):
        left = node.capacity_bytes - node.used_bytes
        if node.disk_total_bytes and node.disk_free_bytes < left:
            yield Repair(
                "warning",
                f"{node.name} promises more than its disk has",
                f"Its capacity leaves {size(left)}, the disk {size(node.disk_free_bytes)}. Lower the capacity, or make room.",
                f"/dashboard#n-{key(node.id)}",
                "Change its capacity",
                needs_admin=True,
            )


def _read_only(status: ClusterStatus) -> Iterator[Repair]:
    for node in _up(status):
        if node.read_only_reason:
            yield Repair(
                "error",
                f"{node.name} refuses writes",
                f"{node.read_only_reason}. What it has can still be read.",
                command="ralnode doctor",
            )


def _leftovers(status: ClusterStatus) -> Iterator[Repair]:
    here = next((node.name for node in status.nodes if node.is_me), "this node")
    if status.leftover_bytes:
        yield Repair(
            "info",
            f"{size(status.leftover_bytes)} on {here} belong to no file",
            "Adds or pulls that were never finished have left them. Repeat those, or free the room.",
            command="ralnode leftovers",
        )


def _alone(status: ClusterStatus) -> Iterator[Repair]:
    live = sum(1 for _ in _up(status))
    if live < status.default_copies:
        yield Repair(
            "warning",
            f"Only {counted(live, 'node', 'nodes')} for {status.default_copies} copies",
            "Every copy needs a machine of its own. Get a join code here, and on another machine run "
            "`ralnode join CODE` with it.",
            command="ralnode invite",
        )


def _different_plans(status: ClusterStatus) -> Iterator[Repair]:
    planners: dict[str, list[str]] = {}
    for node in _up(status):
        if node.planner:
            planners.setdefault(node.planner, []).append(node.name)
    if len(planners) > 1:
        used = "; ".join(f"{planner} on {listed(sorted(names))}" for planner, names in sorted(planners.items()))
        yield Repair(
            "warning",
            "Nodes use different planners",
            f"{used}. Blocks get more or fewer copies than asked for. Set one planner everywhere.",
            command="ralnode plugins",
        )
    versions = sorted({node.version for node in _up(status) if node.version})
    if len(versions) > 1:
        yield Repair(
            "info", "Nodes run different versions", f"{listed(versions)}. Upgrade the older ones when it suits."
        )


def _errors(status: ClusterStatus) -> Iterator[Repair]:
    since = status.unix_ms - _RECENT_MS
    recent = [line for line in status.events if line.level == "error" and line.unix_ms >= since]
    if recent:
        title = f"{counted(len(recent), 'error', 'errors')} in the last hour"
        yield Repair("warning", title, f"The newest: {recent[-1].text}", "/dashboard#events", "Read the events")


def _up(status: ClusterStatus) -> Iterator[NodeStatus]:
    return (node for node in status.nodes if node.liveness in UP)


_FINDERS: Final[tuple[Callable[[ClusterStatus], Iterator[Repair]], ...]] = (
    _unreadable,
    _read_only,
    _last_copies,
    _away,
    _full,
    _overpromised,
    _leftovers,
    _alone,
    _different_plans,
    _errors,
)
