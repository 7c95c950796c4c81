"""mDNS discovery between real processes in network namespaces of their own. Announcements every 1.5 s instead of 10."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

import pytest

NODE = Path(__file__).with_name("mdns_node.py")
ANNOUNCE_SECONDS = 1.5
LAST_QUERY_SECONDS = 14.5
"""python-zeroconf's last start-up question is 14 s after its start: what is found later is found by announcements."""
PORT = 10090


class Machines:
    def __init__(self, lan, folder):
        self.lan, self.folder = lan, folder
        self.pids, self.logs = {}, {}

    def start(self, number, secret="test cluster"):
        log = self.folder / f"node{number}-{len(self.logs)}.log"
        argv = [sys.executable, "-W", "error", str(NODE), f"node{number}", secret, str(PORT), str(ANNOUNCE_SECONDS)]
        self.pids[number] = self.lan.spawn(number, argv, {}, log)
        self.logs[number] = log

    def lines(self, number):
        text = self.logs[number].read_text()
        return [
            json.loads(line) for line in text.splitlines(keepends=True) if line.startswith("{") and line.endswith("\n")
        ]

    def found(self, number):
        """Machines that this one has had a hint of."""
        return {int(line["host"].rpartition(".")[2]) for line in self.lines(number) if "host" in line}

    def await_found(self, number, others, seconds):
        self.lan.until(
            lambda: set(others) <= self.found(number),
            seconds,
            f"machine {number} to find {others}: {self.found(number)}",
        )

    def await_all(self, numbers, seconds):
        for number in numbers:
            self.await_found(number, set(numbers) - {number}, seconds)

    def stop(self, number):
        """Ends it by SIGTERM; returns its last line. Nothing but hints may have been printed."""
        self.lan.kill(self.pids[number], signal.SIGTERM)
        assert self.lan.wait(self.pids[number], 30) == 0, self.logs[number].read_text()
        complaints = [line for line in self.logs[number].read_text().splitlines() if not line.startswith("{")]
        assert complaints == []
        return self.lines(number)[-1]


@pytest.fixture
def machines(make_lan, tmp_path):
    return lambda count, seed=1: Machines(make_lan(count, seed), tmp_path)


def test_all_find_all_and_nobody_finds_another_cluster(machines):
    five = machines(5)
    for number in (1, 2, 3, 4):
        five.start(number)
    five.start(5, secret="another cluster")
    five.await_all((1, 2, 3, 4), 30)
    time.sleep(2 * ANNOUNCE_SECONDS)
    assert five.found(5) == set()
    assert all(5 not in five.found(number) for number in (1, 2, 3, 4))
    hints = [line for line in five.lines(1) if "host" in line]
    assert {(hint["port"], hint["origin"]) for hint in hints} == {(PORT, "mdns")}
    assert 1 not in five.found(1)
    assert len(hints) > 3, "they are reported again"
    for number in (1, 2, 3, 4, 5):
        last = five.stop(number)
        assert last["closed"] and last["tasks"] == 1
        assert last["cpu_seconds"] < 0.02 * last["seconds"] + 0.2


def test_all_find_all_when_a_third_of_the_packets_is_lost(machines):
    four = machines(4, seed=3)
    for number in (1, 2, 3, 4):
        four.lan.loss(number, 0.16)
        four.start(number)
    four.await_all((1, 2, 3, 4), 30)
    assert four.lan.stats()["lost"] > 10


def test_machines_appear_late_die_and_come_back(machines):
    """Machine 4 starts with its cable pulled and keeps it so until nobody asks any more; meanwhile machine 3 is killed."""
    four = machines(4)
    four.lan.link(4, up=False)
    four.start(4)
    began = time.monotonic()
    for number in (1, 2, 3):
        four.start(number)
    four.await_all((1, 2, 3), 30)
    four.lan.kill(four.pids[3], signal.SIGKILL)
    four.lan.wait(four.pids[3])
    time.sleep(1)
    four.start(3)
    four.await_all((1, 2, 3), 30)
    time.sleep(max(0.0, began + LAST_QUERY_SECONDS + 1 - time.monotonic()))
    assert four.found(4) == set() and 4 not in four.found(1)
    four.lan.link(4, up=True)
    four.await_all((1, 2, 3, 4), 30)
    for number in (1, 2, 3, 4):
        assert four.stop(number)["closed"]


def test_new_address_is_announced_and_a_lost_network_is_told(machines):
    two = machines(2)
    two.start(1)
    two.start(2)
    two.await_all((1, 2), 30)
    change = "ip addr del 10.77.0.2/24 dev eth0 && ip addr add 10.77.0.50/24 dev eth0"
    assert two.lan.wait(two.lan.spawn(2, ["sh", "-c", change])) == 0
    two.await_found(1, {50}, 30)
    gone = "ip addr flush dev eth0 && ip link set eth0 down && ip addr flush dev lo && ip link set lo down"
    assert two.lan.wait(two.lan.spawn(2, ["sh", "-c", gone])) == 0
    assert two.lan.wait(two.pids[2], 30) == 0
    [failed] = [line["failed"] for line in two.lines(2) if "failed" in line]
    assert "cannot use mDNS" in failed
    assert two.lines(2)[-1]["tasks"] == 1


def test_machine_without_a_network_gets_a_reason_and_leaves_nothing_open(make_lan, tmp_path):
    lan = make_lan(1)
    log = tmp_path / "log"
    argv = ["unshare", "-n", sys.executable, str(NODE), "node1", "secret", str(PORT), "1"]
    assert lan.wait(lan.spawn(1, argv, {}, log)) == 1
    assert "cannot use mDNS" in log.read_text() and "known_peers" in log.read_text()
    assert "unclosed" not in log.read_text()
