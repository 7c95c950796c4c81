"""A LAN in one process: N network namespaces joined by a switch in user space. Started by lab.py, knows nothing of ralnode.

Runs as process 1 of its own PID and network namespace (`unshare -n|-Urn --kill-child -pf --mount-proc`), reads one JSON command per
line from stdin and answers each with one line. When stdin ends, whoever started it is gone: it exits, and with process 1
the kernel ends every process in it and takes down every namespace and link.

Each namespace has `eth0` (10.77.0.N), the other end of a veth pair whose near end `pN` is read and written here as raw frames. The
frames keep their virtio header, so checksums and segments that the kernel has not finished stay valid.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_VNET_HDR = 15
PACKET_IGNORE_OUTGOING = 23
PACKET_ADD_MEMBERSHIP = 1
PACKET_MR_PROMISC = 1
VNET_HEADER_BYTES = 10
FRAME_BYTES_MAX = 70_000
FRAMES_PER_TURN = 64


@dataclass
class Port:
    """One socket of the switch and the machine behind it."""

    number: int
    holder: subprocess.Popen[bytes]
    """Keeps the namespace alive."""
    up: bool = True
    loss: float = 0.0
    delay: float = 0.0
    jitter: float = 0.0
    socket: socket.socket = field(init=False)

    @property
    def namespace(self) -> str:
        return f"/proc/{self.holder.pid}/ns/net"


class Switch:
    """Learns which MAC is where, floods what it does not know, and spoils frames as told."""

    def __init__(self, ports: dict[int, Port], seed: int) -> None:
        self.ports = ports
        self.cuts: set[tuple[int, int]] = set()
        self.stats: Counter[str] = Counter()
        self._places: dict[bytes, int] = {}
        self._rng = random.Random(seed)

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        for port in self.ports.values():
            loop.add_reader(port.socket, self._readable, port)

    def _readable(self, port: Port) -> None:
        for _ in range(FRAMES_PER_TURN):
            try:
                frame = port.socket.recv(FRAME_BYTES_MAX)
            except OSError:
                return
            self._forward(port, frame)

    def _forward(self, source: Port, frame: bytes) -> None:
        target, sender = frame[VNET_HEADER_BYTES : VNET_HEADER_BYTES + 6], frame[VNET_HEADER_BYTES + 6 :][:6]
        if not source.up:
            self.stats["cut"] += 1
            return
        self._places[sender] = source.number
        is_group = bool(target[0] & 1)
        place = None if is_group else self._places.get(target)
        for port in [self.ports[place]] if place is not None else list(self.ports.values()):
            if port is not source:
                self._send(source, port, frame)

    def _send(self, source: Port, port: Port, frame: bytes) -> None:
        if not port.up or (source.number, port.number) in self.cuts:
            self.stats["cut"] += 1
        elif self._rng.random() < 1 - (1 - source.loss) * (1 - port.loss):
            self.stats["lost"] += 1
        else:
            self.stats["forwarded"] += 1
            jitter = source.jitter + port.jitter
            delay = source.delay + port.delay + (self._rng.random() * jitter if jitter else 0)
            if delay:
                self._loop.call_later(delay, self._write, port, frame)
            else:
                self._write(port, frame)

    def _write(self, port: Port, frame: bytes) -> None:
        try:
            port.socket.send(frame)
        except OSError:
            self.stats["refused"] += 1


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
            setattr(self._switch.ports[port], name, value)

    def do_cut(self, a: int, b: int, both: bool) -> None:
        self._switch.cuts |= {(a, b), (b, a)} if both else {(a, b)}

    def do_heal(self) -> None:
        self._switch.cuts.clear()
        for port in self._switch.ports.values():
            port.up = True

    def do_stats(self) -> dict[str, int]:
        return dict(self._switch.stats)

    def do_spawn(self, port: int, argv: list[str], env: dict[str, str], out: str) -> int:
        enter = ["nsenter", f"--net={self._switch.ports[port].namespace}", "--"]
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


# --- building -------------------------------------------------------------------------------------------------------


def make_ports(count: int) -> dict[int, Port]:
    own = Path("/proc/self/ns/net").readlink()
    ports = {}
    for number in range(1, count + 1):
        holder = subprocess.Popen(["unshare", "-n", "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        ports[number] = Port(number, holder)
    for port in ports.values():
        while Path(port.namespace).readlink() == own:
            if port.holder.poll() is not None:
                raise OSError("unshare -n failed")
            os.sched_yield()
    wire(ports)
    return ports


def wire(ports: dict[int, Port]) -> None:
    lines = ["link set lo up"]
    for number, port in ports.items():
        lines += [f"link add p{number} type veth peer name eth0 netns {port.holder.pid}", f"link set p{number} up"]
    batch([], lines)
    for number, port in ports.items():
        quiet = Path(f"/proc/sys/net/ipv6/conf/p{number}/disable_ipv6")
        if os.access(quiet, os.W_OK):
            quiet.write_text("1")
        batch(
            ["nsenter", f"--net={port.namespace}", "--"],
            [
                "link set lo up",
                f"link set eth0 address 02:00:00:00:{number >> 8:02x}:{number & 255:02x}",
                f"addr add 10.77.0.{number}/24 brd + dev eth0",
                "link set eth0 up",
            ],
        )
        port.socket = open_port(f"p{number}")


def batch(prefix: list[str], lines: list[str]) -> None:
    done = subprocess.run([*prefix, "ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True, capture_output=True)
    if done.returncode:
        raise OSError(f"ip failed: {done.stderr.strip()}")


def open_port(name: str) -> socket.socket:
    port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(ETH_P_ALL))
    port.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    port.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    port.bind((name, ETH_P_ALL))
    request = socket.if_nametoindex(name).to_bytes(4, sys.byteorder) + PACKET_MR_PROMISC.to_bytes(2, sys.byteorder)
    port.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, request + bytes(10))
    port.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    return port


async def serve(count: int, seed: int) -> None:
    switch = Switch(make_ports(count), seed)
    loop = asyncio.get_running_loop()
    switch.attach(loop)
    daemon = Daemon(switch)
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    print(json.dumps({"ok": True, "result": None}), flush=True)
    while line := await commands.readline():
        print(json.dumps(daemon.answer(line.decode())), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
    except OSError as failure:
        print(json.dumps({"ok": False, "error": str(failure)}), flush=True)
