"""Every finding of the doctor, provoked by the facts that lead to it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from ralnode.api import Address, ClusterStatus, Health, Liveness, NodeStatus
from ralnode.cli.doctor import announcements, clock, descriptors, filesystem, firewall, listeners, network, peers, unit
from ralnode.cli.doctor.announcements import Announcement
from ralnode.cli.doctor.filesystem import Mount
from ralnode.cli.doctor.finding import Diagnosis, Finding, Level, bad, ok, warning
from ralnode.cli.doctor.firewall import Need
from ralnode.cli.doctor.listeners import Program
from ralnode.cli.doctor.peers import Call, Outcome
from ralnode.host.identity import open_identity

OK, WARNING, BAD = Level.OK, Level.WARNING, Level.BAD


def levels(findings: Iterable[Finding]) -> list[Level]:
    """And each that is not fine says what to do."""
    found = list(findings)
    assert all(each.remedy for each in found if each.level is not OK)
    return [each.level for each in found]


def text(findings: Iterable[Finding]) -> str:
    return "\n".join(f"{each.found} → {each.remedy}" for each in findings)


def node(name: str, liveness: Liveness = Liveness.ALIVE, *, is_me: bool = False, address: str = "") -> NodeStatus:
    return NodeStatus(name, name, is_me, liveness, "", 1, 0, "", "", address, "", 0, 0, 0, 0.0, None)


def cluster(*nodes: NodeStatus) -> ClusterStatus:
    return ClusterStatus("", Health.HEALTHY, "me", "g", "p", "", True, nodes, (), (), 0, 0, None, (), 0, "1")


def test_the_worst_finding_decides() -> None:
    def of(*findings: Finding) -> Level:
        return Diagnosis(findings, (), is_running=False).worst

    assert of() is OK and of(ok("a", "")) is OK
    assert of(ok("a", ""), warning("b", "", "x")) is WARNING
    assert of(bad("c", "", "x"), warning("b", "", "x")) is BAD


# --- file systems -----------------------------------------------------------------------------------------------------

MOUNTS = r"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:30 / /tmp rw,nosuid - tmpfs tmpfs rw,size=1g
31 22 8:17 / /mnt/a\040disk rw - ext4 /dev/sdb1 rw
32 22 0:40 / /mnt/nas rw - nfs4 nas:/pool rw
33 31 8:33 / /mnt/a\040disk/inner ro - xfs /dev/sdc1 rw
34 22 8:49 / /mnt/nas rw - ext4 /dev/sdd1 rw
a line that makes no sense
"""


@pytest.mark.parametrize(
    ("folder", "kind", "device"),
    [
        ("/var/lib/ralnode", "ext4", "8:1"),
        ("/tmp/x", "tmpfs", "0:30"),
        ("/tmpx", "ext4", "8:1"),
        ("/mnt/a disk/ralnode", "ext4", "8:17"),
        ("/mnt/a disk/inner/x", "xfs", "8:33"),
        ("/mnt/nas/x", "ext4", "8:49"),
    ],
)
def test_the_mount_of_a_folder_is_the_deepest_and_the_last(folder: str, kind: str, device: str) -> None:
    found = filesystem.mount_of(Path(folder), MOUNTS)
    assert found is not None and (found.kind, found.device) == (kind, device)
    assert found.is_read_only == (device == "8:33")


@pytest.mark.parametrize(
    ("kind", "read_only", "removable", "level", "word"),
    [
        ("ext4", False, False, OK, "ext4"),
        ("zfs", False, False, OK, "zfs"),
        ("tmpfs", False, False, BAD, "gone after a restart"),
        ("nfs4", False, False, BAD, "network"),
        ("cifs", False, False, BAD, "network"),
        ("fuse.sshfs", False, False, BAD, "network"),
        ("vfat", False, False, BAD, "no rights"),
        ("overlay", False, False, WARNING, "container"),
        ("ext4", True, False, BAD, "read-only"),
        ("ext4", False, True, WARNING, "removable"),
    ],
)
def test_disks_that_lose_blocks_are_told(kind: str, read_only: bool, removable: bool, level: Level, word: str) -> None:
    found = filesystem.judged(Mount("/mnt", kind, "8:1", read_only), is_removable=removable)
    assert levels([found]) == [level] and word in found.found


