"""How much more can be stored, and what limits it, in sentences. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ralnode.api import ClusterStatus, NodeStatus
from ralnode_ui_web.nodecards import UP
from ralnode_ui_web.words import counted, size


@dataclass(frozen=True, slots=True)
class Share:
    node: str
    free: str
    start: int
    width: int
    """Thousandths of all free room."""
    shade: int


@dataclass(frozen=True, slots=True)
class Room:
    storable: str
    copies: str
    reasons: tuple[str, ...]
    shares: tuple[Share, ...]


def room(status: ClusterStatus) -> Room:
    live = sorted((n for n in status.nodes if n.liveness in UP), key=lambda node: (-_free(node), node.name))
    copies = max(1, min(status.default_copies, len(live)))
    return Room(
        storable=size(status.storable_bytes),
        copies=counted(status.default_copies, "copy", "copies"),
        reasons=tuple(_reasons(status, live, copies)),
        shares=_shares(live),
    )


def _reasons(status: ClusterStatus, live: list[NodeStatus], copies: int) -> list[str]:
    free = sum(map(_free, live))
    nodes = counted(len(live), "node", "nodes")
    said = [f"{nodes} that {'is' if len(live) == 1 else 'are'} here have {size(free)} of their capacity left."]
    if len(live) == 1:
        said[0] = f"this one node has {size(free)} of its capacity left."
    if copies < status.default_copies:
        said.append(
            f"{status.default_copies} copies are wanted, each on another node, but only {nodes} can take one: "
            "for now everything has fewer."
        )
    elif copies > 1:
        said.append(f"Every block takes {copies} times its size, each time on another node.")
        if _free(live[0]) > status.storable_bytes:
            unpaired = _free(live[0]) - status.storable_bytes
            said.append(f"Of {live[0].name}'s room {size(unpaired)} finds no second node to go with it.")
    if status.deficit_bytes:
        said.append(f"{size(status.deficit_bytes)} of it are spoken for by copies that are still to be made.")
    said += [
        f"On {node.name} the disk itself has only {size(node.disk_free_bytes)} free, "
        f"less than the {size(_free(node))} that its capacity leaves."
        for node in live
        if node.disk_total_bytes and node.disk_free_bytes < _free(node)
    ]
    gone = [node for node in status.nodes if node.liveness not in UP and _free(node)]
    if gone:
        verb = "is" if len(gone) == 1 else "are"
        said.append(f"{counted(len(gone), 'node', 'nodes')} that {verb} away {verb} not counted.")
    return said


def _shares(live: list[NodeStatus]) -> tuple[Share, ...]:
    free, made, at = max(1, sum(map(_free, live))), [], 0
    for number, node in enumerate(live):
        width = 1000 * _free(node) // free
        if width:
            made.append(Share(node.name, size(_free(node)), at, width, number % 4))
            at += width
    return tuple(made)


def _free(node: NodeStatus) -> int:
    return max(0, node.capacity_bytes - node.used_bytes)
