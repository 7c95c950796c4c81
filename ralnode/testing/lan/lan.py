"""`Lan`: N machines with a network of their own on this one machine, whose cables can be pulled. Needs no root where
unprivileged user namespaces are allowed; knows nothing of ralnode.

    with Lan(3) as lan:
        pid = lan.spawn(1, [sys.executable, "server.py"], {"PORT": "80"}, tmp_path / "server.log")
        lan.link(1, up=False)
        lan.kill(pid)

The switch runs in a process of its own: a switch that shared the event loop of a test would freeze with it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar

T = TypeVar("T")

DAEMON: Final = "ralnode.testing.lan.daemon"
STOP_SECONDS: Final = 5.0
MACHINES_MAX: Final = 200
"""Addresses end in 254."""


class LanUnavailableError(Exception):
    """This machine does not allow network namespaces; the text says why."""


class Lan:
    """Machines are numbered from 1 and have the address `10.77.0.<number>`; all can reach all."""

    def __init__(
        self, count: int, seed: int = 0, unshare: Sequence[str] = ("unshare",), *, folder: Path | None = None
    ) -> None:
        """`folder` is removed, with all that is in it, when the LAN ends, even if this process is killed. Raises
        LanUnavailableError."""
        if not 1 <= count <= MACHINES_MAX:
            raise LanUnavailableError(f"{count} machines: from 1 to {MACHINES_MAX} fit into this LAN")
        spaces = "-n" if os.geteuid() == 0 else "-Urn"
        argv = [*unshare, spaces, "--kill-child", "-pf", "--mount-proc", sys.executable, "-m", DAEMON]
        pipe = subprocess.PIPE
        try:
            self._daemon = subprocess.Popen(
                [*argv, str(count), str(seed), str(folder or "")],
                stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise LanUnavailableError(f"{error.filename} is not installed") from error
        try:
            self._read_answer()
        except RuntimeError as error:
            self.close()
            raise LanUnavailableError(str(error)) from error

    @staticmethod
    def address(number: int) -> str:
        return f"10.77.0.{number}"

    @staticmethod
    def until(condition: Callable[[], T], timeout_seconds: float, what: str) -> T:
        """The first true value of `condition()`. Raises TimeoutError naming `what`."""
        deadline = time.monotonic() + timeout_seconds
        while not (value := condition()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {timeout_seconds:.0f} s for {what}")
            time.sleep(0.02)
        return value

    # --- processes

    def spawn(
        self, port: int, argv: Sequence[str], env: Mapping[str, str] | None = None, out: Path | None = None
    ) -> int:
        """Starts a program on that machine with `env` added to ours; its output is appended to `out`. Returns its pid."""
        return int(self._do("spawn", port=port, argv=list(argv), env=dict(env or {}), out=str(out or os.devnull)))

    def kill(self, pid: int, signal_number: int = signal.SIGKILL) -> None:
        """Sends a signal to a program that was spawned here."""
        self._do("kill", pid=pid, signal_number=int(signal_number))

    def running(self, pid: int) -> bool:
        return self._do("poll", pid=pid) is None

    def wait(self, pid: int, timeout_seconds: float = 30.0) -> int:
        """Its exit code, negative for a signal. Raises TimeoutError."""
        self.until(lambda: not self.running(pid), timeout_seconds, f"process {pid} to end")
        return int(self._do("poll", pid=pid))

    # --- faults

    def link(self, port: int, *, up: bool) -> None:
        """Pulls or plugs the cable of a machine."""
        self._do("set", port=port, up=up)

    def cut(self, a: int, b: int, *, both: bool = True) -> None:
        """Nothing passes from a to b (nor back, unless `both` is False)."""
        self._do("cut", a=a, b=b, both=both)

    def split(self, here: Sequence[int], there: Sequence[int]) -> None:
        """Nothing passes between the machines of one side and those of the other."""
        for a in here:
            for b in there:
                self.cut(a, b)

    def heal(self) -> None:
        """Ends all cuts and plugs all cables; loss and delay stay."""
        self._do("heal")

    def mend(self, port: int) -> None:
        """Ends everything that is wrong with a machine's cable: cuts, loss, delay."""
        self._do("mend", port=port)

    def loss(self, port: int, share: float) -> None:
        """That share of all frames to and from the machine is lost."""
        self._do("set", port=port, loss=share)

    def delay(self, port: int, seconds: float, jitter_seconds: float = 0.0) -> None:
        """Every frame to or from the machine takes longer by that, and by up to `jitter_seconds` more."""
        self._do("set", port=port, delay=seconds, jitter=jitter_seconds)

    def faults(self, port: int) -> dict[str, Any]:
        """`up`, `loss`, `delay`, `jitter` of a machine's cable, and `cut_from`, the machines it cannot send to."""
        return dict(self._do("faults", port=port))

    def stats(self) -> dict[str, int]:
        """Frames forwarded, lost and cut so far."""
        found = self._do("stats")
        return {name: found.get(name, 0) for name in ("forwarded", "lost", "cut", "refused")}

    # --- end

    def close(self) -> None:
        """Ends every program and takes the network down."""
        for stream in (self._daemon.stdin, self._daemon.stdout, self._daemon.stderr):
            if stream is not None:
                stream.close()
        try:
            self._daemon.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            self._daemon.wait()

    def __enter__(self) -> Lan:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- wire

    def _do(self, command: str, **arguments: Any) -> Any:
        assert self._daemon.stdin is not None
        try:
            self._daemon.stdin.write(json.dumps({"do": command, **arguments}) + "\n")
            self._daemon.stdin.flush()
        except BrokenPipeError as error:
            raise RuntimeError("the LAN has ended") from error
        return self._read_answer()

    def _read_answer(self) -> Any:
        assert self._daemon.stdout is not None
        assert self._daemon.stderr is not None
        line = self._daemon.stdout.readline()
        if not line:
            raise RuntimeError(self._daemon.stderr.read().strip() or "the LAN has ended")
        answer = json.loads(line)
        if not answer["ok"]:
            raise RuntimeError(answer["error"])
        return answer["result"]