def test_a_partition_is_as_removable_as_its_disk(tmp_path: Path) -> None:
    (tmp_path / "devices/sdb/sdb1").mkdir(parents=True)
    (tmp_path / "devices/sdb/removable").write_text("1\n")
    (tmp_path / "8:17").symlink_to("devices/sdb/sdb1")
    assert filesystem._is_removable("8:17", tmp_path)
    (tmp_path / "devices/sdb/removable").write_text("0\n")
    assert not filesystem._is_removable("8:17", tmp_path)
    assert not filesystem._is_removable("0:99", tmp_path)


# --- open files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("open_count", "limit", "level"),
    [(None, 65536, OK), (40, 1024, OK), (None, 256, WARNING), (900, 1024, WARNING), (100, 256, WARNING)],
)
def test_few_file_descriptors_are_told(open_count: int | None, limit: int, level: Level) -> None:
    assert levels([descriptors.judged(open_count, limit, "the node")]) == [level]


def test_the_figures_come_out_of_the_metrics() -> None:
    answer = {"metrics": [{"name": "process_max_fds", "value": 1024.0}, {"name": "ralnode_health", "value": 1.0}]}
    assert descriptors.process_values(answer) == {"process_max_fds": 1024}


# --- the service ------------------------------------------------------------------------------------------------------

