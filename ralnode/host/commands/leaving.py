"""The command `leftovers`: counts or deletes, in the background, blocks that no source names; shows how far it is."""

from __future__ import annotations

import time

from ralnode.api import UsageError
from ralnode.host.commands.params import LEFTOVERS_MINUTES_MIN, LeftoversParams
from ralnode.host.commands.ports import CommandNode
from ralnode.host.leftovers import LeftoversState
from ralnode.host.leftoversanswer import LeftoverLine, LeftoversAnswer


async def leftovers(node: CommandNode, params: LeftoversParams) -> LeftoversAnswer:
    """Raises RefusedError while something relies on blocks of no source, or when they cannot be told."""
    now_ms = time.time_ns() // 1_000_000
    if params.action == "count":
        node.leftovers.count()
    elif params.action == "delete":
        if params.before_unix_ms > now_ms - LEFTOVERS_MINUTES_MIN * 60_000:
            raise UsageError(
                f"leftovers of adds and pulls that ended less than {LEFTOVERS_MINUTES_MIN} minutes ago (by the clock of "
                f"{node.engine.me.name}) are not deleted: they may be gone on with. Nothing was deleted"
            )
        node.leftovers.delete(params.before_unix_ms, everything=params.everything)
    return _answer(node.engine.me.name, node.leftovers.state, now_ms)


def _answer(node: str, state: LeftoversState, now_ms: int) -> LeftoversAnswer:
    lines = tuple(
        LeftoverLine(
            kind=work.kind,
            name=work.name,
            origin=work.origin,
            age_seconds=max(0.0, (now_ms - work.unix_ms) / 1000),
            block_count=work.block_count,
            size_bytes=work.size_bytes,
        )
        for work in state.works
    )
    return LeftoversAnswer(
        node=node,
        state=state.state,
        works=lines,
        block_count=state.block_count,
        size_bytes=state.size_bytes,
        other_count=state.nobodys_count,
        other_bytes=state.nobodys_bytes,
        unix_ms=now_ms,
        deleted_count=state.deleted_count,
        deleted_bytes=state.deleted_bytes,
        remark=state.remark,
    )
