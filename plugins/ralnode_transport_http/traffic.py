"""Bytes of bodies exchanged with each peer. The one thing here that several threads change."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from ralnode.api import NodeId, limits


class Traffic:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[NodeId, tuple[int, int]] = {}

    def add(self, peer: NodeId, received_bytes: int = 0, sent_bytes: int = 0) -> None:
        with self._lock:
            if peer in self._counts or len(self._counts) < limits.AUTHORS_MAX:
                received, sent = self._counts.get(peer, (0, 0))
                self._counts[peer] = (received + received_bytes, sent + sent_bytes)

    def counts(self) -> Mapping[NodeId, tuple[int, int]]:
        """(received from, sent to) since the start."""
        with self._lock:
            return dict(self._counts)