RUNS = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
    "UnitFileState": "enabled",
    "Result": "success",
}
FAILED = RUNS | {"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "78"}


@pytest.mark.parametrize(
    ("change", "is_running", "expected", "words"),
    [
        ({}, True, [OK], "runs"),
        ({"NRestarts": "3"}, True, [OK], "restarted it 3 times"),
        ({"LoadState": "not-found"}, False, [], ""),
        ({"LoadState": "masked"}, False, [WARNING], "unmask"),
        ({"UnitFileState": "disabled"}, True, [OK, WARNING], "systemctl enable ralnode"),
        ({"ActiveState": "inactive"}, False, [WARNING], "systemctl start ralnode"),
        ({"ActiveState": "inactive"}, True, [WARNING], "not as the service"),
        (FAILED, False, [BAD], "its configuration is wrong"),
        (FAILED | {"ExecMainStatus": "74"}, False, [BAD], "journalctl -u ralnode -e"),
        (FAILED | {"Result": "watchdog"}, False, [BAD], "watchdog"),
        (FAILED | {"Result": "oom-kill"}, False, [BAD], "out of memory"),
        (FAILED | {"Result": "start-limit-hit", "ExecMainStatus": "74"}, False, [BAD], "reset-failed"),
        ({"ActiveState": "activating", "SubState": "auto-restart", "Result": "signal"}, False, [BAD], "started again"),
    ],
)
def test_the_state_of_the_service_is_explained(
    change: Mapping[str, str], is_running: bool, expected: list[Level], words: str
) -> None:
    found = list(unit.judged("ralnode.service", RUNS | change, is_running=is_running))
    assert levels(found) == expected and words in text(found)


def test_the_unit_is_the_one_that_reads_this_configuration() -> None:
    assert unit.unit_name(None) == unit.unit_name(Path("/etc/ralnode/ralnode.toml")) == "ralnode.service"
    assert unit.unit_name(Path("/etc/ralnode/attic.toml")) == "ralnode@attic.service"
    assert unit.unit_name(Path("/home/me/attic.toml")) == "ralnode.service"


HOME = "127.0.0.0/8 10.0.0.0/8 192.168.0.0/16 fe80::/10"


@pytest.mark.parametrize(
    ("address", "allow", "deny", "count"),
    [
        ("192.168.1.4", HOME, "0.0.0.0/0 ::/0", 0),
        ("203.0.113.9", HOME, "0.0.0.0/0 ::/0", 1),
        ("2001:db8::1", HOME, "0.0.0.0/0 ::/0", 1),
        ("fe80::1%eth0", HOME, "0.0.0.0/0 ::/0", 0),
        ("203.0.113.9", "", "", 0),
        ("203.0.113.9", HOME + " 203.0.113.9", "0.0.0.0/0", 0),
        ("nas.lan", HOME, "0.0.0.0/0 ::/0", 0),
    ],
)
def test_peers_that_the_service_may_not_talk_to_are_told(address: str, allow: str, deny: str, count: int) -> None:
    found = list(unit.outside([address, address], allow, deny))
    assert levels(found) == [BAD] * count
    assert count == 0 or f"IPAddressAllow={address}" in text(found)


def test_what_systemctl_prints_is_read() -> None:
    shown = unit.parsed("LoadState=loaded\nIPAddressAllow=127.0.0.0/8 ::1/128\nResult=\nnonsense\n")
    assert shown == {"LoadState": "loaded", "IPAddressAllow": "127.0.0.0/8 ::1/128", "Result": ""}


REAL = """\
Result=exit-code
NRestarts=0
ExecMainStatus=78
IPAddressAllow=224.0.0.0/4 ::1/128 192.168.0.0/16 fe80::/10 127.0.0.0/8
IPAddressDeny=0.0.0.0/0 ::/0
LoadState=loaded
ActiveState=failed
SubState=failed
UnitFileState=disabled
"""


def test_what_a_real_systemd_printed_is_understood() -> None:
    """systemd 252 after a unit had ended with 78."""
    shown = unit.parsed(REAL)
    assert levels(unit.judged("ralnode.service", shown, is_running=False)) == [BAD, WARNING]
    hosts = ["192.168.7.7", "127.0.0.1", "198.51.100.1"]
    assert "198.51.100.1" in text(unit.outside(hosts, shown["IPAddressAllow"], shown["IPAddressDeny"]))
    assert len(list(unit.outside(hosts, shown["IPAddressAllow"], shown["IPAddressDeny"]))) == 1


# --- who listens ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("disk", "waits_for", "level"),
    [
        ("/", "", None), ("/", "/var/lib/ralnode", None), ("/mnt/disk1", "/var/lib/ralnode", WARNING),
        ("/mnt/disk1", "", WARNING), ("/mnt/disk1", "/var/lib/ralnode /mnt/disk1/ralnode", None),
        ("/mnt/disk1", "/mnt/disk1", None), ("/mnt/disk1", "/mnt/disk10/ralnode", WARNING), ("/var", "/var/lib/ralnode", None),
    ],
)  # fmt: skip
def test_a_unit_that_does_not_wait_for_the_disk_is_told(disk: str, waits_for: str, level: Level | None) -> None:
    found = list(unit.waiting_for_disk(Path(disk), waits_for, "ralnode.service"))
    assert levels(found) == ([] if level is None else [level])
    assert all(f"RequiresMountsFor={disk}" in each.remedy for each in found)


def test_the_kernel_s_tables_are_read() -> None:
    head = "0: 00000000:276A 00000000:0000"
    tail = "00000000:00000000 00:00000000 00000000  0  0 4711 1"
    assert list(listeners.inodes_of([f"{head} 0A {tail}"], "tcp", 10090)) == ["4711"]
    assert list(listeners.inodes_of([f"{head} 01 {tail}"], "tcp", 10090)) == [], "a connection is no listener"
    assert list(listeners.inodes_of([f"{head} 07 {tail}"], "udp", 10090)) == ["4711"]
    assert list(listeners.inodes_of([f"{head} 0A {tail}", "short"], "tcp", 10091)) == []


def test_another_program_on_the_node_s_port_is_named() -> None:
    mine, other = Program(7, "ralnode"), Program(8, "netcat")
    assert levels(network.foreign("tcp", 10090, [mine], 7)) == []
    assert levels(network.foreign("tcp", 10090, [mine, other], None)) == [], "whose port it is cannot be told"
    found = list(network.foreign("udp", 9090, [mine, other], 7))
    assert levels(found) == [BAD] and "netcat (process 8) listens on UDP 9090" in text(found)


