"""Refusals at the door: another's folder, a missing disk, a lost index, a newer schema. Each changes nothing."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ralnode.api import Held, StorageError
from ralnode.testing.store_under_test import keys_of, make_block, make_blocks
from ralnode_storage_sqlite import schema

Open = Callable[..., Awaitable[Any]]


@pytest.fixture
async def filled(open_store: Open, tmp_path: Path) -> Path:
    """A closed store with ten blocks."""
    store = await open_store()
    await store.put(make_blocks(10, 20_000))
    await store.close()
    return tmp_path / "store"


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def refused(open_store: Open, folder: Path, match: str, **how: Any) -> None:
    before = snapshot(folder)
    with pytest.raises(StorageError, match=match) as caught:
        await open_store(**how)
    assert "Nothing was changed" in str(caught.value)
    assert snapshot(folder) == before


async def test_the_folder_of_another_node_is_refused(open_store: Open, filled: Path) -> None:
    await refused(open_store, filled, "belongs to another node", node="somebody else")


async def test_an_unmounted_segment_disk_is_not_an_empty_store(open_store: Open, filled: Path) -> None:
    (filled / "segments").rename(filled / "elsewhere")
    (filled / "segments").mkdir()
    await refused(open_store, filled, "10 blocks.*is a disk not mounted")
    (filled / "segments").rmdir()
    (filled / "elsewhere").rename(filled / "segments")
    store = await open_store()
    assert store.usage().block_count == 10


async def test_segments_without_an_index_are_refused_until_it_is_rebuilt(
    open_store: Open, make_store: Any, filled: Path
) -> None:
    (filled / "index.db").unlink()
    await refused(open_store, filled, "no index.db.*ralnode rebuild-index")
    assert await make_store(filled).rebuild_index(lambda done, total: None) == 10
    store = await open_store()
    assert await store.held(keys_of(make_blocks(10, 20_000))) == [Held.OWNED] * 10


async def test_a_missing_segment_is_refused(open_store: Open, filled: Path) -> None:
    (filled / "segments/000001.car").unlink()
    await refused(open_store, filled, "000001.car is missing.*rebuild-index")


async def test_an_index_older_than_its_segments_is_refused(open_store: Open, filled: Path) -> None:
    """Cutting off what an old copy of the index does not know would destroy acknowledged blocks."""
    with (filled / "segments/000001.car").open("r+b") as file:
        file.truncate(300 << 20)
    with pytest.raises(StorageError, match=r"older than 000001.car.*rebuild-index"):
        await open_store()
    assert (filled / "segments/000001.car").stat().st_size == 300 << 20


async def test_a_newer_schema_is_refused_in_the_words_of_the_manual(open_store: Open, filled: Path) -> None:
    with sqlite3.connect(filled / "index.db") as index:
        index.execute("UPDATE meta SET value = 4 WHERE name = 'schema'")
    index.close()
    with pytest.raises(StorageError) as caught:
        await open_store()
    assert str(caught.value) == (
        f"cannot open storage {filled / 'index.db'}: made by a newer ralnode (schema 4, this one knows 1). "
        "Nothing was changed. Upgrade ralnode, or point [node] data_dir elsewhere."
    )


async def test_a_newer_schema_is_not_rebuilt_over(make_store: Any, open_store: Open, filled: Path) -> None:
    with sqlite3.connect(filled / "index.db") as index:
        index.execute("UPDATE meta SET value = 4 WHERE name = 'schema'")
    index.close()
    with pytest.raises(StorageError, match="newer ralnode"):
        await make_store(filled).rebuild_index(lambda done, total: None)


async def test_a_damaged_index_names_the_remedy(open_store: Open, make_store: Any, filled: Path) -> None:
    (filled / "index.db").write_bytes(b"this is no database at all" * 1000)
    with pytest.raises(StorageError, match="rebuild-index"):
        await open_store()
    assert await make_store(filled).rebuild_index(lambda done, total: None) == 10
    assert (await open_store()).usage().block_count == 10


async def test_two_stores_cannot_share_a_folder(open_store: Open, make_store: Any) -> None:
    store = await open_store()
    second = make_store(store._home.data_dir)
    with pytest.raises(StorageError, match="another process has it open"):
        await second.open(lambda keys: None)
    with pytest.raises(StorageError, match="another process has it open"):
        await second.rebuild_index(lambda done, total: None)
    with pytest.raises(StorageError, match="open already"):
        await store.open(lambda keys: None)
    await store.close()
    await second.open(lambda keys: None)
    await second.close()


def test_the_lock_holds_against_another_process_and_dies_with_it(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib\nfrom ralnode_storage_sqlite.home import Home\nfrom ralnode_storage_sqlite.disk import Disk\n"
        "Home(pathlib.Path(sys.argv[1]), bytes(32), Disk()).lock()\nprint('locked', flush=True)\nsys.stdin.read()\n"
    )
    run = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"locked\n"
        second = subprocess.run(run, capture_output=True, stdin=subprocess.DEVNULL, check=False)
        assert b"another process has it open" in second.stderr
        first.kill()
    third = subprocess.run(run, capture_output=True, stdin=subprocess.DEVNULL, check=True)
    assert third.stdout == b"locked\n"


async def test_a_folder_that_cannot_be_made_is_refused(open_store: Open, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="Not a directory"):
        await open_store(data_dir=tmp_path / "file" / "store")


async def test_an_empty_index_without_its_marker_is_just_new(open_store: Open, tmp_path: Path) -> None:
    await (await open_store()).close()
    shutil.rmtree(tmp_path / "store/segments")
    store = await open_store()
    await store.put([make_block(1)])
    assert (tmp_path / "store/segments/NODE").read_text().startswith("this is a ralnode store")


async def test_bytes_behind_the_last_indexed_record_are_cut_off(open_store: Open, filled: Path) -> None:
    segment, orphan = filled / "segments/000001.car", filled / "segments/000002.car"
    size = segment.stat().st_size
    with segment.open("ab") as file:
        file.write(b"half a record" * 1000)
    orphan.write_bytes(b"a segment begun and never acknowledged")
    store = await open_store()
    assert segment.stat().st_size == size
    assert not orphan.exists()
    await store.put(make_blocks(2, 20_000, first_seed=50))
    assert await store.get_many(keys_of(make_blocks(10, 20_000))) == [b.data for b in make_blocks(10, 20_000)]


async def test_a_segment_cut_short_loses_just_the_blocks_behind_its_end(open_store: Open, filled: Path) -> None:
    """No crash of ours does this: the disk said that it had synced and had not."""
    blocks, lost = make_blocks(10, 20_000), []
    with (filled / "segments/000001.car").open("r+b") as file:
        file.truncate(3 * 20_000)
    store = await open_store(lost=lost)
    assert sorted(lost) == sorted(keys_of(blocks[2:]))
    assert await store.held(keys_of(blocks)) == [Held.OWNED] * 2 + [Held.NO] * 8
    await store.put(blocks)
    await store.close()
    again = await open_store(lost=lost)
    assert await again.get_many(keys_of(blocks)) == [block.data for block in blocks]
    assert len(lost) == 8


# --- schema steps


def old_index(path: Path, version: int) -> sqlite3.Connection:
    connection = schema.connect(path)
    schema.create(connection)
    connection.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (version,))
    return connection


def add_column(name: str) -> schema.Upgrade:
    return lambda connection: connection.execute(f"ALTER TABLE state ADD COLUMN {name}") and None


def fail_half_way(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE state ADD COLUMN half")
    raise OSError("power cut")


def test_an_older_schema_is_brought_up_step_by_step(tmp_path: Path) -> None:
    connection = old_index(tmp_path / "index.db", 1)
    said: list[str] = []
    steps = {1: add_column("one"), 2: add_column("two")}
    schema.prepare(connection, tmp_path / "index.db", known=3, upgrades=steps, say=said.append)
    assert schema.version(connection) == 3
    assert [line.partition(" in ")[0] for line in said] == [
        "upgrading index.db from schema 1 to 2 (of 3); it may be interrupted, and goes on at the next start",
        "upgrading index.db from schema 1 to 2 (of 3): done",
        "upgrading index.db from schema 2 to 3 (of 3); it may be interrupted, and goes on at the next start",
        "upgrading index.db from schema 2 to 3 (of 3): done",
    ]
    connection.execute("SELECT one, two FROM state")
    connection.close()


def test_an_upgrade_cut_short_keeps_its_finished_steps_and_goes_on_next_time(tmp_path: Path) -> None:
    connection = old_index(tmp_path / "index.db", 1)
    with pytest.raises(OSError, match="power cut"):
        schema.prepare(connection, tmp_path, known=3, upgrades={1: add_column("one"), 2: fail_half_way})
    assert schema.version(connection) == 2
    schema.prepare(connection, tmp_path, known=3, upgrades={2: add_column("half")})
    assert schema.version(connection) == 3
    connection.close()


def test_a_schema_too_old_to_upgrade_is_refused(tmp_path: Path) -> None:
    connection = old_index(tmp_path / "index.db", 1)
    with pytest.raises(StorageError, match="schema 1 is too old"):
        schema.prepare(connection, tmp_path, known=2, upgrades={})
    connection.close()
