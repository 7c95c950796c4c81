"""From a ClusterStatus to what the templates show: all seven parts in their order. Pure: text and numbers in and out."""

from __future__ import annotations

from dataclasses import dataclass

from ralnode.api import ClusterStatus
from ralnode_ui_web.copies import Copies, copies
from ralnode_ui_web.eventlog import EventRow, newest
from ralnode_ui_web.history import History
from ralnode_ui_web.nodecards import UP, NodeCard, cards
from ralnode_ui_web.planview import PlanView, plan_view
from ralnode_ui_web.repairs import Repair, repairs
from ralnode_ui_web.room import Room, room
from ralnode_ui_web.sourcelist import Query, SourcePage, css_of, source_page
from ralnode_ui_web.words import counted


@dataclass(frozen=True, slots=True)
class Truth:
    """The first line of the page."""

    sentence: str
    spoken: str
    """The sentence without its running figures, for those who have it read out."""
    health: str
    css: str
    summary: str
    """How many nodes and files, for the line below."""


@dataclass(frozen=True, slots=True)
class Page:
    group: str
    version: str
    me: str
    truth: Truth
    nodes: tuple[NodeCard, ...]
    copies: Copies
    sources: SourcePage
    room: Room
    repairs: tuple[Repair, ...]
    events: tuple[EventRow, ...]
    plan: PlanView


def make_page(status: ClusterStatus, query: Query, page_size: int, history: History) -> Page:
    return Page(
        group=status.group,
        version=status.version,
        me=next((node.name for node in status.nodes if node.is_me), ""),
        truth=truth(status),
        nodes=cards(status),
        copies=copies(status, history),
        sources=source_page(status, query, page_size),
        room=room(status),
        repairs=repairs(status),
        events=newest(status.events),
        plan=plan_view(status),
    )


def truth(status: ClusterStatus) -> Truth:
    up = sum(node.liveness in UP for node in status.nodes)
    nodes = f"{up} of {counted(len(status.nodes), 'node', 'nodes')} here"
    return Truth(
        sentence=status.sentence,
        spoken=status.sentence.partition(":")[0],
        health=status.health.value,
        css=css_of(status.health),
        summary=f"{nodes} · {counted(len(status.sources), 'file', 'files')}",
    )
