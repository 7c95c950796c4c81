"""The LAN itself: what reaches whom, faults while it runs, and that nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ralnode.testing.lan.lan import Lan, LanUnavailableError

ECHO = """
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 7))
print("ready", flush=True)
while True:
    data, source = server.recvfrom(2000)
    server.sendto(data, source)
"""
ASK = """
import socket, sys, time
to, count, wait = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(wait)
answers, times = 0, []
for number in range(count):
    began = time.monotonic()
    client.sendto(b"%d" % number, (to, 7))
    try:
        while client.recv(2000) != b"%d" % number:
            pass
        answers += 1
        times.append(time.monotonic() - began)
    except TimeoutError:
        pass
print(answers, sorted(times)[len(times) // 2] if times else -1)
"""
COPY = """
import socket, sys, hashlib
if sys.argv[1] == "serve":
    server = socket.create_server(("", 8))
    print("ready", flush=True)
    peer, _ = server.accept()
    digest = hashlib.sha256()
    while data := peer.recv(1 << 20):
        digest.update(data)
    print(digest.hexdigest())
else:
    peer = socket.create_connection((sys.argv[1], 8))
    peer.sendall(bytes(range(256)) * 40_000)
"""


class Echoes:
    """An echo server on each machine."""

    def __init__(self, lan, count, folder):
        self.lan, self.folder = lan, folder
        for port in range(1, count + 1):
            log = folder / f"echo{port}"
            lan.spawn(port, [sys.executable, "-c", ECHO], {}, log)
            lan.until(lambda log=log: log.exists() and "ready" in log.read_text(), 30, "the echo server")

    def ask(self, source, target, count=20, wait=3.0):
        """(how many of `count` round trips succeeded, their median seconds)."""
        out = self.folder / f"ask{time.monotonic_ns()}"
        argv = [sys.executable, "-c", ASK, self.lan.address(target), str(count), str(wait)]
        assert self.lan.wait(self.lan.spawn(source, argv, {}, out)) == 0, out.read_text()
        answers, median = out.read_text().split()
        return int(answers), float(median)


@pytest.fixture
def echoes(make_lan, tmp_path):
    return Echoes(make_lan(3, seed=1), 3, tmp_path)


def test_everybody_reaches_everybody(echoes):
    assert {echoes.ask(a, b, 5)[0] for a in (1, 2, 3) for b in (1, 2, 3) if a != b} == {5}


def test_pulled_cable_silences_one_machine_and_healing_brings_it_back(echoes):
    echoes.lan.link(3, up=False)
    assert echoes.ask(1, 3, 5, 0.1)[0] == 0
    assert echoes.ask(1, 2, 5)[0] == 5
    echoes.lan.heal()
    echoes.lan.until(lambda: echoes.ask(1, 3, 5, 0.5)[0] == 5, 30, "the address to be looked up again")


def test_cut_hits_the_pair_only(echoes):
    echoes.lan.cut(1, 2)
    assert echoes.ask(1, 2, 5, 0.1)[0] == 0
    assert echoes.ask(1, 3, 5)[0] == echoes.ask(2, 3, 5)[0] == 5
    echoes.lan.heal()
    echoes.lan.cut(1, 2, both=False)
    before = echoes.lan.stats()["cut"]
    assert echoes.ask(2, 1, 3, 0.1)[0] == 0, "the answers are cut"
    assert echoes.lan.stats()["cut"] >= before + 3


def test_faults_are_told_and_mended_machine_by_machine(make_lan):
    lan = make_lan(3)
    lan.split([1], [2, 3])
    lan.link(2, up=False)
    lan.loss(2, 0.25)
    lan.delay(2, 0.01, 0.002)
    assert lan.faults(1) == {"up": True, "loss": 0, "delay": 0, "jitter": 0, "cut_from": [2, 3]}
    assert lan.faults(2) == {"up": False, "loss": 0.25, "delay": 0.01, "jitter": 0.002, "cut_from": [1]}
    lan.mend(2)
    assert lan.faults(2) == {"up": True, "loss": 0, "delay": 0, "jitter": 0, "cut_from": []}
    assert lan.faults(1)["cut_from"] == [3]


def test_loss_and_delay_are_what_was_asked_for(echoes):
    echoes.lan.loss(2, 0.3)
    answers, _ = echoes.ask(1, 2, 60, 0.3)
    assert 14 <= answers <= 45, "0.7 squared of 60 is 29; a late echo is a lost one"
    assert echoes.lan.stats()["lost"] >= 15
    echoes.lan.loss(2, 0)
    echoes.lan.delay(2, 0.05)
    answers, median = echoes.ask(1, 2, 10)
    assert answers == 10 and 0.1 <= median < 1


def test_streams_arrive_whole(make_lan, tmp_path):
    """Segments and checksums that the kernel left to a network card are finished on the other side."""
    lan = make_lan(2)
    out = tmp_path / "served"
    server = lan.spawn(1, [sys.executable, "-c", COPY, "serve"], {}, out)
    lan.until(lambda: "ready" in out.read_text(), 30, "the server")
    client = lan.spawn(2, [sys.executable, "-c", COPY, lan.address(1)], {}, tmp_path / "client")
    assert (lan.wait(client), lan.wait(server)) == (0, 0)
    expected = subprocess.run(["sha256sum"], input=bytes(range(256)) * 40_000, capture_output=True).stdout[:64]
    assert out.read_text().split()[1] == expected.decode()


def test_processes_get_their_environment_and_tell_how_they_ended(make_lan, tmp_path):
    lan = make_lan(1)
    out = tmp_path / "out"
    pid = lan.spawn(
        1, [sys.executable, "-c", "import os, sys; print(os.environ['X']); sys.exit(7)"], {"X": "seven"}, out
    )
    assert lan.wait(pid) == 7 and out.read_text() == "seven\n"
    pid = lan.spawn(1, ["sleep", "1000"])
    assert lan.running(pid)
    with pytest.raises(TimeoutError, match="process"):
        lan.wait(pid, 0.1)
    lan.kill(pid, signal.SIGTERM)
    assert lan.wait(pid) == -signal.SIGTERM


def test_wrong_commands_are_told_and_do_not_end_the_lan(make_lan):
    lan = make_lan(1)
    with pytest.raises(RuntimeError, match="FileNotFoundError"):
        lan.spawn(1, ["sleep", "1"], {}, Path("/no/such/folder/log"))
    with pytest.raises(RuntimeError):
        lan.link(9, up=False)
    assert lan.stats()["refused"] == 0


def test_machine_that_forbids_it_gives_the_reason():
    with pytest.raises(LanUnavailableError, match="not installed"):
        Lan(1, unshare=["/no/such/unshare"])
    with pytest.raises(LanUnavailableError, match="from 1 to 200"):
        Lan(0)
    with pytest.raises(LanUnavailableError, match="Operation not permitted"):
        Lan(1, unshare=["sh", "-c", "echo unshare: Operation not permitted >&2; exit 1"])


def processes_with(marker):
    """Pids of processes that have the marker among their arguments."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if marker.encode() in (folder / "cmdline").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


OWNER = """
import sys
from pathlib import Path
from ralnode.testing.lan.lan import Lan
lan = Lan(2, folder=Path(sys.argv[2]))
for port in (1, 2):
    lan.spawn(port, ["sh", "-c", 'trap "" TERM INT HUP; while :; do sleep 1; done', sys.argv[1]])
print("up", flush=True)
sys.stdin.read()
"""


def test_nothing_is_left_when_the_owner_is_killed(make_lan, tmp_path):
    make_lan(1)
    folder = tmp_path / "of the LAN"
    folder.mkdir()
    (folder / "log").write_text("something")
    marker = f"lan-marker-{os.getpid()}-{time.monotonic_ns()}"
    argv = [sys.executable, "-c", OWNER, marker, str(folder)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout.readline() == b"up\n"
        Lan.until(lambda: len(processes_with(marker)) == 3, 10, "the programs to run")
        owner.kill()
    Lan.until(lambda: not processes_with(marker), 5, "the programs to be gone")
    Lan.until(lambda: not folder.exists(), 5, "the folder to be gone")
