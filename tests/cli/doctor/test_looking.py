"""What the doctor looks at for real: this machine's sockets, a TLS listener of a cluster, the plugin's own announcements."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ralnode.api import Address
from ralnode.cli.doctor import announcements, filesystem, listeners, network
from ralnode.cli.doctor.finding import Level
from ralnode.cli.doctor.peers import Outcome, dial
from ralnode.dag import cid
from ralnode.host.identity import NodeIdentity, open_identity
from ralnode_discovery_mdns import service

PATIENCE = 5.0


@contextmanager
def listening(answer=lambda connected: connected.close()) -> Iterator[Address]:
    """A listener whose connections are each answered by `answer`."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connected, _ = server.accept()
                except OSError:
                    return
                try:
                    answer(connected)
                except OSError:
                    connected.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Address("127.0.0.1", server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)


def member(folder: Path, secret: bytes) -> NodeIdentity:
    folder.mkdir()
    return open_identity(folder, secret)


def as_node(identity: NodeIdentity):
    tls = identity.server_tls()

    def answer(connected: socket.socket) -> None:
        connected.settimeout(PATIENCE)
        with tls.wrap_socket(connected, server_side=True) as secured:
            secured.recv(1)

    return answer


def test_a_member_is_told_from_a_node_with_another_secret(tmp_path: Path) -> None:
    mine, other = member(tmp_path / "a", bytes(32)), member(tmp_path / "b", bytes(32))
    stranger = member(tmp_path / "c", bytes(31) + b"x")
    tls = mine.client_tls()
    with listening(as_node(other)) as address:
        found = dial(address, tls, mine, PATIENCE)
        assert (found.outcome, found.node) == (Outcome.MEMBER, cid.peer_id(other.id))
    with listening(as_node(stranger)) as address:
        assert dial(address, tls, mine, PATIENCE).outcome is Outcome.OTHER_CLUSTER


def test_what_is_no_node_what_refuses_and_what_is_silent_are_told_apart(tmp_path: Path) -> None:
    mine = member(tmp_path / "a", bytes(32))
    tls = mine.client_tls()

    def as_web_server(connected: socket.socket) -> None:
        connected.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connected.close()

    with listening(as_web_server) as address:
        assert dial(address, tls, mine, PATIENCE).outcome is Outcome.NO_NODE
    assert dial(address, tls, mine, PATIENCE).outcome is Outcome.REFUSED
    kept: list[socket.socket] = []
    with listening(kept.append) as address:
        assert dial(address, tls, mine, 0.2).outcome is Outcome.SILENT
    for connected in kept:
        connected.close()
    assert dial(Address("no.such.host.invalid", 1), tls, mine, PATIENCE).outcome is Outcome.UNREACHABLE


def test_dialling_checks_the_other_side_before_it_says_member(tmp_path: Path) -> None:
    assert member(tmp_path / "a", bytes(32)).client_tls().verify_mode is ssl.CERT_REQUIRED


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="there is no /proc/net here")
def test_who_listens_on_a_port_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        (found,) = listeners.holders("tcp", server.getsockname()[1])
        assert found.pid == os.getpid()
        assert [each.pid for each in listeners.holders("udp", udp.getsockname()[1])] == [os.getpid()]
        port = server.getsockname()[1]
    assert listeners.holders("tcp", port) == []


def test_an_address_that_others_are_told_is_tried() -> None:
    with listening() as address:
        assert network.reachable(address).level is Level.OK
    found = network.reachable(address)
    assert found.level is Level.BAD and "listen_host" in found.remedy


@pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="there is no /proc here")
def test_memory_is_no_disk() -> None:
    found = filesystem.mount_of(Path("/dev/shm"), Path("/proc/self/mountinfo").read_text())
    if found is None or found.kind != "tmpfs":
        pytest.skip("/dev/shm is no tmpfs here")
    assert filesystem.judged(found, is_removable=False).level is Level.BAD


def test_announcements_are_understood_as_the_plugin_makes_them(tmp_path: Path) -> None:
    mine = member(tmp_path / "a", bytes(32))
    info = service.describe(mine, 10090, ["192.0.2.1"])
    assert announcements.SERVICE_TYPE == service.SERVICE_TYPE
    assert info.properties[announcements.TAG_KEY] == announcements.tag_of(mine)
    assert info.name == f"{announcements.instance_of(mine)}.{announcements.SERVICE_TYPE}"
