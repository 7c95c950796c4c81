"""All that a node measures, in one object: made before its parts, asked by /metrics."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import cast

from ralnode.api import Block, Metric, Storage
from ralnode.host.metering.histogram import Histogram
from ralnode.host.metering.table import sample
from ralnode.host.metering.tally import Tally
from ralnode.host.metering.timed import Commits, TimedStorage


class Meters:
    """Everything here is called on the event loop."""

    def __init__(self, storage: Storage) -> None:
        self.tally = Tally()
        self.loop_lag = Histogram("ralnode_loop_lag_seconds")
        self._commits = Commits()
        self._timed = TimedStorage(storage, self._commits)
        self._served_bytes = self._served_blocks = 0
        self._began = time.monotonic()

    @property
    def storage(self) -> Storage:
        """The one given, measured."""
        return cast("Storage", self._timed)  # it passes on by __getattr__ what it does not measure

    async def served(self, batches: AsyncIterator[Sequence[Block]]) -> AsyncIterator[Sequence[Block]]:
        """Counts blocks on their way to a peer; closes what it passes on when it is left early."""
        try:
            async for batch in batches:
                self._served_blocks += len(batch)
                self._served_bytes += sum(len(block.data) for block in batch)
                yield batch
                del batch  # so that it is not held while the next one is awaited
        finally:
            close = getattr(batches, "aclose", None)
            if close is not None:
                await close()

    def served_one(self, data: bytes) -> None:
        self._served_blocks += 1
        self._served_bytes += len(data)

    def samples(self) -> Iterator[Metric]:
        yield sample("ralnode_uptime_seconds", time.monotonic() - self._began)
        yield sample("ralnode_served_bytes_total", self._served_bytes)
        yield sample("ralnode_served_blocks_total", self._served_blocks)
        yield sample("ralnode_lost_blocks_total", self._timed.lost_count)
        yield from self.tally.samples()
        yield from self._commits.samples()
        yield from self.loop_lag.samples()
