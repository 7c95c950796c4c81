"""`FolderBook`: remembers, outside the data folder, which node has its data folder on a disk of its own.

Without that disk the folder looks like that of a node which never ran: a start would make a new node, on the system's
disk. So a start without the node that is on record is refused. The record is one small file in the state folder of the
service (STATE_DIRECTORY) or of the user (XDG_STATE_HOME); what lies on the same disk as that needs none.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ralnode.api import LocalError, NodeId
from ralnode.dag import cid
from ralnode.host.config import SYSTEM_DATA_DIR, user_dir
from ralnode.host.identity import stored_id
from ralnode.host.wholefile import write_whole

FOLDER: Final = "data-folders"
TEMPORARY: Final = tuple(Path(each) for each in dict.fromkeys(("/tmp", "/var/tmp", tempfile.gettempdir())))  # noqa: S108
"""Emptied by others, and may be forgotten."""
_RECORD_BYTES_MAX: Final = 16 * 1024


class FolderBook:
    """For one data folder. `place` is where its record belongs, None where there is no such place; `others` are looked at
    too."""

    def __init__(
        self, data_dir: Path, place: Path | None, others: Sequence[Path] = (), temporary: Sequence[Path] = TEMPORARY
    ) -> None:
        self._data_dir = data_dir.absolute()
        self._place = place
        self._temporary = temporary
        self._places = [each for each in (place, *others) if each is not None]
        self._name = f"{hashlib.sha256(os.fsencode(self._data_dir)).hexdigest()[:16]}.json"

    @classmethod
    def of(cls, data_dir: Path, environ: Mapping[str, str]) -> FolderBook:
        return cls(data_dir, _place(environ), (SYSTEM_DATA_DIR,))

    def check(self) -> None:
        """Before anything is made. Raises LocalError when another node was here, and its disk may come back."""
        for place in dict.fromkeys(self._places):
            record = self._read(place)
            if record is None:
                continue
            found = stored_id(self._data_dir)
            if found is None or cid.peer_id(found) != record["node"]:
                raise LocalError(self._refusal(record, place / FOLDER / self._name, is_empty=found is None))

    def note(self, node: NodeId) -> None:
        """Once the node is open. What cannot be noted is no reason not to run."""
        if self._place is None:
            return
        record = self._place / FOLDER / self._name
        with suppress(OSError):
            if self._needs_record(self._place):
                _write(record, {"data_dir": str(self._data_dir), "node": cid.peer_id(node), "disk": self._disk()})
            else:
                record.unlink(missing_ok=True)

    def _needs_record(self, place: Path) -> bool:
        if any(self._data_dir.is_relative_to(each) for each in self._temporary):
            return False
        return not place.is_relative_to(self._data_dir) and _device(self._data_dir) != _device(place)

    def _disk(self) -> str:
        """Where the disk is mounted."""
        return str(next((each for each in (self._data_dir, *self._data_dir.parents) if os.path.ismount(each)), "/"))

    def _read(self, place: Path) -> dict[str, str] | None:
        """None when there is nothing on record, or nothing that can be understood."""
        try:
            found = json.loads((place / FOLDER / self._name).read_text(encoding="utf-8")[:_RECORD_BYTES_MAX])
        except (OSError, ValueError):
            return None
        is_whole = isinstance(found, dict) and found.get("data_dir") == str(self._data_dir)
        return {key: str(found.get(key, "")) for key in ("node", "disk")} if is_whole else None

    def _refusal(self, record: Mapping[str, str], file: Path, *, is_empty: bool) -> str:
        now = "there is no node in it" if is_empty else "another node is in it"
        return (
            f"cannot use the data folder {self._data_dir}: node {record['node']} had its key and blocks there, on the disk "
            f"mounted at {record['disk']}, and now {now}. Is that disk not mounted? Nothing was changed. Mount it and start "
            f"again. If it is lost for good: ralnode restore FILE, or, to go on as another node, remove {file}"
        )


def _place(environ: Mapping[str, str]) -> Path | None:
    given = environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    has_home = environ.get("HOME") or environ.get("XDG_STATE_HOME")
    return user_dir(environ, "XDG_STATE_HOME", ".local/state") if has_home else None


def _device(path: Path) -> int:
    """Of the nearest folder above that exists."""
    return next(each.stat().st_dev for each in (path, *path.parents) if each.exists())


def _write(file: Path, record: Mapping[str, Any]) -> None:
    """Only when it says something new."""
    text = json.dumps(record, indent=1) + "\n"
    if file.exists() and file.read_text(encoding="utf-8") == text:
        return
    write_whole(file, text, 0o644, folder_mode=0o700)
