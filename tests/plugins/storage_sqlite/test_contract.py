"""The SQLite store keeps the storage contract, with default options but one, and with everything small. Each read hashes: the
contract damages blocks that were stored a moment ago. What is remembered instead has its own tests, test_verified.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ralnode.api import Storage
from ralnode.testing.storage_contract import StorageContract


class TestSqliteStorage(StorageContract):
    @pytest.fixture(autouse=True)
    def _use(self, make_store: Callable[..., Storage]) -> None:
        self.make_store = make_store

    def build(self, data_dir: Path, capacity_bytes: int, disk_floor_bytes: int = 0) -> Storage:
        return self.make_store(data_dir, capacity_bytes, disk_floor_bytes, verified_seconds=0)


class TestWithTinyGroupsAndSegments(TestSqliteStorage):
    def build(self, data_dir: Path, capacity_bytes: int, disk_floor_bytes: int = 0) -> Storage:
        how = {
            "segment_bytes": 300_000,
            "group_bytes": 1,
            "group_milliseconds": 1,
            "read_threads": 1,
            "verified_seconds": 0,
        }
        return self.make_store(data_dir, capacity_bytes, disk_floor_bytes, **how)