@pytest.mark.parametrize(
    ("others", "level", "words"),
    [
        ([], WARNING, "ralnode invite"),
        ([node("attic", Liveness.DEAD), node("shed", Liveness.LEFT)], WARNING, "firewall"),
        ([node("attic"), node("shed", Liveness.DEAD)], OK, "attic"),
        ([node("attic", Liveness.SUSPECT)], OK, "attic"),
    ],
)
def test_who_is_heard_is_told(others: list[NodeStatus], level: Level, words: str) -> None:
    found = network._heard(cluster(node("me", is_me=True), *others))
    assert levels([found]) == [level] and words in text([found])


@pytest.mark.parametrize(("answer", "expected"), [("yes", []), ("no", [WARNING]), ("", []), ("?", [])])
def test_a_clock_that_nobody_keeps_right_is_told(answer: str, expected: list[Level]) -> None:
    assert levels(clock.kept_right(answer)) == expected


# --- firewalls --------------------------------------------------------------------------------------------------------

NEEDS = (Need("tcp", 10090, "other nodes"), Need("udp", 9090, "membership"), Need("udp", 5353, "mDNS"))


def port(protocol: str, right: object, op: str = "==") -> dict[str, object]:
    return {"match": {"op": op, "left": {"payload": {"protocol": protocol, "field": "dport"}}, "right": right}}


def nft(policy: str, *rules: list[object], extra: Iterable[list[object]] = ()) -> str:
    place = {"family": "inet", "table": "filter"}
    chain = {"chain": {**place, "name": "input", "type": "filter", "hook": "input", "policy": policy}}
    made = [{"rule": {**place, "chain": "input", "expr": rule}} for rule in rules]
    made += [{"rule": {**place, "chain": "extra", "expr": rule}} for rule in extra]
    return json.dumps({"nftables": [{"metainfo": {}}, chain, {"chain": {**place, "name": "extra"}}, *made]})


LOOPBACK = [{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "lo"}}, {"accept": None}]
ESTABLISHED = [
    {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}},
    {"accept": None},
]
PING = [
    {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "protocol"}}, "right": "icmp"}},
    {"accept": None},
]
FROM_LAN = {
    "match": {
        "op": "==",
        "left": {"payload": {"protocol": "ip", "field": "saddr"}},
        "right": {"prefix": {"addr": "192.168.0.0", "len": 16}},
    }
}


@pytest.mark.parametrize(
    ("ruleset", "dropped"),
    [
        (nft("accept"), []),
        (nft("drop"), [10090, 9090, 5353]),
        (nft("drop", LOOPBACK, ESTABLISHED, PING), [10090, 9090, 5353]),
        (
            nft("drop", LOOPBACK, [port("tcp", {"set": [22, {"range": [10000, 10100]}]}), {"accept": None}]),
            [9090, 5353],
        ),
        (nft("drop", [port("udp", 9090), {"accept": None}], [port("udp", "@known"), {"accept": None}]), [10090]),
        (nft("drop", [FROM_LAN, {"accept": None}]), []),
        (nft("drop", [{"jump": {"target": "extra"}}], extra=[[port("udp", [9090, 5353]), {"accept": None}]]), [10090]),
        (nft("accept", [port("udp", 9090), {"drop": None}]), [9090]),
        (nft("accept", ESTABLISHED, [{"reject": {"type": "icmpx"}}]), [10090, 9090, 5353]),
        (nft("accept", [port("tcp", 22, "!="), {"drop": None}]), [10090]),
        (nft("drop", [{"counter": {}}, {"accept": None}]), []),
        ('{"nftables": []}', []),
        ("not json", []),
        ("{}", []),
    ],
)
def test_what_nft_drops_is_read_from_its_rules(ruleset: str, dropped: list[int]) -> None:
    assert [need.port for need in firewall.nft_drops(ruleset, NEEDS)] == dropped


