"""Ports, multicast, and who of the others is heard."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator, Sequence
from typing import Final

from ralnode.api import Address, ClusterStatus, Liveness
from ralnode.cli.doctor.finding import Finding, Patient, bad, ok, warning
from ralnode.cli.doctor.listeners import Program, holders, named
from ralnode.cli.doctor.peers import identity_of
from ralnode.cli.text import clean, count
from ralnode.host.datadir import LOCK_FILE
from ralnode.host.node_options import NodeOptions

MDNS_GROUP: Final = "224.0.0.251"
DIAL_SECONDS: Final = 1.0
PEERS_DIALLED_MAX: Final = 8


def look(patient: Patient) -> Iterator[Finding]:
    node = patient.config.node
    if patient.status is None:
        yield from ports(node)
    yield multicast(node.listen_host)
    if patient.status is None:
        if identity_of(patient) is None:  # else peers.py dials them, with its certificate
            yield from _known_peers(node)
        yield warning("peers", "no node runs here, so nobody can be heard", "start it: ralnode run")
    else:
        yield from own_listeners(patient.status, node, _pid(patient))
        yield _heard(patient.status)


def ports(node: NodeOptions) -> Iterator[Finding]:
    """Whether the node could bind what it is told to."""
    wanted = (
        (socket.SOCK_STREAM, node.listen_host, node.transport_port, "transport_port", "TCP, for the other nodes"),
        (socket.SOCK_DGRAM, node.listen_host, node.gossip_port, "gossip_port", "UDP, for membership"),
        (socket.SOCK_STREAM, "127.0.0.1", node.page_port, "page_port", "TCP, for the status page"),
    )
    for kind, host, port, option, use in wanted:
        error = bind_error(kind, host, port)
        if error:
            who = named(holders("tcp" if kind == socket.SOCK_STREAM else "udp", port))
            by = f", by {clean(who)}" if who else ""
            yield bad(
                "ports", f"{port} ({use}) cannot be bound: {error}{by}", f"end what uses it, or set [node] {option}"
            )
        else:
            yield ok("ports", f"{port} ({use}) is free")


def own_listeners(status: ClusterStatus, node: NodeOptions, pid: int | None) -> Iterator[Finding]:
    """Whether the running node is reached where it tells the others that it is, and no other program is there instead."""
    me = next(each for each in status.nodes if each.is_me)
    if me.address:
        yield reachable(Address.parse(me.address))
        yield from foreign("tcp", Address.parse(me.address).port, holders("tcp", Address.parse(me.address).port), pid)
    if node.gossip_port:
        yield from foreign("udp", node.gossip_port, holders("udp", node.gossip_port), pid)


def reachable(address: Address) -> Finding:
    """Dials this machine at the address that the others are told."""
    try:
        socket.create_connection(address, DIAL_SECONDS).close()
    except OSError as error:
        return bad(
            "listening", f"the others are told {address}, but nothing can be reached there: {error.strerror or error}",
            "set [node] announce to an address of this machine, or listen_host to 0.0.0.0; look at its firewall",
        )  # fmt: skip
    return ok("listening", f"reached at {address}, as the others are told")


def foreign(kind: str, port: int, programs: Sequence[Program], pid: int | None) -> Iterator[Finding]:
    """Nothing when nobody can be seen there: other users' programs are invisible."""
    others = [each for each in programs if each.pid != pid]
    if pid is not None and others:
        yield bad(
            "listening", f"{clean(named(others))} listens on {kind.upper()} {port}, which is this node's",
            "end that program, or give the node another port",
        )  # fmt: skip


def _pid(patient: Patient) -> int | None:
    """Of the node, from the lock of its data folder."""
    folder = patient.config.node.data_dir
    try:
        return int((folder / LOCK_FILE).read_text()) if folder else None
    except (OSError, ValueError):
        return None


def bind_error(kind: socket.SocketKind, host: str, port: int) -> str:
    """Why a port cannot be bound; empty when it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do, for TIME_WAIT
            probe.bind((host, port))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def multicast(listen_host: str) -> Finding:
    """Sends a packet to the group of mDNS and listens for it: a kernel or firewall that drops it here drops it anywhere."""
    remedy = "name a member in [node] known_peers, or with: ralnode run --peer HOST; or allow multicast (UDP 5353)"
    try:
        heard = _echo(listen_host if listen_host not in ("0.0.0.0", "::") else "")
    except OSError as error:
        return warning("multicast", f"does not work here ({error.strerror or error}), so mDNS finds nobody", remedy)
    if not heard:
        return warning("multicast", "a packet to the group of mDNS was not heard, so mDNS finds nobody", remedy)
    return ok("multicast", "works on this machine (whether the LAN passes it on, only another node can tell)")


def _echo(interface: str) -> bool:
    token = secrets.token_bytes(16)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(DIAL_SECONDS)
        probe.bind(("", 0))
        local = socket.inet_aton(interface) if interface and ":" not in interface else b"\0\0\0\0"
        probe.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(MDNS_GROUP) + local)
        if any(local):
            probe.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, local)
        probe.sendto(token, (MDNS_GROUP, probe.getsockname()[1]))
        try:
            return probe.recv(64) == token
        except TimeoutError:
            return False


def _known_peers(node: NodeOptions) -> Iterator[Finding]:
    for peer in node.known_peers[:PEERS_DIALLED_MAX]:
        try:
            socket.create_connection((peer.host, peer.port), DIAL_SECONDS).close()
            yield ok("known peers", f"{peer} answers")
        except OSError as error:
            yield warning(
                "known peers", f"{peer} does not answer: {error.strerror or error}",
                "is that node running, is the address right, and does its firewall let this port through?",
            )  # fmt: skip


def _heard(status: ClusterStatus) -> Finding:
    others = [node for node in status.nodes if not node.is_me]
    live = [node.name for node in others if node.liveness in (Liveness.ALIVE, Liveness.SUSPECT)]
    if live:
        names = clean(", ".join(live[:8])) + (" …" if len(live) > 8 else "")
        return ok("peers", f"{count(len(live), 'other node')} heard: {names}")
    if others:
        return warning(
            "peers", f"none of the {len(others)} known nodes answers: {clean(', '.join(n.name for n in others[:8]))}",
            "are they running? does a firewall drop UDP (gossip_port) or TCP (transport_port) between the machines?",
        )  # fmt: skip
    return warning(
        "peers", "this node stands alone",
        "join another one: `ralnode invite` here, `ralnode join CODE` there; the same [node] group on both for mDNS",
    )  # fmt: skip
