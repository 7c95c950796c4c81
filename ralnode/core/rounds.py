"""Whom to exchange state with, and when: at once after news, a random live peer every few seconds, hinted addresses when
they are new, and lost nodes again and again, so that a partition of any length heals. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, TypeAlias

from ralnode.api import Address, NodeId, Peer

Key: TypeAlias = NodeId | Address

_IN_FLIGHT_MAX: Final = 8
_HINTS_MAX: Final = 1000
_GAP_SECONDS: Final = 0.2
"""Between two exchanges with one peer, so that a burst of news is one exchange."""
_SPREAD_SECONDS_PER_NODE: Final = 0.05
_SPREAD_FROM_NODES: Final = 8
"""In a large cluster everybody hears of everybody's news at once. Spread over so many seconds a node begins and answers
at most 20 exchanges a second for it, and most records have come by then with another exchange."""
_HINT_RETRY_SECONDS: Final = 10.0
_HINT_FAILURES_MAX: Final = 4
"""An address that does not answer is tried again after 1, 2, 4 and 8 s: who starts together with its peer must not wait for
the next report of it. Then it is forgotten until it is reported again."""
_REJOIN_AT_ONCE: Final = 2


@dataclass(frozen=True, slots=True)
class RoundOptions:
    sync_interval_seconds: float = 10.0
    rejoin_interval_seconds: float = 30.0


class Rounds:
    """`due` says with whom to begin an exchange now; report `answered` or `failed` for each."""

    def __init__(self, me: NodeId, options: RoundOptions, rng: Random) -> None:
        self.me = me
        self._options = options
        self._rng = rng
        self._soon: dict[NodeId, float] = {}
        self._hints: dict[Address, float] = {}
        """When to try a hinted address (again); inf once it turned out to be myself."""
        self._failures: dict[Address, int] = {}
        """Of hinted addresses, in a row."""
        self._in_flight: set[Key] = set()
        self._last: dict[NodeId, float] = {}
        self._live_count = 0
        self._round_at = float("inf")
        self._rejoin_at = float("inf")

    def start(self, now_seconds: float) -> None:
        self._round_at = now_seconds + self._options.sync_interval_seconds * self._rng.random()
        self._rejoin_at = now_seconds + 1 + self._rng.random()

    @property
    def wake_at(self) -> float:
        if len(self._in_flight) >= _IN_FLIGHT_MAX:
            return float("inf")
        soon = min((at for node, at in self._soon.items() if node not in self._in_flight), default=float("inf"))
        hint = min((at for where, at in self._hints.items() if where not in self._in_flight), default=float("inf"))
        return min(self._round_at, self._rejoin_at, soon, hint)

    def hinted(self, address: Address, now_seconds: float) -> None:
        """New addresses are tried at once, known ones at most every ten seconds."""
        if address not in self._hints and len(self._hints) >= _HINTS_MAX:
            oldest = next(iter(self._hints))
            del self._hints[oldest]
            self._failures.pop(oldest, None)
        if address in self._failures:
            self._hints[address] = min(now_seconds, self._hints[address])
        self._hints.setdefault(address, now_seconds)

    def news_at(self, node: NodeId, now_seconds: float) -> None:
        """That node has something we lack."""
        if node != self.me:
            spread = self._live_count * _SPREAD_SECONDS_PER_NODE if self._live_count >= _SPREAD_FROM_NODES else 0.0
            earliest = self._last.get(node, float("-inf")) + max(_GAP_SECONDS, spread)
            self._soon.setdefault(node, max(now_seconds, earliest) + spread * self._rng.random())

    def due(
        self,
        live: Sequence[Peer],
        lost: Sequence[Peer],
        now_seconds: float,
        is_news: Callable[[NodeId], bool] = lambda _node: True,
    ) -> list[Peer]:
        """Marks what it returns as under way. `lost`: known nodes that are not alive. `is_news`: whether what `news_at`
        said of a node has not come from elsewhere since."""
        self._live_count = len(live)
        chosen = self._urgent(live, now_seconds, is_news) + self._untried_hints(live, now_seconds)
        if now_seconds >= self._round_at:
            self._round_at = now_seconds + self._options.sync_interval_seconds * (0.8 + 0.4 * self._rng.random())
            chosen += self._sample(live, 1 if len(live) < 8 else 2)
        if now_seconds >= self._rejoin_at:
            self._rejoin_at = now_seconds + self._options.rejoin_interval_seconds * (0.8 + 0.4 * self._rng.random())
            chosen += self._sample(lost, _REJOIN_AT_ONCE)
        started = []
        for peer in chosen:
            key = _key(peer)
            if key not in self._in_flight and len(self._in_flight) < _IN_FLIGHT_MAX:
                self._in_flight.add(key)
                started.append(peer)
                if peer.id is not None:
                    self._last[peer.id] = now_seconds
        return started

    def answered(self, asked: Peer, peer: NodeId, now_seconds: float) -> None:
        self._in_flight.discard(_key(asked))
        self._last[peer] = now_seconds
        if asked.id is None:
            for address in asked.addresses:
                again = float("inf") if peer == self.me else now_seconds + _HINT_RETRY_SECONDS
                self._hints[address] = again
                self._failures.pop(address, None)

    def failed(self, asked: Peer, now_seconds: float) -> None:
        self._in_flight.discard(_key(asked))
        if asked.id is None:
            for address in asked.addresses:
                failures = self._failures.pop(address, 0)
                if failures < _HINT_FAILURES_MAX and address in self._hints:
                    self._failures[address] = failures + 1
                    self._hints[address] = now_seconds + 2**failures
                else:
                    self._hints.pop(address, None)

    def repeat(self, peer: Peer) -> None:
        """The exchange goes on with another message (the caller sends it)."""
        self._in_flight.add(_key(peer))

    def _urgent(self, live: Sequence[Peer], now_seconds: float, is_news: Callable[[NodeId], bool]) -> list[Peer]:
        by_id = {peer.id: peer for peer in live}
        ready = [node for node, at in self._soon.items() if at <= now_seconds and node not in self._in_flight]
        chosen: list[Peer] = []
        for node in ready:
            if len(chosen) >= _IN_FLIGHT_MAX:
                break
            del self._soon[node]
            if node in by_id and is_news(node):
                chosen.append(by_id[node])
        return chosen

    def _untried_hints(self, live: Sequence[Peer], now_seconds: float) -> list[Peer]:
        reached = {address for peer in live for address in peer.addresses}
        chosen = []
        for address, at in list(self._hints.items()):
            if at > now_seconds or address in self._in_flight:
                continue
            self._hints[address] = now_seconds + _HINT_RETRY_SECONDS
            if address not in reached:
                chosen.append(Peer(None, (address,)))
        return chosen

    def _sample(self, peers: Sequence[Peer], count: int) -> list[Peer]:
        return self._rng.sample(list(peers), min(count, len(peers)))


def _key(peer: Peer) -> Key:
    return peer.id if peer.id is not None else peer.addresses[0]
