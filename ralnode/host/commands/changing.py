"""Commands that change something: remove a source, the capacity, drain, stop, tell of a peer, invite, verify, sign-in."""

from __future__ import annotations

import os

from ralnode.api import NotFoundError, RefusedError
from ralnode.dag import cid
from ralnode.host import answers
from ralnode.host.commands import standing
from ralnode.host.commands.lookup import find_source
from ralnode.host.commands.params import (
    CapacityParams,
    DrainParams,
    HintParams,
    Nothing,
    PageParams,
    SourceParams,
    StopParams,
    VerifyParams,
)
from ralnode.host.commands.ports import CommandNode


async def remove(node: CommandNode, params: SourceParams) -> answers.RemovedAnswer:
    """Refuses what is not in the catalogue; the blocks go on every node that hears of it."""
    found = find_source(node.engine.sources(), params.source)
    await node.withdraw(found.root)
    return answers.RemovedAnswer(cid.to_text(found.root), found.name, found.size_bytes)


async def capacity(node: CommandNode, params: CapacityParams) -> answers.CapacityAnswer:
    """Shows it, or changes it; refuses to shrink below what is used, since nothing may be deleted for it yet."""
    if params.capacity_bytes is None:
        return _capacity(node, None)
    before = node.storage.usage()
    needed = before.used_bytes + before.reserved_bytes
    if params.capacity_bytes < needed:
        raise RefusedError(
            f"cannot set the capacity of {node.engine.me.name} to {params.capacity_bytes:,} bytes: {needed:,} bytes are "
            "used. Nothing was changed. Remove a source (ralnode rm), or choose at least that much"
        )
    await node.set_capacity(params.capacity_bytes)
    return _capacity(node, before.capacity_bytes)


async def stop(node: CommandNode, params: StopParams) -> answers.StopAnswer:
    away_seconds = None if params.away_minutes is None else params.away_minutes * 60
    node.request_stop(away_seconds)
    return answers.StopAnswer(node.engine.me.name, away_seconds, os.getpid())


async def drain(node: CommandNode, params: DrainParams) -> answers.DrainAnswer:
    """Begins, ends or shows it. The node serves on; only plans leave it out. Raises RefusedError when nobody else is there."""
    engine = node.engine
    if params.draining and not engine.me.draining:
        if not standing.staying(engine):
            raise RefusedError(
                f"cannot drain {engine.me.name}: there is no other live node that could take its blocks. Nothing was changed"
            )
        await node.set_draining(True)
    elif params.draining is False and engine.me.draining:
        await node.set_draining(False)
    draining = engine.me.draining if params.draining is None else params.draining
    return answers.DrainAnswer(engine.me.name, draining, *(standing.waiting(engine) if draining else (0, 0)))


async def page(node: CommandNode, params: PageParams) -> answers.PageAnswer:
    """Who may sign in to this node's status page. Only over the socket: whoever owns the machine."""
    return await node.tell_page(params)


async def hint_peer(node: CommandNode, params: HintParams) -> answers.HintAnswer:
    node.hint(params.addresses)
    return answers.HintAnswer(tuple(map(str, params.addresses)))


async def invite(node: CommandNode, _params: Nothing) -> answers.InviteAnswer:
    return answers.InviteAnswer(node.join_code(), node.status().group)


async def verify(node: CommandNode, params: VerifyParams) -> answers.VerifyAnswer:
    """Starts, stops or shows the one verification of this node."""
    job = node.verify_job
    if params.action == "start":
        job.start(params.bytes_per_second)
    elif params.action == "stop":
        await job.stop()
    elif params.action == "pause":
        job.pause()
    elif params.action == "resume":
        job.resume()
    elif job.state.state == "idle":
        raise NotFoundError("nothing was verified since this node started; begin with: ralnode verify")
    state = job.state
    return answers.VerifyAnswer(
        node=node.engine.me.name,
        state=state.state,
        checked_count=state.progress.checked_count,
        total_count=state.progress.total_count,
        checked_bytes=state.progress.checked_bytes,
        bad=tuple(map(cid.to_text, state.bad)),
        bad_count=state.bad_count,
        reason=state.reason,
    )


def _capacity(node: CommandNode, before_bytes: int | None) -> answers.CapacityAnswer:
    usage = node.storage.usage()
    return answers.CapacityAnswer(
        node=node.engine.me.name,
        capacity_bytes=usage.capacity_bytes,
        used_bytes=usage.used_bytes,
        reserved_bytes=usage.reserved_bytes,
        linked_bytes=usage.linked_bytes,
        block_count=usage.block_count,
        disk_free_bytes=usage.disk_free_bytes,
        disk_total_bytes=usage.disk_total_bytes,
        read_only_reason=usage.read_only_reason,
        before_bytes=before_bytes,
    )
