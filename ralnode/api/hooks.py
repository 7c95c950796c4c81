"""Every hook there is. A hook is called once, at load; each returns a `Provider`, or None (not on this platform).

None of them is `firstresult`: a file name must not decide. Implementations are called one by one, so a broken plugin
is refused by name and the others live. plugins/README.md has the author's guide; a test compares it with this file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import pluggy

from ralnode.api.roles import Context, Discovery, Gateway, Gossip, Planner, Storage, Transport, Ui

PROJECT: Final = "ralnode"
ENTRY_POINT_GROUP: Final = "ralnode.plugins"
API_VERSION: Final = 1

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

R = TypeVar("R", covariant=True)


@dataclass(frozen=True, slots=True)
class NoOptions:
    """For a provider that has nothing to configure."""


@dataclass(frozen=True, slots=True)
class Provider(Generic[R]):
    """One way to play a role.

    `name` is the word in the configuration (`[use] planner = "rarest"`, `[planner.rarest]`). `build(context, options)`
    makes the role object and does no IO. `options` is a frozen dataclass whose fields all have defaults; a configuration
    table becomes an instance of it strictly (unknown key or wrong type is an error).
    """

    name: str
    build: Callable[[Context, Any], R]
    options: type = NoOptions
    summary: str = ""


@hookspec
def provide_storage() -> Provider[Storage] | None:
    """A block store. Exclusive: `[use] storage`."""


@hookspec
def provide_transport() -> Provider[Transport] | None:
    """A way to talk to peers. Exclusive: `[use] transport`."""


@hookspec
def provide_discovery() -> Provider[Discovery] | None:
    """A way to find peers. Several run beside each other: `[use] discovery` is a list."""


@hookspec
def provide_gossip() -> Provider[Gossip] | None:
    """Membership. Exclusive: `[use] gossip`."""


@hookspec
def provide_planner() -> Provider[Planner] | None:
    """Decides which blocks this node should own. Exclusive: `[use] planner`."""


@hookspec
def provide_gateway() -> Provider[Gateway] | None:
    """A listener for other tools. Several: `[use] gateway` is a list."""


@hookspec
def provide_ui() -> Provider[Ui] | None:
    """A status page. Several: `[use] ui` is a list."""


@hookspec
def register_commands(app: Any) -> None:
    """Adds `ralnode <word>`: `app` is the typer.Typer of the command line. Called before the line is parsed."""