@pytest.mark.parametrize(
    ("rules", "dropped"),
    [
        ("-P INPUT ACCEPT", []),
        ("-P INPUT DROP\n-A INPUT -i lo -j ACCEPT", [10090, 9090, 5353]),
        ("-P INPUT DROP\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", [10090, 9090, 5353]),
        ("-P INPUT DROP\n-A INPUT -p tcp -m tcp --dport 10090 -j ACCEPT", [9090, 5353]),
        ("-P INPUT DROP\n-A INPUT -p udp -m multiport --dports 5353,9000:9100 -j ACCEPT", [10090]),
        ("-P INPUT ACCEPT\n-A INPUT -p udp -m udp --dport 9090 -j DROP", [9090]),
        (
            "-P INPUT ACCEPT\n-A INPUT -s 10.0.0.0/8 -j ACCEPT\n-A INPUT -j REJECT --reject-with icmp-port-unreachable",
            [],
        ),
        ("-P INPUT DROP\n-A INPUT -j ufw-before-input", [10090, 9090, 5353]),
        ("", []),
    ],
)
def test_what_iptables_drops_is_read_from_its_rules(rules: str, dropped: list[int]) -> None:
    assert [need.port for need in firewall.iptables_drops(rules, NEEDS)] == dropped


def test_a_firewall_s_remedy_is_in_its_own_words() -> None:
    found = list(firewall.judged(NEEDS[:1], was_read=True, is_ufw=True))
    assert levels(found) == [WARNING] and "ufw allow 10090/tcp" in text(found)
    assert "nft add rule" in text(firewall.judged(NEEDS[:1], was_read=True, is_ufw=False))
    assert levels(firewall.judged([], was_read=True, is_ufw=False)) == [OK]
    assert levels(firewall.judged([], was_read=False, is_ufw=False)) == [], "what cannot be read is not praised"


# --- peers ------------------------------------------------------------------------------------------------------------

AT = Address("192.0.2.7", 10090)


@pytest.mark.parametrize(
    ("call", "status", "expected", "words"),
    [
        (Call(AT, Outcome.MEMBER, "other"), None, [OK], "of this cluster"),
        (Call(AT, Outcome.MEMBER, "other"), cluster(node("other")), [OK], "of this cluster"),
        (Call(AT, Outcome.MEMBER, "other"), cluster(node("other", Liveness.DEAD)), [BAD], "let UDP through"),
        (Call(AT, Outcome.MEMBER, "other"), cluster(), [BAD], "let UDP through"),
        (Call(AT, Outcome.MEMBER, "me"), cluster(), [], ""),
        (Call(AT, Outcome.OTHER_CLUSTER), None, [BAD], "ralnode join CODE"),
        (Call(AT, Outcome.SILENT), None, [WARNING], "firewall"),
        (Call(AT, Outcome.REFUSED), None, [WARNING], "nothing listens there"),
        (Call(AT, Outcome.NO_NODE, detail="wrong version"), None, [WARNING], "no ralnode"),
        (Call(AT, Outcome.UNREACHABLE, detail="no route"), None, [WARNING], "no route"),
    ],
)
def test_what_came_of_dialling_a_peer_is_explained(
    call: Call, status: ClusterStatus | None, expected: list[Level], words: str
) -> None:
    found = list(peers.judged([call], "me", status))
    assert levels(found) == expected and words in text(found)


# --- announcements ----------------------------------------------------------------------------------------------------


def test_who_announces_with_another_secret_is_told(tmp_path: Path) -> None:
    mine = open_identity(tmp_path, bytes(32))
    tag, own = announcements.tag_of(mine), announcements.instance_of(mine)
    me, member = Announcement(own, tag, "10.0.0.1:10090"), Announcement("m", tag, "10.0.0.2:10090")
    stranger = Announcement("s", b"another", "10.0.0.3:10090")

    def judged(*heard: Announcement, is_running: bool = True) -> list[Finding]:
        return list(announcements.judged(heard, mine, is_running=is_running))

    assert levels(judged(me)) == []
    assert levels(judged(me, member)) == [OK]
    assert levels(judged(me, stranger)) == [WARNING] and "10.0.0.3:10090" in text(judged(me, stranger))
    assert "own announcement is not heard" in text(judged(member))
    assert levels(judged(is_running=False)) == [OK]
    assert levels(announcements.judged([member], None, is_running=False)) == [WARNING]
