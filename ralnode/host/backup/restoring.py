"""Makes a node from a backup: its files in a fresh data folder, its catalogue in a fresh store. Blocks come from the peers.

Nothing is ever deleted: what lies in the folder already is moved aside, and only when that was asked for.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ralnode.api import ConfigError, LocalError, NodeId, RefusedError, UsageError
from ralnode.api.limits import TOMBSTONE_DAYS
from ralnode.core import catalogue_state
from ralnode.dag import cid
from ralnode.host.backup.archive import Contents
from ralnode.host.config import Config
from ralnode.host.datadir import LOCK_FILE, DataDir
from ralnode.host.identity import KEY_FILE, SECRET_BYTES, SECRET_FILE
from ralnode.host.joining import find_join_code
from ralnode.host.plugins import PluginSet
from ralnode.host.storealone import store_alone

CONFIG_COPY: Final = "restored-ralnode.toml"
"""The configuration file of the backup: beside the node, never over the one in force."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was done. `moved_to` is where an earlier node of that folder lies now; empty when there was none."""

    data_dir: str
    document_count: int
    moved_to: str
    config_copy: str
    warnings: tuple[str, ...]


async def restore(
    contents: Contents, config: Config, plugins: PluginSet, environ: Mapping[str, str], *, force: bool
) -> Restored:
    """Raises RefusedError when a node lies in the data folder and `force` is False, UnavailableError when it runs,
    UsageError when the backup lacks something. Nothing was changed then."""
    folder = config.node.data_dir
    assert folder is not None, "config.load fills it in"
    me = _identity_of(contents)
    _check_cluster(contents, config, environ)
    moved_to = ""
    with DataDir(folder):
        before = _node_in(folder)
        if before and not force:
            raise RefusedError(
                f"a node lies in {folder} already ({before}). Nothing was changed. Choose another folder with --data; or use "
                "--force: then that node is moved aside within the folder"
            )
        if _entries(folder):
            moved_to = _move_aside(folder)
        _write_files(folder, contents)
    state = catalogue_state.restored(contents.state, me)
    async with store_alone(config, plugins, environ) as (_identity, storage):
        await storage.save_state(state)
    _give_to_owner(folder)
    copy = str(folder / CONFIG_COPY) if contents.config else ""
    return Restored(str(folder), len(state), moved_to, copy, tuple(_warnings(contents, config, folder)))


def _identity_of(contents: Contents) -> NodeId:
    key, secret = contents.files.get(KEY_FILE, b""), contents.files.get(SECRET_FILE, b"")
    if len(key) != SECRET_BYTES or len(secret) != SECRET_BYTES:
        raise UsageError("this backup holds no identity, so no node can be made from it. Nothing was changed")
    me: NodeId = Ed25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw()
    if cid.peer_id(me) != contents.about.node:
        raise UsageError(f"this backup says that it is of {contents.about.node}, but its key is of another node")
    return me


def _check_cluster(contents: Contents, config: Config, environ: Mapping[str, str]) -> None:
    code = find_join_code(config.node, environ)
    if code is not None and code.secret != contents.files[SECRET_FILE]:
        raise ConfigError(
            "the join code or secret that is configured here belongs to another cluster than this backup. Nothing was "
            "changed. Take it out of the configuration (join_code, secret_file, the service's credential)"
        )


def _node_in(folder: Path) -> str:
    """What shows that a node lies there; empty when none does."""
    return next((name for name in (KEY_FILE, SECRET_FILE) if (folder / name).exists()), "")


def _entries(folder: Path) -> list[Path]:
    """What is in the folder besides our lock and what earlier restores have moved aside."""
    return [
        path for path in sorted(folder.iterdir())
        if path.name not in (LOCK_FILE, "lost+found") and not path.name.startswith("before-restore-")
    ]  # fmt: skip


def _move_aside(folder: Path) -> str:
    aside = folder / time.strftime("before-restore-%Y%m%d-%H%M%S")
    try:
        aside.mkdir(mode=0o700)
        for path in _entries(folder):
            path.rename(aside / path.name)
    except OSError as error:
        raise LocalError(
            f"cannot move what lies in {folder} to {aside}: {error.strerror}. Part of it may have been moved; nothing is lost"
        ) from error
    return str(aside)


def _write_files(folder: Path, contents: Contents) -> None:
    """The key last: a folder without it is no node, whatever interrupts this."""
    files = dict(contents.files)
    key = files.pop(KEY_FILE)
    if contents.config:
        files[CONFIG_COPY] = contents.config
    for name, data in (*files.items(), (KEY_FILE, key)):
        _write(folder / name, data)


def _write(path: Path, data: bytes) -> None:
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=".restore-", dir=path.parent)  # mkstemp makes it 0600
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        raise LocalError(
            f"cannot write {path}: {error.strerror}. The backup is half restored; run restore again with --force"
        ) from error


def _give_to_owner(folder: Path) -> None:
    """Root restores for the service: everything belongs to whom the folder belongs, or the node could not read its key."""
    if os.geteuid() != 0:
        return
    owner = folder.stat()
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _warnings(contents: Contents, config: Config, folder: Path) -> list[str]:
    found, about = [], contents.about
    days = (time.time() - about.made_unix_ms / 1000) / 86_400
    if days > TOMBSTONE_DAYS:
        found.append(
            f"the backup is {days:.0f} days old: sources that were removed more than {TOMBSTONE_DAYS} days ago may come back; "
            "look through `ralnode ls`"
        )
    for key, before, now in (("name", about.name, config.node.name), ("group", about.group, config.node.group)):
        if before != now:
            found.append(f"the node's {key} was {before!r} and would be {now!r} here: set [node] {key} as it was")
    free_bytes = shutil.disk_usage(folder).free
    if config.node.capacity_bytes is not None and config.node.capacity_bytes > free_bytes:
        found.append("its capacity is more than the free space here: set another one with `ralnode capacity SIZE`")
    return found
