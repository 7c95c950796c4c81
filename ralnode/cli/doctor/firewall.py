"""Whether a firewall of this machine seems to drop what other nodes send: read from nft, iptables, ufw, firewalld, as far
as this user may. A guess from the rules, so never more than a warning; whether packets pass, peers.py tries.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from ralnode.cli.doctor.finding import Finding, Patient, ok, warning

_SECONDS: Final = 5
MDNS_PORT: Final = 5353


class Need(NamedTuple):
    """What must come in."""

    protocol: str
    port: int
    use: str


def look(patient: Patient) -> Iterator[Finding]:
    node = patient.config.node
    needs = (
        Need("tcp", node.transport_port, "other nodes"),
        Need("udp", node.gossip_port, "membership"),
        Need("udp", MDNS_PORT, "mDNS"),
    )
    dropped: list[Need] = []
    ruleset = _output(["nft", "-j", "list", "ruleset"])
    tables = _output(["iptables", "-S", "INPUT"])
    if ruleset:
        dropped += nft_drops(ruleset, needs)
    if tables:
        dropped += [need for need in iptables_drops(tables, needs) if need not in dropped]
    is_ufw = "Status: active" in _output(["ufw", "status"])
    yield from judged([need for need in dropped if need.port], was_read=bool(ruleset or tables), is_ufw=is_ufw)


def judged(dropped: Sequence[Need], *, was_read: bool, is_ufw: bool) -> Iterator[Finding]:
    for need in dropped:
        allow = f"ufw allow {need.port}/{need.protocol}" if is_ufw else (
            f"nft add rule inet filter input {need.protocol} dport {need.port} accept (or: iptables -I INPUT -p "
            f"{need.protocol} --dport {need.port} -j ACCEPT; firewall-cmd --add-port={need.port}/{need.protocol})"
        )  # fmt: skip
        yield warning(
            "firewall", f"it seems to drop {need.protocol.upper()} {need.port} ({need.use})", f"allow it: {allow}"
        )
    if was_read and not dropped:
        yield ok("firewall", "no rule of this machine drops what other nodes send")


# --- nft --------------------------------------------------------------------------------------------------------------


def nft_drops(ruleset: str, needs: Iterable[Need]) -> list[Need]:
    """What `nft -j list ruleset` lets nobody in for. Every base chain on the way in must accept: one that drops is enough."""
    try:
        entries = json.loads(ruleset)["nftables"]
        chains = [each["chain"] for each in entries if "chain" in each]
        rules = [each["rule"] for each in entries if "rule" in each]
    except (ValueError, KeyError, TypeError):
        return []
    walls = [each for each in chains if each.get("hook") == "input" and each.get("type") == "filter"]
    return [need for need in needs if any(_chain_drops(wall, rules, need) for wall in walls)]


def _chain_drops(chain: Mapping[str, Any], rules: Sequence[Mapping[str, Any]], need: Need) -> bool:
    verdict = _verdict(chain, chain.get("name"), rules, need, set())
    return (verdict or chain.get("policy", "accept")) == "drop"


def _verdict(
    chain: Mapping[str, Any], name: Any, rules: Sequence[Mapping[str, Any]], need: Need, seen: set[Any]
) -> str | None:
    """accept or drop for a new packet from the LAN; None when the chain says nothing."""
    seen.add(name)
    place = (chain.get("family"), chain.get("table"))
    for rule in rules:
        if (rule.get("family"), rule.get("table")) != place or rule.get("chain") != name:
            continue
        expressions = [each for each in rule.get("expr", ()) if isinstance(each, dict)]
        if not all(_may_match(each["match"], need) for each in expressions if "match" in each):
            continue
        for each in expressions:
            if "accept" in each:
                return "accept"
            if "drop" in each or "reject" in each:
                return "drop"
            target = (each.get("jump") or each.get("goto") or {}).get("target")
            if target is not None and target not in seen:
                found = _verdict(chain, target, rules, need, seen)
                if found is not None:
                    return found
    return None


def _may_match(match: Mapping[str, Any], need: Need) -> bool:
    """Whether a condition holds for a new packet of that kind from the LAN. Where it depends on the sender: yes."""
    left, right, operator = match.get("left", {}), match.get("right"), match.get("op", "==")
    found = True
    if "payload" in left and left["payload"].get("field") == "dport":
        is_protocol = left["payload"].get("protocol") in (need.protocol, "th")
        return is_protocol and _contains(right, need.port) != (operator == "!=")
    if "payload" in left and left["payload"].get("protocol") in ("icmp", "icmpv6", "tcp", "udp"):
        found = left["payload"]["protocol"] == need.protocol and left["payload"].get("field") != "sport"
    elif "meta" in left:
        found = _meta_matches(left["meta"].get("key"), right, need)
    elif "ct" in left and left["ct"].get("key") == "state":
        found = _contains(right, "new")
    elif "payload" in left and left["payload"].get("field") in ("protocol", "nexthdr"):
        found = _contains(right, need.protocol)
    return found != bool(operator == "!=")


def _meta_matches(key: Any, right: Any, need: Need) -> bool:
    if key in ("iifname", "iif"):
        return bool(right != "lo")
    if key == "l4proto":
        return _contains(right, need.protocol)
    return True


def _contains(right: Any, value: Any) -> bool:
    """In a value, a list, a set, a range; a named set may contain anything."""
    if isinstance(right, str) and right.startswith("@"):
        return True
    if isinstance(right, dict) and "set" in right:
        return _contains(right["set"], value)
    if isinstance(right, dict) and "range" in right:
        low, high = right["range"]
        return isinstance(low, int) and isinstance(value, int) and low <= value <= high
    if isinstance(right, list):
        return any(_contains(each, value) for each in right)
    return bool(right == value)


# --- iptables ---------------------------------------------------------------------------------------------------------


def iptables_drops(rules: str, needs: Iterable[Need]) -> list[Need]:
    """What `iptables -S INPUT` drops; jumps into other chains are passed over."""
    lines = [line.split() for line in rules.splitlines()]
    return [need for need in needs if _table_drops(lines, need)]


def _table_drops(lines: Sequence[Sequence[str]], need: Need) -> bool:
    policy = "ACCEPT"
    for words in lines:
        if words[:2] == ["-P", "INPUT"]:
            policy = words[2]
        elif words[:2] == ["-A", "INPUT"] and _rule_matches(words, need):
            target = words[words.index("-j") + 1] if "-j" in words else ""
            if target in ("ACCEPT", "DROP", "REJECT"):
                return target != "ACCEPT"
    return policy in ("DROP", "REJECT")


def _rule_matches(words: Sequence[str], need: Need) -> bool:
    def after(flag: str) -> str | None:
        return words[words.index(flag) + 1] if flag in words[:-1] else None

    if after("-p") not in (None, "all", need.protocol) or after("-i") == "lo" or after("--sport"):
        return False
    states = after("--ctstate") or after("--state")
    if states is not None and "NEW" not in states.split(","):
        return False
    ports = after("--dport") or after("--dports")
    return ports is None or any(_in_range(each, need.port) for each in ports.split(","))


def _in_range(text: str, port: int) -> bool:
    low, _, high = text.partition(":")
    return low.isdigit() and int(low) <= port <= (int(high) if high.isdigit() else int(low))


def _output(command: Sequence[str]) -> str:
    """What a program prints; empty when it is not there or this user may not."""
    if shutil.which(command[0], path="/usr/sbin:/sbin:/usr/bin:/bin") is None:
        return ""
    environment = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL": "C"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False, env=environment)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
