"""The data directory: made, locked against a second process, and the few facts that must survive a restart before the
store is open: the boot nonce, the declared capacity, the peers' addresses. Small JSON files, each replaced whole.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

from ralnode.api import Address, ConfigError, LocalError, UnavailableError

LOCK_FILE: Final = "lock"
NODE_FILE: Final = "node.json"
_HINTS_MAX: Final = 64
"""Addresses remembered; more than any home lab has nodes."""

_FILE_BYTES_MAX: Final = 64 * 1024


class DataDir:
    """Open for one process at a time; use as a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[str] | None = None
        self._facts: dict[str, Any] = {}

    def __enter__(self) -> DataDir:
        """Raises LocalError when it cannot be used, UnavailableError when another process uses it."""
        try:
            self._acquire()
            self._facts = self._read()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._lock is not None:
            self._lock.close()

    def _acquire(self) -> None:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = (self.path / LOCK_FILE).open("a+", encoding="utf-8")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._lock.truncate(0)
            self._lock.write(f"{os.getpid()}\n")
            self._lock.flush()
        except BlockingIOError:
            raise UnavailableError(self._taken()) from None
        except OSError as error:
            raise LocalError(
                f"cannot use the data directory {self.path}: {error.strerror}. Nothing was changed. Give the user that runs "
                "ralnode the right to write there, or set [node] data_dir"
            ) from error

    def next_boot_nonce(self) -> int:
        """Greater than at every start before, written down first. The clock is its floor, so that it grows even when
        the file was lost: the gossip's packet keys depend on it."""
        nonce = max(int(self._facts.get("boot_nonce", 0)) + 1, time.time_ns() // 1_000_000)
        self._write(boot_nonce=nonce)
        return nonce

    def declared_capacity(self, configured_bytes: int | None) -> int:
        """The capacity that plans reckon with. A configured one wins when it is new; otherwise what was declared before
        (at the first start half of the free space, or by `ralnode capacity`), so that it never drifts."""
        known = self._facts.get("capacity_bytes")
        if known is None or (configured_bytes is not None and configured_bytes != self._facts.get("configured_bytes")):
            known = shutil.disk_usage(self.path).free // 2 if configured_bytes is None else configured_bytes
            self._write(capacity_bytes=known, configured_bytes=configured_bytes)
        return int(known)

    def declare_capacity(self, capacity_bytes: int) -> None:
        """From now on, until the configuration says something new."""
        self._write(capacity_bytes=capacity_bytes)

    def is_draining(self) -> bool:
        return bool(self._facts.get("draining", False))

    def declare_draining(self, draining: bool) -> None:
        """Until it is taken back, also after a restart."""
        self._write(draining=draining)

    def hints(self) -> list[Address]:
        """Addresses at which peers were once said to listen, latest first."""
        return [Address(str(host), int(port)) for host, port in self._facts.get("hints", [])]

    def remember_hints(self, addresses: Sequence[Address]) -> None:
        merged = list(dict.fromkeys([*addresses, *self.hints()]))[:_HINTS_MAX]
        if merged != self.hints():
            self._write(hints=[[address.host, address.port] for address in merged])

    def _taken(self) -> str:
        owner = (self.path / LOCK_FILE).read_text(encoding="utf-8").strip() or "?"
        return (
            f"cannot use the data directory {self.path}: another ralnode (process {owner}) uses it. Nothing was changed. "
            "Stop that one, or give this one its own with --data-dir"
        )

    def _read(self) -> dict[str, Any]:
        path = self.path / NODE_FILE
        try:
            facts = json.loads(path.read_text(encoding="utf-8")[:_FILE_BYTES_MAX])
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"cannot read {path}: {error}. Nothing was changed. Move it away to start afresh"
            ) from error
        return facts if isinstance(facts, dict) else {}

    def _write(self, **changes: Any) -> None:
        """Durable on return. Raises LocalError."""
        facts = self._facts | changes
        path = self.path / NODE_FILE
        temporary = path.with_suffix(".new")
        try:
            with temporary.open("w", encoding="utf-8") as file:
                json.dump(facts, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            _sync_directory(self.path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise LocalError(f"cannot write {path}: {error.strerror}. The file that was there is unchanged") from error
        self._facts = facts


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
