"""What `[storage.sqlite]` in the configuration may set. The defaults were measured; see tests/bench/bench_storage.py."""

from __future__ import annotations

from dataclasses import dataclass

from ralnode.api.limits import GIB, MIB


@dataclass(frozen=True, slots=True)
class SqliteOptions:
    segment_bytes: int = GIB
    """A segment is closed when the next record would make it longer. A small capacity makes it smaller."""
    group_bytes: int = 64 * MIB
    """Blocks made durable by one fsync and one commit, at most. As many more may be written meanwhile."""
    group_milliseconds: int = 0
    """How long an idle writer lets the first block of a group wait for company, at most 50. While it is busy, blocks
    gather anyway, so waiting only helps many tiny puts on a disk with a slow fsync."""
    read_threads: int = 3
    """Reading and hashing beside each other."""
    verified_seconds: int = 600
    """A block that was hashed so short a time ago, at reading or storing, is served without; 0 hashes every block at every
    read. The scrub and files that are stored by reference are hashed always."""
