"""`ralnode doctor` on a LAN of its own: a wrong secret, a machine that is off, a cable that is out, a firewall."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ralnode.host.joincode import JoinCode
from ralnode.testing.lan.lan import Lan

PROGRAM = [sys.executable, "-m", "ralnode"]
RIGHT, WRONG = JoinCode(bytes(32), ()).encode(), JoinCode(bytes(31) + b"x", ()).encode()


class Machines:
    """A LAN of two; the second runs a node."""

    def __init__(self, lan: Lan, folder: Path) -> None:
        self.lan = lan
        self.folder = folder
        for number in (1, 2):
            (folder / str(number)).mkdir()

    def environment(self, number: int) -> dict[str, str]:
        home = self.folder / str(number)
        return {
            "HOME": str(home),
            "RALNODE_SOCKET": f"/tmp/ral-doctor-{os.getpid()}-{number}",
            "RALNODE_NAME": f"node{number}",
        }

    def start(self, number: int, code: str, *options: str) -> None:
        log = self.folder / f"log{number}"
        argv = [
            *PROGRAM,
            "run",
            "--data",
            str(self.folder / str(number) / "data"),
            "--capacity",
            "100MB",
            "--join",
            code,
        ]
        self.lan.spawn(number, [*argv, *options], self.environment(number), log)
        self.lan.until(lambda: log.exists() and "is running" in log.read_text(), 40, "the node to be ready")

    def doctor(self, number: int, **environment: str) -> dict[str, Any]:
        out = self.folder / f"doctor{len(list(self.folder.iterdir()))}"
        more = {"RALNODE_DATA_DIR": str(self.folder / str(number) / "data")}
        argv = [*PROGRAM, "doctor", "--json"]
        pid = self.lan.spawn(number, argv, self.environment(number) | more | environment, out)
        code = self.lan.wait(pid, 50)
        report = json.loads(out.read_text().splitlines()[-1])
        assert code == (1 if any(each["level"] == "bad" for each in report["findings"]) else 0)
        return report


@pytest.fixture
def machines(make_lan: Callable[..., Lan], tmp_path: Path) -> Machines:
    return Machines(make_lan(2, seed=3), tmp_path)


def found(report: dict[str, Any], about: str) -> dict[str, str]:
    """The level of each finding about this."""
    return {each["found"]: each["level"] for each in report["findings"] if each["about"] == about}


def test_a_wrong_secret_is_told_from_a_machine_that_does_not_answer(machines: Machines) -> None:
    machines.start(2, RIGHT)
    there = f"{Lan.address(2)}:10090"
    right = machines.doctor(1, RALNODE_JOIN_CODE=RIGHT, RALNODE_KNOWN_PEERS=there)
    assert not right["is_running"]
    assert found(right, "peers")[f"reached and of this cluster: {there}"] == "ok"
    assert any("1 other member announced" in text for text in found(right, "announcements")), right
    machines.lan.cut(1, 2)
    silent = found(machines.doctor(1, RALNODE_JOIN_CODE=RIGHT, RALNODE_KNOWN_PEERS=there), "peers")
    assert "bad" not in silent.values()
    assert any(level == "warning" and there in text for text, level in silent.items()), silent

    machines.lan.heal()
    machines.start(1, WRONG, "--peer", there)
    wrong = machines.doctor(1, RALNODE_KNOWN_PEERS=there)
    assert wrong["is_running"]
    assert found(wrong, "peers")["this node stands alone"] == "warning"
    assert found(wrong, "peers")[f"what answers at {there} has another secret: it is of another cluster"] == "bad"
    assert any("1 node of other clusters" in text for text in found(wrong, "announcements")), wrong
    assert found(wrong, "listening")[f"reached at {Lan.address(1)}:10090, as the others are told"] == "ok"
    assert set(found(wrong, "open files").values()) == {"ok"}


@pytest.mark.skipif(
    shutil.which("nft", path="/usr/sbin:/usr/bin") is None, reason="nft (Debian: nftables) is not installed"
)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may set a firewall")
def test_a_firewall_is_read_and_the_silence_that_it_makes_explained(machines: Machines) -> None:
    rules = machines.folder / "rules"
    rules.write_text(
        "table inet filter {\n chain input { type filter hook input priority 0; policy drop;\n"
        "  iifname lo accept\n  ct state established accept\n  tcp dport 10090 accept\n }\n}\n"
    )
    assert machines.lan.wait(machines.lan.spawn(1, ["/usr/sbin/nft", "-f", str(rules)])) == 0
    report = machines.doctor(1, RALNODE_JOIN_CODE=RIGHT)
    assert set(found(report, "firewall")) == {
        "it seems to drop UDP 9090 (membership)", "it seems to drop UDP 5353 (mDNS)"
    }  # fmt: skip
