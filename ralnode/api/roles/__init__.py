"""The roles a plugin can play, as protocols. One rule for all: calls are typed methods, hooks are for wiring only.

IO services (storage, transport, discovery, gateway, ui) may await and must never block the event loop for more than
50 ms: hashing and disk work go to threads. Pure objects (gossip, planner) do no IO, read no clock, roll no dice of
their own: time is an argument and randomness comes seeded in the `Context`.
"""

from ralnode.api.roles.context import Context, Identity, Settings
from ralnode.api.roles.discovery import Discovery, Hint
from ralnode.api.roles.gossip import (
    GaugingGossip,
    Gossip,
    GossipOutput,
    Member,
    MemberChanged,
    SendDatagram,
    Versions,
    VersionsHeard,
)
from ralnode.api.roles.planner import ExplainingPlanner, Planner
from ralnode.api.roles.storage import ListingStorage, Reservation, Storage, VerifyProgress
from ralnode.api.roles.surface import Content, Gateway, Listening, ManagedUi, Metric, NodeControl, Reading, Ui
from ralnode.api.roles.transport import PeerService, Transport

__all__ = [
    "Content",
    "Context",
    "Discovery",
    "ExplainingPlanner",
    "Gateway",
    "GaugingGossip",
    "Gossip",
    "GossipOutput",
    "Hint",
    "Identity",
    "Listening",
    "ListingStorage",
    "ManagedUi",
    "Member",
    "MemberChanged",
    "Metric",
    "NodeControl",
    "PeerService",
    "Planner",
    "Reading",
    "Reservation",
    "SendDatagram",
    "Settings",
    "Storage",
    "Transport",
    "Ui",
    "VerifyProgress",
    "Versions",
    "VersionsHeard",
]
