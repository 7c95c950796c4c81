"""The sources folder: what lies there is offered, what changes is offered anew, what is gone is retracted."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ralnode.api import Block, Held, Holding, RefusedError, Root, Source
from ralnode.api.limits import GIB
from ralnode.dag import cid
from ralnode.host import seeder as module
from ralnode.host.dagindex import DagIndex
from ralnode.host.ingest.ingest import Ingest
from ralnode.host.seeder import Seeder, SeederParts
from ralnode.testing.content import content
from ralnode.testing.memory_storage import MemoryStorage

LATER = 3600 * 10**9


class Cluster:
    """A catalogue of one node, and what was said."""

    def __init__(self, folder: Path, storage: MemoryStorage) -> None:
        self.folder = folder
        self.storage = storage
        self.dag = DagIndex(storage)
        self.ingest = Ingest(storage, self.dag)
        self.catalogue: dict[Root, Source] = {}
        self.holdings: dict[Root, Holding] = {}
        self.log: list[str] = []
        self.refuse = False
        self.now_ns = time.time_ns() + LATER
        """Everything was written long ago, unless a test says otherwise."""

    async def publish(self, source: Source, holding: Holding) -> None:
        if self.refuse:
            raise RefusedError("its record cannot be made durable")
        self.catalogue[source.root], self.holdings[source.root] = source, holding
        self.log.append(f"+{source.name}")

    async def withdraw(self, root: Root) -> None:
        self.log.append(f"-{self.catalogue.pop(root).name}")

    async def relocated(self, root: Root, holding: Holding) -> None:
        self.holdings[root] = holding

    def say(self, level: str, text: str) -> None:
        self.log.append(f"{level}: {text}")

    def seeder(self) -> Seeder:
        parts = SeederParts(
            self.storage,
            self.dag,
            self.ingest,
            self.catalogue.get,
            self.publish,
            self.withdraw,
            self.relocated,
            self.say,
            copies=3,
        )
        return Seeder(self.folder, parts, lambda: self.now_ns)

    async def started(self) -> Seeder:
        """As after a start, without the background."""
        made = self.seeder()
        await made._book.load()
        return made

    def names(self) -> dict[str, int]:
        return {source.name: source.size_bytes for source in self.catalogue.values()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "sources"
    made.mkdir()
    (made / "film").write_bytes(content("film", 3_000_000))
    (made / "album").mkdir()
    (made / "album" / "one").write_bytes(content("one", 10_000))
    (made / "album" / "two").write_bytes(b"")
    (made / ".hidden").write_text("no")
    return made


@pytest.fixture
async def storage() -> MemoryStorage:
    made = MemoryStorage(GIB)
    await made.open(lambda keys: None)
    return made


@pytest.fixture
def cluster(folder: Path, storage: MemoryStorage) -> Iterator[Cluster]:
    made = Cluster(folder, storage)
    yield made
    made.ingest.close()


async def test_every_entry_becomes_a_source_by_reference(cluster: Cluster, storage: MemoryStorage) -> None:
    assert not await (await cluster.started()).look(full=True)
    assert cluster.names() == {"film": 3_000_000, "album": 10_000}
    film = next(source for source in cluster.catalogue.values() if source.name == "film")
    assert film.copies == 3
    assert len(cluster.holdings[film.root].linked) == film.leaf_count
    assert storage.usage().used_bytes < 10_000, "the content was not copied"


async def test_what_was_seeded_before_is_not_added_again_after_a_restart(cluster: Cluster) -> None:
    await (await cluster.started()).look(full=True)
    cluster.log.clear()
    again = await cluster.started()
    await again.look(full=True)
    await again.look(full=False)
    assert cluster.log == []


async def test_a_changed_entry_is_published_before_its_old_content_is_withdrawn(cluster: Cluster, folder: Path) -> None:
    seeder = await cluster.started()
    await seeder.look(full=True)
    cluster.log.clear()
    (folder / "film").write_bytes(content("remake", 2_000_000))
    await seeder.look(full=False)
    assert cluster.log == ["+film", "info: film has changed; what it was before is withdrawn", "-film"]
    assert cluster.names() == {"film": 2_000_000, "album": 10_000}


async def test_a_change_inside_a_folder_is_seen(cluster: Cluster, folder: Path) -> None:
    seeder = await cluster.started()
    await seeder.look(full=True)
    (folder / "album" / "three").write_bytes(b"3")
    (folder / "album" / ".hidden").write_bytes(b"4")
    await seeder.look(full=False)
    assert cluster.names() == {"film": 3_000_000, "album": 10_001}


async def test_a_touched_file_with_the_same_content_stays_one_source(cluster: Cluster, folder: Path) -> None:
    seeder = await cluster.started()
    await seeder.look(full=True)
    cluster.log.clear()
    os.utime(folder / "film", ns=(1, 1))
    await seeder.look(full=False)
    assert cluster.log == ["+film"]
    film = next(source for source in cluster.catalogue.values() if source.name == "film")
    assert len((await cluster.dag.locate(film)).linked) == film.leaf_count


async def test_an_entry_that_is_gone_is_retracted_but_stays_in_the_catalogue(
    cluster: Cluster, folder: Path, storage: MemoryStorage
) -> None:
    """An unmounted disk must not empty the cluster."""
    seeder = await cluster.started()
    await seeder.look(full=True)
    cluster.log.clear()
    (folder / "film").unlink()
    await seeder.look(full=False)
    assert "film" in cluster.names()
    (said,) = cluster.log
    assert "film is gone from the sources folder and is no longer offered from here" in said
    assert "ralnode rm film" in said
    film = next(source for source in cluster.catalogue.values() if source.name == "film")
    assert cluster.holdings[film.root] == Holding(has_interior=True)
    assert Held.LINKED not in await storage.held(list(await cluster.dag.leaf_keys(film)))
    cluster.log.clear()
    (folder / "film").write_bytes(content("film", 3_000_000))
    await seeder.look(full=False)
    assert cluster.log == ["+film"]
    assert len((await cluster.dag.locate(film)).linked) == film.leaf_count


async def test_own_copies_survive_when_the_file_goes(cluster: Cluster, folder: Path, storage: MemoryStorage) -> None:
    seeder = await cluster.started()
    await seeder.look(full=True)
    film = next(source for source in cluster.catalogue.values() if source.name == "film")
    key = (await cluster.dag.leaf_keys(film))[0]
    data = await storage.get(key)
    assert data is not None
    await storage.put([Block(key, data)])
    (folder / "film").unlink()
    await seeder.look(full=False)
    assert await storage.get(key) == data


async def test_a_renamed_entry_goes_on_being_offered(cluster: Cluster, folder: Path) -> None:
    seeder = await cluster.started()
    await seeder.look(full=True)
    cluster.log.clear()
    (folder / "film").rename(folder / "movie")
    await seeder.look(full=False)
    assert cluster.log == ["+movie"]
    assert set(cluster.names()) == {"movie", "album"}
    movie = next(source for source in cluster.catalogue.values() if source.name == "movie")
    assert len((await cluster.dag.locate(movie)).linked) == movie.leaf_count


async def test_a_missing_folder_changes_nothing(cluster: Cluster, folder: Path) -> None:
    seeder = await cluster.started()
    await seeder.look(full=True)
    cluster.log.clear()
    folder.rename(folder.with_name("away"))
    await seeder.look(full=True)
    await seeder.look(full=True)
    assert len(cluster.names()) == 2
    (said,) = cluster.log
    assert "No such file or directory. What was seeded stays" in said
    folder.with_name("away").rename(folder)
    await seeder.look(full=True)
    assert len(cluster.log) == 1


async def test_what_the_user_has_removed_is_not_published_again_until_it_changes(
    cluster: Cluster, folder: Path
) -> None:
    seeder = await cluster.started()
    await seeder.look(full=True)
    film = next(root for root, source in cluster.catalogue.items() if source.name == "film")
    del cluster.catalogue[film]
    await seeder.look(full=True)
    await (await cluster.started()).look(full=True)
    assert set(cluster.names()) == {"album"}
    (folder / "film").write_bytes(content("director's cut", 4_000_000))
    await seeder.look(full=False)
    assert cluster.names() == {"film": 4_000_000, "album": 10_000}


async def test_a_fresh_file_is_left_to_grow_until_two_looks_agree(cluster: Cluster, folder: Path) -> None:
    cluster.now_ns = time.time_ns()
    seeder = await cluster.started()
    assert await seeder.look(full=True)
    assert cluster.names() == {}
    (folder / "film").write_bytes(content("film", 4_000_000))
    assert await seeder.look(full=True), "still growing"
    assert cluster.names() == {"album": 10_000}
    assert not await seeder.look(full=True)
    assert cluster.names() == {"album": 10_000, "film": 4_000_000}


async def test_what_cannot_be_added_is_said_once_and_tried_again_later(cluster: Cluster, folder: Path) -> None:
    os.mkfifo(folder / "album" / "pipe")
    cluster.refuse = True
    seeder = await cluster.started()
    for full in (True, False, True, False):
        await seeder.look(full=full)
    assert [line.partition(": cannot seed ")[2].partition(":")[0] for line in cluster.log] == ["album", "film"]
    (folder / "album" / "pipe").unlink()
    cluster.refuse = False
    await seeder.look(full=True)
    assert set(cluster.names()) == {"film", "album"}


async def test_two_entries_with_one_content_are_one_source_until_both_are_gone(cluster: Cluster, folder: Path) -> None:
    (folder / "zz-copy").write_bytes(content("film", 3_000_000))
    seeder = await cluster.started()
    await seeder.look(full=True)
    assert len(cluster.catalogue) == 2
    (folder / "zz-copy").unlink()
    await seeder.look(full=False)
    film = next(source for source in cluster.catalogue.values() if source.size_bytes == 3_000_000)
    await seeder.look(full=True)
    assert len((await cluster.dag.locate(film)).linked) == film.leaf_count


async def test_lost_references_are_made_again_at_a_full_look(cluster: Cluster, storage: MemoryStorage) -> None:
    seeder = await cluster.started()
    await seeder.look(full=True)
    film = next(source for source in cluster.catalogue.values() if source.name == "film")
    await storage.delete([(await cluster.dag.leaf_keys(film))[1]])
    await seeder.look(full=False)
    assert len((await cluster.dag.locate(film)).linked) == film.leaf_count - 1
    await seeder.look(full=True)
    assert len((await cluster.dag.locate(film)).linked) == film.leaf_count


async def test_names_of_any_bytes_become_names_that_can_be_told(cluster: Cluster, folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9")).write_bytes(b"x")
    (folder / "日本").write_bytes(b"y")
    await (await cluster.started()).look(full=True)
    assert {"film", "album", "日本"} <= set(cluster.names())
    # Either it is offered, or the owner is told: what ingest makes of such a name is its own business.
    assert "caf\ufffd" in cluster.names() or any("cannot seed caf\ufffd: " in line for line in cluster.log)
    assert all(line.isprintable() for line in cluster.log)


async def test_one_odd_entry_does_not_keep_the_others_from_being_seeded(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    adds = cluster.ingest.add_path

    async def add_path(path: Path, *rest: Any) -> Any:
        if path.name == "album":
            raise ZeroDivisionError
        return await adds(path, *rest)

    monkeypatch.setattr(cluster.ingest, "add_path", add_path)
    seeder = await cluster.started()
    await seeder.look(full=True)
    await seeder.look(full=True)
    assert set(cluster.names()) == {"film"}
    assert cluster.log == ["warning: cannot seed album: this is a fault of ralnode: ZeroDivisionError()", "+film"]


async def test_changes_are_noticed_while_it_runs(
    cluster: Cluster, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SETTLE_SECONDS", 0.05)
    monkeypatch.setattr(module, "WATCH_STEP_MS", 20)
    began = time.monotonic()
    async with cluster.seeder(), asyncio.timeout(20):
        while len(cluster.catalogue) < 2:
            await asyncio.sleep(0.01)
        (folder / "late").write_bytes(b"late")
        while len(cluster.catalogue) < 3:
            await asyncio.sleep(0.01)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 4.0, "the watching thread must not hold up a stop"
    assert cid.to_text(next(iter(cluster.catalogue)))
    assert time.monotonic() - began < 20
