"""Every control command in one table: its parameters, who may send it, and whether it is dangerous.

The unix socket, `/ral/v1/command` from another node of the cluster, and the status page all come through `run`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from ralnode.api import ConfigError, NotFoundError, RefusedError, UsageError
from ralnode.host.answers import CommandLine, HelpAnswer
from ralnode.host.commands import changing, foreseeing, leaving, planning, showing
from ralnode.host.commands.params import (
    CapacityParams,
    DrainParams,
    EventsParams,
    ForeseeParams,
    HintParams,
    LeftoversParams,
    Nothing,
    PageParams,
    SourceParams,
    StopParams,
    VerifyParams,
    WhyParams,
)
from ralnode.host.commands.ports import CommandNode
from ralnode.host.jsonable import to_jsonable
from ralnode.host.options import parse, suggest


class Origin(StrEnum):
    """Who asks. Each was authenticated before: by file rights, by certificate, by the page's own means."""

    SOCKET = "socket"
    PEER = "peer"
    PAGE = "page"


@dataclass(frozen=True, slots=True)
class Command:
    """`run(node, params)` returns a dataclass of answers.py (or ClusterStatus)."""

    name: str
    summary: str
    run: Callable[[CommandNode, Any], Awaitable[Any]]
    params: type = Nothing
    from_peer: bool = True
    from_page: bool = False
    is_dangerous: bool = False
    """Data or service are lost by mistake: ask again before it is sent."""

    def allows(self, origin: Origin) -> bool:
        return {Origin.SOCKET: True, Origin.PEER: self.from_peer, Origin.PAGE: self.from_page}[origin]


async def _help(_node: CommandNode, _params: Nothing) -> HelpAnswer:
    return HelpAnswer(
        tuple(
            CommandLine(
                c.name, c.summary, _param_types(c.params), c.from_peer, c.from_page, is_dangerous=c.is_dangerous
            )
            for c in COMMANDS.values()
        )
    )


_TABLE: Final = (
    Command("help", "what can be asked", _help, from_page=True),
    Command("status", "the whole state of the cluster as this node sees it", showing.status, from_page=True),
    Command("nodes", "the nodes of the cluster", showing.nodes, from_page=True),
    Command("sources", "the sources and their health", showing.sources, from_page=True),
    Command("source", "one source in full, with its holders", showing.source, SourceParams, from_page=True),
    Command("plugins", "plugins found, active, refused", showing.plugins, from_page=True),
    Command("config", "the effective configuration and where it came from", showing.config),
    Command("events", "the newest lines of the event log", showing.events, EventsParams, from_page=True),
    Command("metrics", "all samples of /metrics", showing.metrics, from_page=True),
    Command("plan", "what this node wants and has of each source", planning.plan, from_page=True),
    Command("plan_why", "why one block is where it is", planning.plan_why, WhyParams, from_page=True),
    Command("plan_view", "the nodes and sources that the plan was made from", planning.plan_view),
    Command("rm", "remove a source from the cluster", changing.remove, SourceParams, from_page=True, is_dangerous=True),
    Command(
        "capacity",
        "show or set how much disk this node gives",
        changing.capacity,
        CapacityParams,
        from_page=True,
        is_dangerous=True,
    ),
    Command("drain", "let other nodes take over what this node has", changing.drain, DrainParams, from_page=True),
    Command("stop", "stop this node", changing.stop, StopParams, from_page=True, is_dangerous=True),
    Command("foresee", "what a change would do; changes nothing", foreseeing.foresee, ForeseeParams, from_page=True),
    Command("verify", "re-hash every block on disk", changing.verify, VerifyParams, from_page=True),
    Command(
        "leftovers",
        "count or delete blocks of no source",
        leaving.leftovers,
        LeftoversParams,
        is_dangerous=True,
    ),
    Command("hint_peer", "tell of an address where a peer may listen", changing.hint_peer, HintParams),
    # Whoever may ask this has the secret afterwards: only for those who own the machine.
    Command("invite", "the join code", changing.invite, from_peer=False),
    Command("page", "who may sign in to the status page", changing.page, PageParams, from_peer=False),
)

COMMANDS: Final[Mapping[str, Command]] = {command.name: command for command in _TABLE}


async def run(
    node: CommandNode, name: str, params: Mapping[str, Any], origin: Origin = Origin.SOCKET
) -> Mapping[str, Any]:
    """The answer, ready for JSON. Raises RalnodeError: NotFoundError for an unknown command, UsageError for wrong
    parameters, RefusedError when this origin may not ask."""
    command = COMMANDS.get(name)
    if command is None:
        raise NotFoundError(f"there is no command {name[:80]!r}{suggest(name[:80], COMMANDS)}")
    if not command.allows(origin):
        where = "another node of the cluster" if origin is Origin.PEER else "the status page"
        raise RefusedError(f"the command {name!r} is not taken from {where}; run it on {node.engine.me.name} itself")
    answer: Mapping[str, Any] = to_jsonable(await command.run(node, _parsed(command, params)))
    return answer


def _parsed(command: Command, params: Mapping[str, Any]) -> Any:
    if not isinstance(params, Mapping):
        raise UsageError(f"command {command.name!r}: the parameters must be an object")
    lacking = [f.name for f in dataclasses.fields(command.params) if _is_required(f) and f.name not in params]
    if lacking:
        raise UsageError(f"command {command.name!r}: the parameter {lacking[0]!r} is missing")
    try:
        return parse(command.params, params, f"command {command.name!r}")
    except ConfigError as error:
        raise UsageError(str(error)) from error


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _param_types(params: type) -> dict[str, str]:
    return {each.name: str(each.type) for each in dataclasses.fields(params)}
