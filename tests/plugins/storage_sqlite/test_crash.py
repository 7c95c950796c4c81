"""kill -9 at any instant: nothing that was acknowledged is missing or wrong, and the next start needs no help.

And a power cut: what was not synced is gone with it. An ext4 on a loop device (root only) is shut down without flushing.

`RALNODE_CRASH_ROUNDS=1000` and `RALNODE_POWER_ROUNDS=50` for more rounds, `RALNODE_CRASH_SEED` to see one again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import select
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import util
from pathlib import Path
from typing import Any

import pytest

from ralnode.api import Held

ROUNDS = int(os.environ.get("RALNODE_CRASH_ROUNDS", "100"))
POWER_ROUNDS = int(os.environ.get("RALNODE_POWER_ROUNDS", "3"))
FS_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = struct.pack("I", 2)
SEED = int(os.environ.get("RALNODE_CRASH_SEED", "1"))
ROUNDS_PER_STORE = 10
KILL_SECONDS_MAX = 0.15
SCRIPT = Path(__file__).with_name("crash_child.py")


def load_child() -> Any:
    spec = util.spec_from_file_location("crash_child", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


child = load_child()


@dataclass
class Truth:
    """What the store must hold. A change begun and not acknowledged leaves its numbers open."""

    held: dict[int, bool] = field(default_factory=dict)
    open: set[int] = field(default_factory=set)
    saved: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    begun: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    acknowledged_count: int = 0

    def read(self, line: str) -> None:
        sign, what, *words = line.split()
        numbers = [int(word) for word in words]
        if what == "save":
            (self.saved if sign == "!" else self.begun)[numbers[0]] = numbers[1]
        elif sign == "?":
            self.open |= set(numbers)
        else:
            self.open -= set(numbers)
            self.held |= dict.fromkeys(numbers, what == "put")
        self.acknowledged_count += sign == "!"

    def settle(self, number: int, is_held: bool) -> None:
        """What was open is now known."""
        self.held[number] = is_held
        self.open.discard(number)


class Victims:
    """The process that forks the children that we kill."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self.rest = b""

    def run_and_kill(
        self, folder: Path, seed: int, seconds: float, since: str = "ready", cut: Callable[[], None] = lambda: None
    ) -> list[str]:
        """Everything the child said until it was killed, `seconds` after its first word `since` (`child`, `ready`)."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{folder} {seed}\n".encode())
        lines: list[str] = []
        deadline: float | None = None
        is_killed = False
        while "END" not in lines:
            waited = 10.0 if deadline is None or is_killed else max(0.0, deadline - time.monotonic())
            lines += self._read(waited)
            if deadline is None and any(line.startswith(since) for line in lines):
                deadline = time.monotonic() + seconds
            if deadline is not None and not is_killed and time.monotonic() >= deadline:
                cut()
                self._kill(lines)
                is_killed = True
        return [line for line in lines if line[0] in "?!l"]

    @staticmethod
    def _kill(lines: list[str]) -> None:
        pid = int(next(line for line in lines if line.startswith("child")).split()[1])
        with contextlib.suppress(ProcessLookupError):  # it may have died of its failing disk
            os.kill(pid, signal.SIGKILL)

    def _read(self, timeout_seconds: float) -> list[str]:
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], timeout_seconds)[0]:
            return []
        *lines, self.rest = (self.rest + os.read(self.process.stdout.fileno(), 1 << 16)).split(b"\n")
        return [line.decode() for line in lines]

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def victims() -> Iterator[Victims]:
    these = Victims()
    yield these
    these.close()


async def check(folder: Path, truth: Truth, say: Callable[[str], str]) -> None:
    """Opens the store as the next start would and compares it with what was acknowledged."""
    lost: list[bytes] = []
    store = child.make_store(folder)
    await store.open(lost.extend)
    try:
        numbers = sorted(truth.held.keys() | truth.open)
        blocks = [child.make_block(number) for number in numbers]
        found = await store.get_many([block.key for block in blocks])
        kinds = await store.held([block.key for block in blocks])
        for number, block, data, kind in zip(numbers, blocks, found, kinds, strict=True):
            assert data in (None, block.data), say(f"block {number} is wrong")
            assert (kind is Held.OWNED) == (data is not None), say(f"block {number} is half there")
            if number not in truth.open:
                assert truth.held[number] == (data is not None), say(f"block {number} is {kind}")
            truth.settle(number, data is not None)
        for lane, saved in truth.saved.items():
            value = int((await store.load_state(b"lane/%d" % lane)).get(b"lane/%d" % lane, b"0"))
            assert value in (saved, truth.begun[lane]), say(f"state {lane} is {value}, was {saved}")
        assert not lost, say("blocks were lost")
        assert store.usage().block_count == sum(truth.held.values()), say("the count is wrong")
    finally:
        await store.close()


@pytest.mark.timeout(120 + 2 * ROUNDS)
async def test_no_acknowledged_change_is_missing_after_kill_9(tmp_path: Path, victims: Victims) -> None:
    acknowledged_count = 0
    truth, folder = Truth(), tmp_path / "0"
    for number in range(ROUNDS):
        if number % ROUNDS_PER_STORE == 0:
            shutil.rmtree(folder, ignore_errors=True)
            acknowledged_count += truth.acknowledged_count
            truth, folder = Truth(), tmp_path / str(number)
        seed = SEED + number
        seconds = random.Random(seed).uniform(0, KILL_SECONDS_MAX)
        truth.saved.clear()
        truth.begun.clear()
        lines = victims.run_and_kill(folder, seed, seconds, "child" if number % 3 else "ready")
        for line in lines:
            assert not line.startswith("lost"), f"round {number}: the child lost blocks (RALNODE_CRASH_SEED={SEED})"
            truth.read(line)
        await check(folder, truth, lambda what, n=number: f"round {n} (RALNODE_CRASH_SEED={SEED}): {what}")
    acknowledged_count += truth.acknowledged_count
    assert acknowledged_count > ROUNDS, "the children were killed before they did anything"


# --- power cut


class Machine:
    """A disk that can lose its power."""

    def __init__(self, image: Path, folder: Path) -> None:
        self._image = image
        self.folder = folder

    def plug_in(self) -> None:
        subprocess.run(["mount", "-o", "loop", self._image, self.folder], check=True, capture_output=True)

    def cut_power(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, FS_IOC_SHUTDOWN, NO_LOG_FLUSH)
        finally:
            os.close(descriptor)

    def unplug(self) -> None:
        """Returns once the kernel has let go of the image too: mounted before that, it gets the loop device that is going."""
        subprocess.run(["umount", self.folder], check=True, capture_output=True)
        deadline = time.monotonic() + 10
        while subprocess.run(["losetup", "-j", self._image], check=True, capture_output=True).stdout:
            assert time.monotonic() < deadline, "the loop device stays"
            time.sleep(0.01)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(256 << 20)
    these = Machine(image, folder)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, capture_output=True)
        these.plug_in()
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"needs root, mkfs.ext4 and a loop device: {error}")
    yield these
    these.unplug()


@pytest.mark.timeout(120 + 5 * POWER_ROUNDS)
async def test_no_acknowledged_change_is_missing_after_a_power_cut(machine: Machine, victims: Victims) -> None:
    truth = Truth()
    for number in range(POWER_ROUNDS):
        seconds = random.Random(SEED + number).uniform(0.05, 0.4)
        truth.saved.clear()
        truth.begun.clear()
        for line in victims.run_and_kill(machine.folder / "store", SEED + number, seconds, cut=machine.cut_power):
            assert not line.startswith("lost"), line
            truth.read(line)
        machine.unplug()
        machine.plug_in()
        await check(machine.folder / "store", truth, lambda what, n=number: f"round {n}: {what}")
    assert truth.acknowledged_count > POWER_ROUNDS
