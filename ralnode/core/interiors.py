"""Interior nodes of sources: every node keeps them all, so each missing set is fetched from a node that has it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from ralnode.api import Peer, Root, Source
from ralnode.core.events import FetchInterior
from ralnode.core.holdings import Holdings

_AT_ONCE: Final = 4
_DELAY_SECONDS_MAX: Final = 60.0


@dataclass(slots=True)
class _Wanted:
    failures: int = 0
    retry_at: float = 0.0
    under_way: bool = False


class Interiors:
    """Which sources still lack their interior nodes here."""

    def __init__(self, holdings: Holdings, rng: Random) -> None:
        self._holdings = holdings
        self._rng = rng
        self._wanted: dict[Root, _Wanted] = {}
        self.is_hungry = False
        """Whether nobody known had something wanted when last looked at."""

    def want(self, root: Root) -> None:
        self._wanted.setdefault(root, _Wanted())

    def has(self, root: Root) -> None:
        self._wanted.pop(root, None)

    @property
    def count(self) -> int:
        return len(self._wanted)

    def failed(self, root: Root, now_seconds: float) -> None:
        wanted = self._wanted.get(root)
        if wanted is not None:
            wanted.under_way = False
            wanted.failures += 1
            delay = min(_DELAY_SECONDS_MAX, 2.0 ** min(wanted.failures - 1, 6))
            wanted.retry_at = now_seconds + delay * (0.5 + self._rng.random() / 2)

    def stored(self, root: Root) -> None:
        """Durable; counted as missing until the store has been asked (`has`)."""
        wanted = self._wanted.get(root)
        if wanted is not None:
            wanted.under_way = False
            wanted.retry_at = float("inf")

    def next_retry(self, now_seconds: float) -> float:
        return min((w.retry_at for w in self._wanted.values() if w.retry_at > now_seconds), default=float("inf"))

    def schedule(self, sources: dict[Root, Source], live: Sequence[Peer], now_seconds: float) -> list[FetchInterior]:
        under_way = sum(wanted.under_way for wanted in self._wanted.values())
        effects: list[FetchInterior] = []
        self.is_hungry = False
        for root, wanted in self._wanted.items():
            if under_way + len(effects) >= _AT_ONCE:
                break
            if wanted.under_way or wanted.retry_at > now_seconds or root not in sources:
                continue
            having = [p for p in live if p.id is not None and self._holdings.of(p.id, root).has_interior]
            if having:
                wanted.under_way = True
                effects.append(FetchInterior(sources[root], self._rng.choice(having)))
            else:
                self.is_hungry = True
        return effects
