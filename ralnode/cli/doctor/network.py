"""Ports, multicast, and who of the others is heard."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from typing import Final

from ralnode.api import ClusterStatus, Liveness
from ralnode.cli.doctor.finding import Finding, Patient, bad, ok, warning
from ralnode.cli.text import clean, count
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
        yield from _known_peers(node)
        yield warning("peers", "no node runs here, so nobody can be heard", "start it: ralnode run")
    else:
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
            yield bad("ports", f"{port} ({use}) cannot be bound: {error}", f"end what uses it, or set [node] {option}")
        else:
            yield ok("ports", f"{port} ({use}) is free")


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
