"""`ralnode run` as a process: event loop, signals, exit code, and the hard end when closing takes too long."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from ralnode.api import RalnodeError
from ralnode.api.limits import STOP_SECONDS
from ralnode.host import logs
from ralnode.host.config import Config
from ralnode.host.control.app import control_app
from ralnode.host.control.lending import Lending
from ralnode.host.control.server import ControlServer
from ralnode.host.memory import keep_buffers, keep_what_is_made
from ralnode.host.node import Node
from ralnode.host.operations import Operations
from ralnode.host.plugins import PluginSet
from ralnode.host.seeder import Seeder, SeederParts

try:
    from uvloop import new_event_loop
except ImportError:  # not on this platform; asyncio's own loop does the same, more slowly
    from asyncio import new_event_loop  # type: ignore[assignment]

FAULT_EXIT_CODE: Final = 1
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def run_process(
    config: Config,
    plugins: PluginSet,
    environ: Mapping[str, str],
    *,
    socket_path: Path,
    on_ready: Callable[[Operations], Awaitable[None]] | None = None,
) -> int:
    """Runs a node until it is told to stop; returns the exit code. Only for the main thread of a process of its own: it
    takes over signals and logging, and ends the process when closing takes longer than limits.STOP_SECONDS."""
    logs.set_up(config.node.log_level, environ)
    faulthandler.enable()  # systemd's watchdog ends us with SIGABRT: say where we hung
    keep_buffers()
    keep_what_is_made()
    log, end = logs.logger("node"), HardEnd()
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(_main(config, plugins, environ, socket_path, on_ready, end))
    except RalnodeError as error:
        log.error("%s", error)
        log.debug("where it came from", exc_info=error)
        end.exit_code = error.exit_code
    except Exception:
        log.exception("this is a fault of ralnode; please report it with these lines")
        end.exit_code = FAULT_EXIT_CODE
    return end.exit_code


class HardEnd:
    """Ends the process after limits.STOP_SECONDS, whatever still hangs: a service, the event loop, or a thread that would
    keep the interpreter alive. A thread of its own, since none of these can be relied on."""

    def __init__(self) -> None:
        self.exit_code = 0
        self._timer: threading.Timer | None = None

    def arm(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(STOP_SECONDS, self._end)
            self._timer.daemon = True
            self._timer.start()

    def _end(self) -> None:
        sys.stderr.write(f"ralnode: could not close everything within {STOP_SECONDS:.0f} s; ending all the same\n")
        sys.stderr.flush()
        os._exit(self.exit_code)


async def _main(
    config: Config,
    plugins: PluginSet,
    environ: Mapping[str, str],
    socket_path: Path,
    on_ready: Callable[[Operations], Awaitable[None]] | None,
    end: HardEnd,
) -> None:
    async def extras(operations: Operations, stack: AsyncExitStack) -> None:
        lending = Lending(socket_path)
        app = control_app(operations, logs.logger("control"), lending.take)
        await stack.enter_async_context(ControlServer(app, socket_path))
        await stack.enter_async_context(lending)
        if config.node.sources_dir is not None:
            await stack.enter_async_context(Seeder(config.node.sources_dir, _seeding(operations, config.node.copies)))
        if on_ready is not None:
            await on_ready(operations)

    node = Node(config, plugins, environ, extras)
    loop = asyncio.get_running_loop()
    for each in STOP_SIGNALS:
        if signal.getsignal(each) is not signal.SIG_IGN:  # nohup has set SIGHUP so
            loop.add_signal_handler(each, node.request_stop)
    limit = asyncio.ensure_future(_arm_when_stopping(node, end))
    try:
        await node.run()
    finally:
        limit.cancel()
        end.arm()
        # A second signal must not end us with another exit code while the interpreter goes down.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


def _seeding(operations: Operations, copies: int) -> SeederParts:
    return SeederParts(
        storage=operations.storage,
        dag=operations.dag,
        ingest=operations.ingest,
        source=operations.engine.source,
        publish=operations.publish,
        withdraw=operations.withdraw,
        relocated=operations.relocated,
        say=operations.say,
        copies=copies,
    )


async def _arm_when_stopping(node: Node, end: HardEnd) -> None:
    await node.stopping.wait()
    end.arm()
