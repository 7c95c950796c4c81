"""Makes the namespaces and their cables. Each machine has `eth0` (10.77.0.N), the other end of a veth pair whose near end `pN` the
switch reads and writes as raw frames. Needs CAP_NET_ADMIN in a network namespace of its own.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ralnode.testing.lan.switch import Port

ETH_P_ALL: Final = 3
SOL_PACKET: Final = 263
PACKET_VNET_HDR: Final = 15
PACKET_IGNORE_OUTGOING: Final = 23
PACKET_ADD_MEMBERSHIP: Final = 1
PACKET_MR_PROMISC: Final = 1


def make_ports(count: int) -> dict[int, Port]:
    """Raises OSError."""
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
    _wire(ports)
    return ports


def _wire(ports: dict[int, Port]) -> None:
    lines = ["link set lo up"]
    for number, port in ports.items():
        lines += [f"link add p{number} type veth peer name eth0 netns {port.holder.pid}", f"link set p{number} up"]
    _batch([], lines)
    for number, port in ports.items():
        quiet = Path(f"/proc/sys/net/ipv6/conf/p{number}/disable_ipv6")
        if os.access(quiet, os.W_OK):
            quiet.write_text("1")
        _batch(
            ["nsenter", f"--net={port.namespace}", "--"],
            [
                "link set lo up",
                f"link set eth0 address 02:00:00:00:{number >> 8:02x}:{number & 255:02x}",
                f"addr add 10.77.0.{number}/24 brd + dev eth0",
                "link set eth0 up",
            ],
        )
        port.socket = _open_port(f"p{number}")


def _batch(prefix: Sequence[str], lines: Sequence[str]) -> None:
    text = "\n".join(lines) + "\n"
    done = subprocess.run([*prefix, "ip", "-batch", "-"], input=text, text=True, capture_output=True, check=False)
    if done.returncode:
        raise OSError(f"ip failed: {done.stderr.strip()}")


def _open_port(name: str) -> socket.socket:
    port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(ETH_P_ALL))
    port.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    port.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    port.bind((name, ETH_P_ALL))
    request = socket.if_nametoindex(name).to_bytes(4, sys.byteorder) + PACKET_MR_PROMISC.to_bytes(2, sys.byteorder)
    port.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, request + bytes(10))
    port.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    return port
