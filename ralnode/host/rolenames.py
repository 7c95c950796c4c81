"""The words for the roles, as they stand in hooks and in the configuration, and what is used when nobody chose."""

from collections.abc import Mapping
from typing import Final

EXCLUSIVE: Final = ("storage", "transport", "gossip", "planner")
"""A node has exactly one of each."""

LISTED: Final = ("discovery", "gateway", "ui")
"""Any number run beside each other."""

ROLES: Final = EXCLUSIVE + LISTED

DEFAULTS: Final[Mapping[str, tuple[str, ...]]] = {
    "storage": ("sqlite",),
    "transport": ("http",),
    "gossip": ("swim",),
    "planner": ("rendezvous",),
    "discovery": ("static", "mdns"),
    "gateway": ("ipfs",),
    "ui": ("web",),
}
"""Preferences, not names the node depends on: each applies only when a plugin provides it."""

WITHOUT: Final[Mapping[str, str]] = {
    "storage": "it cannot store or serve blocks",
    "transport": "it cannot talk to peers",
    "gossip": "it cannot know which peers live",
    "planner": "it cannot decide which blocks to keep",
    "discovery": "it cannot find peers by itself",
    "gateway": "it cannot serve other IPFS tools",
    "ui": "it has no status page",
}
"""What a node cannot do without the role."""
