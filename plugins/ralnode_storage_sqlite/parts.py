"""`Parts`: what the working parts of an open store have in common."""

from __future__ import annotations

from dataclasses import dataclass
from logging import Logger

from ralnode_storage_sqlite.disk import Disk
from ralnode_storage_sqlite.home import Home
from ralnode_storage_sqlite.index import Index
from ralnode_storage_sqlite.ledger import Ledger
from ralnode_storage_sqlite.options import SqliteOptions
from ralnode_storage_sqlite.segments import SegmentWriter
from ralnode_storage_sqlite.table import SegmentTable
from ralnode_storage_sqlite.threads import Threads
from ralnode_storage_sqlite.verified import Verified


@dataclass(frozen=True, slots=True)
class Parts:
    home: Home
    disk: Disk
    index: Index
    table: SegmentTable
    ledger: Ledger
    segments: SegmentWriter
    threads: Threads
    verified: Verified
    options: SqliteOptions
    log: Logger
