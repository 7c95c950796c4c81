"""Puts the core loop and the carriers of effects together, once storage and transport are built. No IO."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ralnode.api import Instant, Planner, Storage, Transport
from ralnode.core.engine import Engine
from ralnode.host.dagindex import DagIndex
from ralnode.host.dispatch import Dispatcher, Waiters
from ralnode.host.exchanges import Exchanges
from ralnode.host.fetches import Fetches
from ralnode.host.inbox import Inbox
from ralnode.host.ingest.unpublished import Unpublished
from ralnode.host.keeping import Keeping
from ralnode.host.memory import SpareMemory
from ralnode.host.metering.meters import Meters
from ralnode.host.parts import Parts, clock
from ralnode.host.planning import Planning
from ralnode.host.saving import Saver
from ralnode.host.shell import Shell
from ralnode.host.tasks import Tasks
from ralnode.host.udp import UdpEndpoint
from ralnode.host.usagewatch import UsageWatch


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What exists before the engine: the transport answers peers through it from its first moment on."""

    storage: Storage
    transport: Transport
    dag: DagIndex
    inbox: Inbox
    tasks: Tasks
    exchanges: Exchanges
    udp: UdpEndpoint
    unpublished: Unpublished
    waiters: Waiters
    usage: UsageWatch
    say: Callable[[str, str], None]
    log: logging.Logger


@dataclass(frozen=True, slots=True)
class Works:
    """The running core."""

    engine: Engine
    shell: Shell
    saver: Saver
    keeping: Keeping
    dispatcher: Dispatcher


def surroundings(
    storage: Storage,
    transport: Transport,
    dag: DagIndex,
    say: Callable[[str, str], None],
    fail: Callable[[BaseException], None],
    log: logging.Logger,
) -> Surroundings:
    inbox, tasks = Inbox(), Tasks(fail)
    return Surroundings(
        storage=storage,
        transport=transport,
        dag=dag,
        inbox=inbox,
        tasks=tasks,
        exchanges=Exchanges(transport, inbox, tasks),
        udp=UdpEndpoint(inbox),
        unpublished=Unpublished(),
        waiters=Waiters(),
        usage=UsageWatch(storage, inbox, partial(asyncio.to_thread, SpareMemory().give_back)),
        say=say,
        log=log,
    )


def assemble(
    around: Surroundings, engine: Engine, planner: Planner, meters: Meters, now: Callable[[], Instant] = clock
) -> Works:
    parts = Parts(
        around.storage,
        around.transport,
        around.dag,
        around.inbox,
        around.tasks,
        around.say,
        around.usage.changed,
    )
    fetches = Fetches(parts)
    keeping = Keeping(parts, fetches, lambda: around.unpublished.known(engine.sources()), around.unpublished)
    saver = Saver(around.storage, around.say)
    dispatcher = Dispatcher(
        saver=saver,
        exchanges=around.exchanges,
        planning=Planning(planner, around.inbox, around.tasks, around.say),
        fetches=fetches,
        keeping=keeping,
        send=around.udp.send,
        waiters=around.waiters,
        log=around.log,
    )
    shell = Shell(engine, around.inbox, dispatcher.carry_out, now, lambda: saver.is_overdue, meters.tally.watch)
    return Works(engine, shell, saver, keeping, dispatcher)
