"""Carries out the engine's effects, each by the part that knows how. Never waits: what is slow runs as a task."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from ralnode.api import RefusedError, Root, SendDatagram
from ralnode.core import events as ev
from ralnode.core.events import Effect
from ralnode.host.exchanges import Exchanges
from ralnode.host.fetches import Fetches
from ralnode.host.keeping import Keeping
from ralnode.host.planning import Planning
from ralnode.host.saving import Saver

LEVELS: Final = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_EXPOSES: Final = (ev.SyncWith, ev.ReplySync)
"""Effects that show records to a peer, so they wait until those are durable."""


class Waiters:
    """Who waits for a source to be published or withdrawn durably."""

    def __init__(self) -> None:
        self._waiting: dict[Root, list[asyncio.Future[None]]] = {}

    def expect(self, root: Root) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(root, []).append(future)
        return future

    def settle(self, effect: ev.SourceSettled) -> None:
        for future in self._waiting.pop(effect.root, []):
            if future.done():
                continue
            if effect.refusal:
                future.set_exception(RefusedError(effect.refusal))
            else:
                future.set_result(None)


class Dispatcher:
    """`carry_out` keeps the order of the effects; see saving.py for what waits behind a save."""

    def __init__(
        self,
        saver: Saver,
        exchanges: Exchanges,
        planning: Planning,
        fetches: Fetches,
        keeping: Keeping,
        send: Callable[[SendDatagram], None],
        waiters: Waiters,
        log: logging.Logger,
    ) -> None:
        self._saver = saver
        self._log = log
        self._carriers: dict[type, Callable[[Any], None]] = {
            SendDatagram: send,
            ev.SyncWith: exchanges.begin,
            ev.ReplySync: exchanges.reply,
            ev.SaveState: saver.save,
            ev.SourceSettled: waiters.settle,
            ev.ComputePlan: planning.begin,
            ev.FetchInterior: keeping.begin_interior,
            ev.LocateBlocks: keeping.begin_locate,
            ev.FetchBlocks: fetches.begin_fetch,
            ev.CopyLinked: fetches.begin_copy,
            ev.CancelFetch: lambda effect: fetches.cancel(effect.task),
            ev.DropSource: keeping.begin_drop,
            ev.Report: self._report,
        }

    def carry_out(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, _EXPOSES) and self._saver.must_wait(effect):
                continue
            self._carriers[type(effect)](effect)

    def carry_out_saved(self, effects: Sequence[Effect]) -> None:
        """What waited behind a save: it waits no more."""
        for effect in effects:
            self._carriers[type(effect)](effect)

    def _report(self, effect: ev.Report) -> None:
        self._log.log(LEVELS[effect.level], "%s", effect.text)
