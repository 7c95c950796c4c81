"""Whom to exchange state with, and when: soon after news, a random live peer every few seconds, hinted addresses when
they are new, and lost nodes again and again, so that a partition of any length heals. Pure.

In a large cluster everybody hears of everybody's news at once. They are spread over time here, and dropped when what
was new has come with another exchange by then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from heapq import heappop, heappush
from random import Random
from typing import Final, NamedTuple, Protocol, TypeAlias, TypeVar

from ralnode.api import Address, NodeId, Peer
from ralnode.core.hints import Hints

Key: TypeAlias = NodeId | Address
T = TypeVar("T")

_IN_FLIGHT_MAX: Final = 8
_GAP_SECONDS: Final = 0.2
"""Between two exchanges with one peer, so that a burst of news is one exchange."""
_SPREAD_FROM_NODES: Final = 8
_SPREAD_SECONDS_PER_NODE: Final = 0.05
"""A node asks, and is asked by, at most 20 others a second because of news."""
_RECORDS_SECONDS_PER_NODE: Final = 0.004
"""Between two exchanges of everything that news have led to: each costs as much as there are nodes, and brings the news
of nearly all of them."""
_PATIENCE: Final = 3
"""News that nothing here waits for may take so much longer; by then several have become one."""
_REJOIN_AT_ONCE: Final = (2, 6)
"""Half of the lost nodes in each round, within these bounds: two rounds find a node again among a dozen."""
_NEVER: Final = float("inf")


class Need(Enum):
    """What an exchange with a node would bring."""

    NOTHING = 0
    HOLDINGS = 1
    """Only which blocks it has."""
    EVERYTHING = 2


class Turn(NamedTuple):
    """With whom to exchange what."""

    peer: Peer
    only_holdings: bool = False


class Roster(Protocol):
    """Who is there."""

    def live_others(self) -> Sequence[NodeId]: ...

    def is_live(self, node: NodeId) -> bool: ...

    def peer(self, node: NodeId) -> Peer: ...

    def live_peers(self) -> Sequence[Peer]: ...

    def lost_peers(self) -> Sequence[Peer]:
        """Known nodes that are not alive."""
        ...


@dataclass(frozen=True, slots=True)
class RoundOptions:
    sync_interval_seconds: float = 10.0
    rejoin_interval_seconds: float = 30.0


class Rounds:
    """`due` says with whom to begin an exchange now; report `answered` or `failed` for each."""

    def __init__(self, me: NodeId, roster: Roster, options: RoundOptions, rng: Random) -> None:
        self.me = me
        self._roster = roster
        self._options = options
        self._rng = rng
        self._soon: dict[NodeId, float] = {}
        """Nodes with news, and when to ask them."""
        self._queue: list[tuple[float, NodeId]] = []
        """The same as a heap; entries that are not in `_soon` any more are skipped, those under way come back later."""
        self._in_flight: set[Key] = set()
        self._hints = Hints(self._in_flight)
        self._last: dict[NodeId, float] = {}
        self._records_at = 0.0
        self._round_at = _NEVER
        self._rejoin_at = _NEVER

    def start(self, now_seconds: float) -> None:
        self._round_at = now_seconds + self._options.sync_interval_seconds * self._rng.random()
        self._rejoin_at = now_seconds + 1 + self._rng.random()

    @property
    def wake_at(self) -> float:
        if len(self._in_flight) >= _IN_FLIGHT_MAX:
            return _NEVER
        return min(self._round_at, self._rejoin_at, self._next_news_at(), self._hints.next_at)

    # --- what happened ----------------------------------------------------------------------------------------------

    def hinted(self, address: Address, now_seconds: float) -> None:
        """Somebody says that a node is there."""
        self._hints.hinted(address, now_seconds)

    def news_at(self, node: NodeId, now_seconds: float, *, is_urgent: bool = True, at_once: bool = False) -> None:
        """That node has something we lack. `at_once`: it has just begun to send it."""
        if node == self.me:
            return
        spread = 0.0 if at_once else self._spread_seconds
        earliest = self._last.get(node, -_NEVER) + max(_GAP_SECONDS, spread)
        delay = spread * self._rng.random() * (1 if is_urgent else _PATIENCE)
        self._schedule(node, max(now_seconds, earliest) + delay)

    def hurry(self, now_seconds: float) -> None:
        """What could wait is urgent now."""
        spread = self._spread_seconds
        for node, at in list(self._soon.items()):
            if at > now_seconds + spread:
                self._schedule(node, now_seconds + spread * self._rng.random())

    def answered(self, asked: Peer, peer: NodeId, now_seconds: float) -> None:
        self._landed(_key(asked))
        self._last[peer] = now_seconds
        for address in asked.addresses if asked.id is None else ():
            self._hints.answered(address, now_seconds, is_me=peer == self.me)

    def failed(self, asked: Peer, now_seconds: float) -> None:
        self._landed(_key(asked))
        for address in asked.addresses if asked.id is None else ():
            self._hints.failed(address, now_seconds)

    def repeat(self, peer: Peer) -> None:
        """The exchange goes on with another message (the caller sends it)."""
        self._in_flight.add(_key(peer))

    # --- whose turn it is -------------------------------------------------------------------------------------------

    def due(self, now_seconds: float, need_of: Callable[[NodeId], Need]) -> list[Turn]:
        """Marks what it returns as under way. `need_of`: what there still is to be had of a node with news."""
        turns = self._news(now_seconds, need_of)
        if now_seconds >= self._hints.next_at:
            turns += self._untried_hints(now_seconds)
        if now_seconds >= self._round_at:
            self._round_at = now_seconds + self._options.sync_interval_seconds * (0.8 + 0.4 * self._rng.random())
            others = self._roster.live_others()
            turns += [Turn(self._roster.peer(node)) for node in self._sample(others, 1 if len(others) < 8 else 2)]
        if now_seconds >= self._rejoin_at:
            self._rejoin_at = now_seconds + self._options.rejoin_interval_seconds * (0.8 + 0.4 * self._rng.random())
            turns += [Turn(peer) for peer in self._longest_untried(self._roster.lost_peers())]
        return [turn for turn in turns if self._begin(turn.peer, now_seconds)]

    def _begin(self, peer: Peer, now_seconds: float) -> bool:
        key = _key(peer)
        if key in self._in_flight or len(self._in_flight) >= _IN_FLIGHT_MAX:
            return False
        self._in_flight.add(key)
        if peer.id is not None:
            self._last[peer.id] = now_seconds
        return True

    def _news(self, now_seconds: float, need_of: Callable[[NodeId], Need]) -> list[Turn]:
        turns: list[Turn] = []
        while len(turns) + len(self._in_flight) < _IN_FLIGHT_MAX and self._next_news_at() <= now_seconds:
            node = heappop(self._queue)[1]
            del self._soon[node]
            need = need_of(node) if self._roster.is_live(node) else Need.NOTHING
            if need is Need.EVERYTHING and now_seconds < self._records_at:
                self._schedule(node, self._records_at)
            elif need is not Need.NOTHING:
                turns.append(Turn(self._roster.peer(node), need is Need.HOLDINGS))
                if need is Need.EVERYTHING:
                    self._records_at = now_seconds + self._per_node(_RECORDS_SECONDS_PER_NODE)
        return turns

    def _untried_hints(self, now_seconds: float) -> list[Turn]:
        reached = {address for peer in self._roster.live_peers() for address in peer.addresses}
        return [Turn(Peer(None, (where,))) for where in self._hints.due(now_seconds) if where not in reached]

    def _longest_untried(self, lost: Sequence[Peer]) -> list[Peer]:
        fewest, most = _REJOIN_AT_ONCE
        mixed = self._sample(lost, len(lost))
        mixed.sort(key=lambda peer: self._last.get(peer.id or b"", -_NEVER))
        return mixed[: max(fewest, min(most, (len(lost) + 1) // 2))]

    def _sample(self, choices: Sequence[T], count: int) -> list[T]:
        return self._rng.sample(choices, min(count, len(choices)))

    # --- the queue --------------------------------------------------------------------------------------------------

    def _schedule(self, node: NodeId, at: float) -> None:
        if at < self._soon.get(node, _NEVER):
            self._soon[node] = at
            heappush(self._queue, (at, node))

    def _next_news_at(self) -> float:
        while self._queue:
            at, node = self._queue[0]
            if self._soon.get(node) == at and node not in self._in_flight:
                return at
            heappop(self._queue)
        return _NEVER

    def _landed(self, key: Key) -> None:
        self._in_flight.discard(key)
        if isinstance(key, bytes) and key in self._soon:
            heappush(self._queue, (self._soon[key], key))

    @property
    def _spread_seconds(self) -> float:
        return self._per_node(_SPREAD_SECONDS_PER_NODE)

    def _per_node(self, seconds: float) -> float:
        """For each live peer; nothing in a small cluster."""
        count = len(self._roster.live_others())
        return count * seconds if count >= _SPREAD_FROM_NODES else 0.0


def _key(peer: Peer) -> Key:
    return peer.id if peer.id is not None else peer.addresses[0]
