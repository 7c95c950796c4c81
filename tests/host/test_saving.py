"""State becomes durable in order, and what had to wait for it goes on in order."""

import asyncio
from collections.abc import Sequence

import pytest

from ralnode.api import StorageError, StorageFullError
from ralnode.api.limits import MIB
from ralnode.core.events import Effect, ReplySync, Report, SaveState, SourceSettled
from ralnode.host import saving as module
from ralnode.host.saving import Saver
from ralnode.testing.memory_storage import MemoryStorage


class SlowStorage(MemoryStorage):
    """Every save waits until it is let through."""

    def __init__(self) -> None:
        super().__init__(MIB)
        self.saves: list[dict[bytes, bytes | None]] = []
        self.go = asyncio.Semaphore(0)
        self.error: StorageError | None = None

    async def save_state(self, items: dict[bytes, bytes | None]) -> None:  # type: ignore[override]
        await self.go.acquire()
        if self.error is not None:
            raise self.error
        await super().save_state(items)
        self.saves.append(dict(items))


class Bench:
    def __init__(self, storage: MemoryStorage) -> None:
        self.said: list[str] = []
        self.carried: list[Effect] = []
        self.saver = Saver(storage, lambda _level, text: self.said.append(text), retry_seconds=0.01)
        self.task = asyncio.create_task(self.saver.run(self.carry))

    def carry(self, effects: Sequence[Effect]) -> None:
        self.carried += effects

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


@pytest.fixture
async def storage() -> SlowStorage:
    made = SlowStorage()
    await made.open(lambda keys: None)
    return made


def reports(*numbers: int) -> tuple[Effect, ...]:
    return tuple(Report("info", str(number)) for number in numbers)


async def test_what_waits_goes_on_only_after_the_save_is_durable(storage: SlowStorage) -> None:
    bench = Bench(storage)
    bench.saver.save(SaveState({b"a": b"1"}, reports(1, 2)))
    await bench.settle()
    assert bench.carried == []
    storage.go.release()
    await bench.saver.flush()
    assert bench.carried == list(reports(1, 2))
    assert await storage.load_state(b"") == {b"a": b"1"}
    bench.task.cancel()


async def test_saves_that_come_meanwhile_are_joined_and_the_last_value_wins(storage: SlowStorage) -> None:
    bench = Bench(storage)
    bench.saver.save(SaveState({b"a": b"1"}, reports(1)))
    await bench.settle()
    bench.saver.save(SaveState({b"a": b"2", b"b": b"2"}, reports(2)))
    bench.saver.save(SaveState({b"a": b"3", b"b": None}, reports(3)))
    storage.go.release()
    storage.go.release()
    await bench.saver.flush()
    assert storage.saves == [{b"a": b"1"}, {b"a": b"3", b"b": None}]
    assert bench.carried == list(reports(1, 2, 3))
    bench.task.cancel()


async def test_bodies_for_peers_wait_behind_the_saves_asked_for_before_them(storage: SlowStorage) -> None:
    bench = Bench(storage)
    body = ReplySync(1, b"x")
    assert not bench.saver.must_wait(body)
    bench.saver.save(SaveState({b"a": b"1"}, reports(1)))
    assert bench.saver.must_wait(body)
    await bench.settle()
    assert bench.saver.must_wait(ReplySync(2, b"y"))
    storage.go.release()
    await bench.saver.flush()
    assert bench.carried == [*reports(1), body, ReplySync(2, b"y")]
    assert not bench.saver.must_wait(body)
    bench.task.cancel()


@pytest.mark.parametrize("read_only", [True, False])
async def test_a_disk_that_takes_nothing_is_a_state_and_is_tried_again(storage: SlowStorage, read_only: bool) -> None:
    storage.error = StorageError("fsync failed") if read_only else StorageFullError("no room")
    storage.faults.read_only_reason = "fsync failed" if read_only else ""
    bench = Bench(storage)
    bench.saver.save(SaveState({b"a": b"1", b"b": b"1"}, (SourceSettled(b"root"), *reports(1))))
    storage.go.release()
    await bench.saver.flush()
    settled, report = bench.carried
    assert isinstance(settled, SourceSettled)
    assert "cannot be made durable" in settled.refusal
    assert report == reports(1)[0]
    assert not bench.saver.must_wait(ReplySync(1, b"x")), "peers are answered all the same"
    storage.error, storage.faults.read_only_reason = None, ""
    bench.saver.save(SaveState({b"b": b"2"}))
    for _ in range(5):
        storage.go.release()
    async with asyncio.timeout(30):
        while await storage.load_state(b"") != {b"a": b"1", b"b": b"2"}:
            await asyncio.sleep(0.005)
    assert len([text for text in bench.said if "cannot be saved" in text]) == 1
    assert bench.said[-1] == "state can be saved again"
    bench.task.cancel()


async def test_any_other_failure_of_the_store_ends_the_service(storage: SlowStorage) -> None:
    storage.error = StorageError("the index is damaged")
    bench = Bench(storage)
    bench.saver.save(SaveState({b"a": b"1"}, reports(1)))
    storage.go.release()
    with pytest.raises(StorageError, match="the index is damaged"):
        await bench.task
    assert bench.carried == []


async def test_a_backlog_is_told(storage: SlowStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAVE_BACKLOG_MAX", 3)
    bench = Bench(storage)
    bench.saver.save(SaveState({b"a": b"1"}, reports(1, 2, 3)))
    assert not bench.saver.is_overdue
    bench.saver.save(SaveState({b"a": b"1"}, reports(4)))
    assert bench.saver.is_overdue
    bench.task.cancel()
