"""What can be set about the engine; a value, no behaviour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ralnode.api import NodeId, Root
from ralnode.core.planning import PlanOptions
from ralnode.core.rounds import RoundOptions


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Times in seconds; the demo and tests shorten them."""

    group: str = "default"
    version: str = ""
    planner: str = "rendezvous/1"
    """Name and version of the planner in use."""
    repair_grace_seconds: float = 600.0
    repair_grace_last_copy_seconds: float = 60.0
    record_interval_seconds: float = 5.0
    """Between two records of this node that only bring its state up to date."""
    announce_interval_seconds: float = 1.0
    """Holdings gathered before they are announced."""
    default_copies: int = 2
    plan: PlanOptions = field(default_factory=PlanOptions)
    rounds: RoundOptions = field(default_factory=RoundOptions)
    node_text: Callable[[NodeId], str] = bytes.hex
    """How people see a node id."""
    root_text: Callable[[Root], str] = bytes.hex
