"""Saving state and exchanging it with peers, in virtual time: what shows records waits until they are durable."""

from __future__ import annotations

from ralnode.api import Address
from ralnode.core import events as ev
from ralnode.testing.world import Machine, Shell

CLIENT_PORT = 50_000
"""Where requests seem to come from; nobody listens there."""


class SimulatedExchanges:
    """Of one node, for one run of it."""

    def __init__(self, node: Shell) -> None:
        self._node = node
        self._saving = 0
        self._asked: dict[int, tuple[ev.SyncWith, Address]] = {}
        self._asking: dict[int, tuple[Machine, int]] = {}

    # --- durable first ----------------------------------------------------------------------------------------------

    def save(self, effect: ev.SaveState) -> None:
        self._saving += 1
        self._node.later(self._node.world.timings.save_seconds, self._saved, effect)

    def _saved(self, effect: ev.SaveState) -> None:
        self._saving -= 1
        self._node.disk.save(effect.items)
        self._node.world.watch.saved(self._node, effect.items)
        self._node.carry(effect.then)

    def expose(self, effect: ev.SyncWith | ev.ReplySync) -> None:
        """Carries out an effect that shows records to a peer, after the saves that were asked for before it."""
        if self._saving:
            self._node.later(self._node.world.timings.save_seconds, self._expose_now, effect)
        else:
            self._expose_now(effect)

    def _expose_now(self, effect: ev.SyncWith | ev.ReplySync) -> None:
        if isinstance(effect, ev.SyncWith):
            self._begin(effect)
        else:
            self._reply(effect)

    # --- asking -----------------------------------------------------------------------------------------------------

    def _begin(self, effect: ev.SyncWith) -> None:
        world, node = self._node.world, self._node
        machine, reason, seconds = world.dial(node, effect.peer)
        if machine is None:
            node.later(seconds, node.tell, ev.SyncFailed(effect.peer, reason))
            return
        number = world.number()
        self._asked[number] = (effect, machine.transport_address)
        world.counters["exchanges"] += 1
        world.counters["exchange_bytes"] += len(effect.body)
        world.clock.call_later(seconds, self._arrive, number, machine, machine.run, node.run, effect.body)
        node.later(world.timings.exchange_seconds_max, self._give_up, number)

    def _arrive(self, number: int, machine: Machine, run: int, my_run: int, body: bytes) -> None:
        """At the peer; it may have gone since, and so may we."""
        if machine.run == run and self._node.run == my_run and self._node.world.can_talk(self._node, machine):
            machine.exchanges.requested(number, self._node, body)

    def answered(self, number: int, answerer: Machine, body: bytes, refusal: str) -> None:
        if number not in self._asked or not self._node.world.can_talk(self._node, answerer):
            return
        effect, address = self._asked.pop(number)
        self._node.world.counters["exchange_bytes"] += len(body)
        if refusal:
            self._node.tell(ev.SyncFailed(effect.peer, refusal))
        else:
            self._node.tell(ev.SyncAnswered(effect.peer, answerer.id, address, body))

    def _give_up(self, number: int) -> None:
        if number in self._asked:
            effect, _ = self._asked.pop(number)
            self._node.tell(ev.SyncFailed(effect.peer, "no answer in time"))

    # --- answering --------------------------------------------------------------------------------------------------

    def requested(self, number: int, asker: Machine, body: bytes) -> None:
        self._asking[number] = (asker, asker.run)
        seen_at = Address(asker.transport_address.host, CLIENT_PORT)
        self._node.tell(ev.SyncRequested(number, asker.id, seen_at, body))

    def _reply(self, effect: ev.ReplySync) -> None:
        asker, run = self._asking.pop(effect.request)
        world = self._node.world
        world.clock.call_later(world.latency_seconds(), self._deliver, asker, run, effect)

    def _deliver(self, asker: Machine, run: int, effect: ev.ReplySync) -> None:
        if asker.run == run and asker.is_up:
            asker.exchanges.answered(effect.request, self._node, effect.body, effect.refusal)
