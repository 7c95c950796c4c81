"""Commands between nodes: the bodies of `/ral/v1/command`, and the way of a command to the node that it is meant for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast

from ralnode.api import NodeId, PeerError, RalnodeError, UnavailableError, UsageError
from ralnode.host.commands.lookup import find_node
from ralnode.host.commands.ports import CommandNode
from ralnode.host.commands.registry import COMMANDS, Origin, run
from ralnode.host.commands.showing import is_live
from ralnode.host.errortable import error_of, error_table

VERSION: Final = 1
REQUEST_BYTES_MAX: Final = 64 * 1024
"""64 addresses and a long name are far below."""


async def dispatch(
    node: CommandNode, name: str, params: Mapping[str, Any], to: str | None, origin: Origin = Origin.SOCKET
) -> Mapping[str, Any]:
    """Runs a command here, or on the node called `to` (name or peer id). Raises RalnodeError."""
    if to is None:
        return await run(node, name, params, origin)
    target = find_node(node.engine.nodes(), to)
    if target.id == node.engine.me.id:
        return await run(node, name, params, origin)
    if origin is Origin.PAGE and name in COMMANDS and not COMMANDS[name].from_page:
        return await run(node, name, params, origin)  # refuses, in its own words
    if not is_live(node.engine, target.id):
        raise UnavailableError(f"node {target.name} does not answer now; the command was not sent. See: ralnode nodes")
    answer = await node.transport.command(node.engine.peer(target.id), encode(name, params))
    return decode_answer(answer)


async def answer(node: CommandNode, _peer: NodeId, body: bytes) -> bytes:
    """What `PeerService.answer_command` returns: the answer or the error. Never raises for what a peer can send."""
    try:
        name, params = decode(body)
        return json.dumps({"v": VERSION, "answer": await run(node, name, params, Origin.PEER)}).encode()
    except RalnodeError as error:
        return json.dumps({"v": VERSION, **error_table(error)}).encode()


def encode(name: str, params: Mapping[str, Any]) -> bytes:
    return json.dumps({"v": VERSION, "command": name, "params": params}).encode()


def decode(body: bytes) -> tuple[str, Mapping[str, Any]]:
    """(command, parameters). Raises UsageError."""
    if len(body) > REQUEST_BYTES_MAX:
        raise UsageError(f"a command of {len(body)} bytes is too long")
    try:
        table = json.loads(body)
        name, params = table["command"], table["params"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UsageError(f"malformed command: {type(error).__name__}") from error
    if not isinstance(name, str) or not isinstance(params, dict):
        raise UsageError("malformed command")
    return name, params


def decode_answer(body: bytes) -> Mapping[str, Any]:
    """Raises the error that the other node told of, or PeerError when its answer makes no sense."""
    try:
        table = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise PeerError("the other node answered the command with something that is no JSON") from error
    if isinstance(table, dict) and isinstance(table.get("answer"), dict):
        return cast("Mapping[str, Any]", table["answer"])
    raise error_of(table)
