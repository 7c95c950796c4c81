"""What is to be spread, the least often sent first, each a limited number of times.

Rumours are encoded once; a newer one about the same subject replaces the older. Taking some for a packet costs as much as the packet holds,
however many wait.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from ralnode_gossip_swim.options import RUMOURS_PER_PACKET_MAX

_MISFITS_MAX: Final = 4
"""Rumours too long for the room left that are passed over before the packet is called full."""


class RumourQueue:
    """Buckets by how often a rumour has been sent; a bucket keeps the order of arrival."""

    __slots__ = ("_buckets", "_sent")

    def __init__(self) -> None:
        self._buckets: list[dict[Hashable, bytes]] = [{}]
        self._sent: dict[Hashable, int] = {}

    def put(self, subject: Hashable, data: bytes) -> None:
        self.drop(subject)
        self._sent[subject] = 0
        self._buckets[0][subject] = data

    def drop(self, subject: Hashable) -> None:
        sent = self._sent.pop(subject, None)
        if sent is not None:
            del self._buckets[sent][subject]

    def __len__(self) -> int:
        return len(self._sent)

    def take(self, room_bytes: int, limit: int, count_max: int = RUMOURS_PER_PACKET_MAX) -> list[bytes]:
        """Rumours that fit, counted as sent once more; those sent `limit` times are done with."""
        if not self._sent:
            return []
        chosen: list[tuple[int, Hashable, bytes]] = []
        misfits = 0
        for sent, bucket in enumerate(self._buckets):
            for subject, data in bucket.items():
                if len(chosen) >= count_max or misfits >= _MISFITS_MAX:
                    break
                if len(data) > room_bytes:
                    misfits += 1
                    continue
                room_bytes -= len(data)
                chosen.append((sent, subject, data))
        for sent, subject, data in chosen:
            self._advance(sent, subject, data, limit)
        return [data for _, _, data in chosen]

    def echoed(self, subject: Hashable, limit: int) -> None:
        """Somebody told us what we are spreading: that counts as once sent."""
        sent = self._sent.get(subject)
        if sent is not None:
            self._advance(sent, subject, self._buckets[sent][subject], limit)

    def _advance(self, sent: int, subject: Hashable, data: bytes, limit: int) -> None:
        del self._buckets[sent][subject]
        if sent + 1 >= limit:
            del self._sent[subject]
            return
        if sent + 1 == len(self._buckets):
            self._buckets.append({})
        self._buckets[sent + 1][subject] = data
        self._sent[subject] = sent + 1
