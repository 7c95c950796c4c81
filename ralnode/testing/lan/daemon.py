"""A LAN in one process, started by lan.py: `python -m ralnode.testing.lan.daemon COUNT SEED [FOLDER]`.

Runs as process 1 of its own PID and network namespace (`unshare -n|-Urn --kill-child -pf --mount-proc`), reads one JSON command
per line from stdin and answers each with one line. When stdin ends, whoever started it is gone: it ends every process, removes
FOLDER, and with process 1 the kernel takes down every namespace and cable.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from ralnode.testing.lan.switch import Port, Switch
from ralnode.testing.lan.wiring import make_ports


class Daemon:
    """One method per command; the keys of the command are its arguments."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def answer(self, line: str) -> dict[str, Any]:
        command = json.loads(line)
        try:
            return {"ok": True, "result": getattr(self, "do_" + command.pop("do"))(**command)}
        except Exception as error:
            return {"ok": False, "error": f"{type(error).__name__}: {error}"}

    def do_set(self, port: int, **changes: float | bool) -> None:
        for name, value in changes.items():
            if name not in ("up", "loss", "delay", "jitter"):
                raise ValueError(f"a port has no {name}")
            setattr(self._port(port), name, value)

    def do_cut(self, a: int, b: int, both: bool) -> None:
        self._port(a), self._port(b)
        self._switch.cuts |= {(a, b), (b, a)} if both else {(a, b)}

    def do_heal(self) -> None:
        self._switch.cuts.clear()
        for port in self._switch.ports.values():
            port.up = True

    def do_mend(self, port: int) -> None:
        self._port(port).mend()
        self._switch.cuts = {cut for cut in self._switch.cuts if port not in cut}

    def do_faults(self, port: int) -> dict[str, Any]:
        found = self._port(port)
        cut_from = sorted({b for a, b in self._switch.cuts if a == port})
        return {"up": found.up, "loss": found.loss, "delay": found.delay, "jitter": found.jitter, "cut_from": cut_from}

    def do_stats(self) -> dict[str, int]:
        return dict(self._switch.stats)

    def do_spawn(self, port: int, argv: list[str], env: dict[str, str], out: str) -> int:
        enter = ["nsenter", f"--net={self._port(port).namespace}", "--"]
        with Path(out).open("ab") as sink:
            process = subprocess.Popen(
                [*enter, *argv], stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env={**os.environ, **env}
            )
        self._processes[process.pid] = process
        return process.pid

    def do_kill(self, pid: int, signal_number: int) -> None:
        self._processes[pid].send_signal(signal_number)

    def do_poll(self, pid: int) -> int | None:
        return self._processes[pid].poll()

    def _port(self, number: int) -> Port:
        if number not in self._switch.ports:
            raise ValueError(f"there is no machine {number}")
        return self._switch.ports[number]


async def serve(count: int, seed: int) -> None:
    switch = Switch(make_ports(count), seed)
    loop = asyncio.get_running_loop()
    switch.attach(loop)
    daemon = Daemon(switch)
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    say({"ok": True, "result": None})
    while line := await commands.readline():
        say(daemon.answer(line.decode()))


def say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def sweep(folder: str) -> None:
    """Ends every process of this PID namespace, so that none writes any more, and removes the folder."""
    if os.getpid() == 1:  # else -1 would be everybody
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.wait()
    shutil.rmtree(folder, ignore_errors=True)


def main(count: str, seed: str, folder: str = "") -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        asyncio.run(serve(int(count), int(seed)))
    except BrokenPipeError:
        pass
    except OSError as failure:
        say({"ok": False, "error": str(failure)})
    finally:
        if folder:
            sweep(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
