"""Gathers what a backup holds, from a running node or, offline, from its data folder."""

from __future__ import annotations

import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ralnode import __version__
from ralnode.api import LocalError, NotFoundError
from ralnode.core import catalogue_state
from ralnode.core.catalogue import Catalogue
from ralnode.dag import cid
from ralnode.host.backup.archive import FILE_BYTES_MAX, FILES_MAX, NAME, About, Contents
from ralnode.host.config import Config
from ralnode.host.identity import KEY_FILE, SECRET_FILE, NodeIdentity
from ralnode.host.plugins import PluginSet
from ralnode.host.storealone import store_alone

SUFFIXES: Final = (".json", ".key", ".secret")
"""Small files in the data folder that are documents of the node and its plugins; the store's have other names."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The node that is backed up."""

    identity: NodeIdentity
    data_dir: Path
    config: Config


def collect(origin: Origin, state: Mapping[bytes, bytes]) -> Contents:
    """`state`: the documents of the catalogue. Raises LocalError."""
    files = {**_documents(origin.data_dir), SECRET_FILE: origin.identity.cluster_secret}
    if KEY_FILE not in files:
        raise LocalError(f"cannot back up {origin.data_dir}: there is no {KEY_FILE} in it. Nothing was written")
    path = origin.config.path
    return Contents(_about(origin, state), files, state, _content(path) if path else b"")


async def collect_offline(config: Config, plugins: PluginSet, environ: Mapping[str, str]) -> Contents:
    """Of a node that does not run. Raises NotFoundError when there is none, UnavailableError when it runs."""
    folder = config.node.data_dir
    assert folder is not None, "config.load fills it in"
    if not (folder / KEY_FILE).exists():
        raise NotFoundError(f"there is no node in {folder}. Point to it with --data or [node] data_dir")
    async with store_alone(config, plugins, environ) as (identity, storage):
        state = await storage.load_state(catalogue_state.PREFIX)
        return collect(Origin(identity, folder, config), state)


def _about(origin: Origin, state: Mapping[bytes, bytes]) -> About:
    catalogue = Catalogue(origin.identity.id, origin.identity)
    catalogue.load(state)
    return About(
        node=cid.peer_id(origin.identity.id),
        name=origin.config.node.name,
        group=origin.config.node.group,
        made_unix_ms=time.time_ns() // 1_000_000,
        version=__version__,
        source_count=len(catalogue.sources()),
        node_count=len({origin.identity.id, *(info.id for info in catalogue.node_infos())}),
        config_path=str(origin.config.path or ""),
    )


def _documents(folder: Path) -> dict[str, bytes]:
    found = [path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES and NAME.fullmatch(path.name)]
    regular = [path for path in found if stat.S_ISREG(path.lstat().st_mode)]
    if len(regular) > FILES_MAX - 4:
        raise LocalError(f"cannot back up {folder}: {len(regular)} small files lie in it. Nothing was written")
    return {path.name: _content(path) for path in regular}


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise LocalError(f"cannot back up {path}: {error.strerror}. Nothing was written") from error
    if len(data) > FILE_BYTES_MAX:
        raise LocalError(f"cannot back up {path}: it is larger than {FILE_BYTES_MAX:,} bytes. Nothing was written")
    return data
