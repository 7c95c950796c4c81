"""From one data folder to another, with the real store: what is restored, what is refused, what is warned of."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from ralnode.api import ConfigError, RefusedError, UnavailableError, UsageError
from ralnode.core import catalogue_state
from ralnode.dag import cid
from ralnode.host.backup.archive import Contents, pack, unpack
from ralnode.host.backup.collecting import collect_offline
from ralnode.host.backup.restoring import CONFIG_COPY, restore
from ralnode.host.config import Config, load
from ralnode.host.datadir import DataDir
from ralnode.host.identity import KEY_FILE, open_identity
from ralnode.host.joincode import JoinCode
from ralnode.host.plugin_find import Where
from ralnode.host.plugins import PluginSet
from ralnode.host.plugins import load as load_plugins
from ralnode.host.storealone import store_alone

DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def plugins() -> PluginSet:
    return load_plugins(Where({"RALNODE_PLUGINS": "storage_sqlite,transport_http,gossip_swim,planner_rendezvous"}))


def config(folder: Path, path: Path | None = None, **node: str) -> Config:
    flags: Mapping[str, str] = {"data_dir": str(folder), "capacity": "50 MB", **node}
    return load({}, {f"node.{key}": value for key, value in flags.items()}, path, hostname="attic", is_root=False)


@pytest.fixture
async def backup(tmp_path: Path, plugins: PluginSet) -> Contents:
    """Of a node called attic, with a configuration file, a page's file and a state document."""
    folder, file = tmp_path / "old", tmp_path / "ralnode.toml"
    folder.mkdir()
    file.write_text('[node]\nzone = "cellar"\n')
    open_identity(folder)
    (folder / "page.json").write_text('{"password": "hashed"}')
    (folder / "index.db-wal.json.new").write_text("not a document")
    (folder / "elsewhere.json").symlink_to("/etc/passwd")
    async with store_alone(config(folder, file), plugins, {}) as (_identity, storage):
        await storage.save_state({b"catalogue/reserved": catalogue_state.encode_reserved(7), b"ingest/x": b"1"})
    return unpack(pack(await collect_offline(config(folder, file), plugins, {})))


async def test_everything_that_makes_the_node_comes_back(backup: Contents, plugins: PluginSet, tmp_path: Path) -> None:
    assert set(backup.files) == {"cluster.secret", "identity.key", "node.json", "page.json"}
    assert set(backup.state) == {b"catalogue/reserved"}, "an interrupted add is not part of it"
    done = await restore(backup, config(tmp_path / "new"), plugins, {}, force=False)
    new = tmp_path / "new"
    for name, data in backup.files.items():
        assert name == "node.json" or (new / name).read_bytes() == data
        assert (new / name).stat().st_mode & 0o777 == 0o600 or name == "node.json"
    assert Path(done.config_copy).read_text() == (tmp_path / "ralnode.toml").read_text()
    assert (done.moved_to, done.warnings) == ("", ())
    assert cid.peer_id(open_identity(new).id) == backup.about.node
    async with store_alone(config(new), plugins, {}) as (_identity, storage):
        saved = await storage.load_state(b"catalogue/")
    assert catalogue_state.load(saved).reserved == 7 + catalogue_state.RESTORE_STEP
    again = await collect_offline(config(new), plugins, {})
    assert again.about.node == backup.about.node


async def test_a_node_is_never_overwritten_and_with_force_moved_aside(
    backup: Contents, plugins: PluginSet, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    before = open_identity(other).id
    with pytest.raises(RefusedError, match="a node lies in"):
        await restore(backup, config(other), plugins, {}, force=False)
    assert open_identity(other).id == before
    done = await restore(backup, config(other), plugins, {}, force=True)
    assert open_identity(Path(done.moved_to)).id == before
    assert cid.peer_id(open_identity(other).id) == backup.about.node
    assert (other / CONFIG_COPY).exists()


async def test_a_living_node_keeps_its_folder(backup: Contents, plugins: PluginSet, tmp_path: Path) -> None:
    with DataDir(tmp_path / "living"), pytest.raises(UnavailableError, match="another ralnode"):
        await restore(backup, config(tmp_path / "living"), plugins, {}, force=True)
    with DataDir(tmp_path / "old"), pytest.raises(UnavailableError):
        await collect_offline(config(tmp_path / "old"), plugins, {})


async def test_a_backup_without_an_identity_or_with_another_s_makes_no_node(
    backup: Contents, plugins: PluginSet, tmp_path: Path
) -> None:
    without = replace(backup, files={name: data for name, data in backup.files.items() if name != KEY_FILE})
    foreign = replace(backup, files={**backup.files, KEY_FILE: bytes(32)})
    for contents, words in ((without, "no identity"), (foreign, "its key is of another node")):
        with pytest.raises(UsageError, match=words):
            await restore(contents, config(tmp_path / "new"), plugins, {}, force=True)
    assert not (tmp_path / "new").exists()


async def test_a_secret_that_is_configured_for_another_cluster_is_refused_before_anything_is_done(
    backup: Contents, plugins: PluginSet, tmp_path: Path
) -> None:
    code = JoinCode(bytes(32), ()).encode()
    with pytest.raises(ConfigError, match="another cluster"):
        await restore(backup, config(tmp_path / "new", join_code=code), plugins, {}, force=True)
    assert not (tmp_path / "new").exists()


async def test_what_will_surprise_is_warned_of(backup: Contents, plugins: PluginSet, tmp_path: Path) -> None:
    old = replace(backup, about=replace(backup.about, made_unix_ms=backup.about.made_unix_ms - 40 * DAY_MS))
    there = config(tmp_path / "new", name="shed", group="office", capacity="9000 TB")
    text = "\n".join((await restore(old, there, plugins, {}, force=False)).warnings)
    for words in (
        "40 days old",
        "name was 'attic' and would be 'shed'",
        "group was 'ralnode'",
        "more than the free space",
    ):
        assert words in text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
async def test_what_root_restores_belongs_to_whom_the_folder_belongs(
    backup: Contents, plugins: PluginSet, tmp_path: Path
) -> None:
    folder = tmp_path / "service"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    await restore(backup, config(folder), plugins, {}, force=False)
    assert {path.stat().st_uid for path in folder.rglob("*")} == {65534}
