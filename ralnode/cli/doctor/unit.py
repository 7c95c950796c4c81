"""The service as systemd sees it: does it run, will it after a reboot, why did it end, and which addresses may it talk to."""

from __future__ import annotations

import ipaddress
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from ralnode.cli.doctor.finding import Finding, Patient, bad, ok, warning

PROPERTIES: Final = (
    "LoadState", "ActiveState", "SubState", "UnitFileState", "Result", "ExecMainStatus", "NRestarts", "IPAddressAllow",
    "IPAddressDeny", "RequiresMountsFor",
)  # fmt: skip
_CONFIG_FOLDER: Final = Path("/etc/ralnode")
_SECONDS: Final = 5
_WHY: Final[Mapping[str, str]] = {
    "exit-code": "it ended with an error",
    "signal": "a signal ended it",
    "core-dump": "it crashed",
    "watchdog": "it did not answer the watchdog: its disk or event loop hung",
    "timeout": "it took too long to start or stop",
    "oom-kill": "the system was out of memory, or it had more than MemoryMax",
    "start-limit-hit": "it failed again and again",
}


def look(patient: Patient) -> Iterator[Finding]:
    name = unit_name(patient.config.path)
    shown = _show(name)
    if shown is None:
        return
    yield from judged(name, shown, is_running=patient.status is not None)
    config = patient.config.path
    if shown.get("LoadState") == "loaded" and config is not None and config.parent == _CONFIG_FOLDER:
        yield from waiting_for_disk(_mount_point(patient), shown.get("RequiresMountsFor", ""), name)
    yield from outside(_addresses(patient), shown.get("IPAddressAllow", ""), shown.get("IPAddressDeny", ""), name)


def unit_name(config: Path | None) -> str:
    """/etc/ralnode/attic.toml is read by ralnode@attic."""
    if config is not None and config.parent == _CONFIG_FOLDER and config.stem != "ralnode":
        return f"ralnode@{config.stem}.service"
    return "ralnode.service"


def judged(name: str, shown: Mapping[str, str], *, is_running: bool) -> Iterator[Finding]:
    """Nothing where the service is not installed."""
    if shown.get("LoadState") == "masked":
        yield warning("service", f"{name} is masked, so nothing can start it", f"systemctl unmask {name}")
    if shown.get("LoadState") != "loaded":
        return
    word = name.removesuffix(".service")
    active, result = shown.get("ActiveState", ""), shown.get("Result", "")
    if active == "failed":
        yield bad("service", f"{word} has failed: {_reason(shown)}", _remedy(word, shown))
    elif active == "activating" and shown.get("SubState") == "auto-restart":
        yield bad("service", f"{word} ends and is started again: {_reason(shown)}", _remedy(word, shown))
    elif active == "active":
        yield ok("service", f"{word} runs{_restarts(shown)}")
    elif is_running:
        yield warning(
            "service", f"a node runs, but not as the service {word}", f"stop it, then: systemctl start {word}"
        )
    else:
        why = "" if result in ("", "success") else f" ({_reason(shown)})"
        yield warning("service", f"{word} does not run{why}", f"systemctl start {word}")
    if shown.get("UnitFileState") == "disabled":
        yield warning("service", f"{word} does not start with the machine", f"systemctl enable {word}")


def waiting_for_disk(disk: Path, waits_for: str, name: str) -> Iterator[Finding]:
    """`disk`: where the disk of the data folder is mounted. Without it the node would not start, but fail and give up."""
    waits = any(Path(each).is_relative_to(disk) for each in waits_for.split())
    if disk != Path("/") and not waits:
        yield warning(
            "service", f"{name} does not wait until {disk} is mounted, where the data folder is",
            f"systemctl edit {name}, and add: [Unit] RequiresMountsFor={disk}; or, once more: sudo ralnode install",
        )  # fmt: skip


def _mount_point(patient: Patient) -> Path:
    folder = patient.config.node.data_dir
    assert folder is not None, "config.load fills it in"
    folder = folder.resolve()
    return next(each for each in (folder, *folder.parents) if each.is_mount() or each == each.parent)


def outside(addresses: Iterable[str], allow: str, deny: str, name: str = "ralnode.service") -> Iterator[Finding]:
    """Peers that the unit's IPAddressAllow keeps the node from talking to."""
    if not deny.split():
        return
    networks = [ipaddress.ip_network(each, strict=False) for each in allow.split()]
    denied = [ipaddress.ip_network(each, strict=False) for each in deny.split()]
    for text in dict.fromkeys(addresses):
        try:
            address = ipaddress.ip_address(text.partition("%")[0])
        except ValueError:  # a host name: what it stands for is asked elsewhere
            continue
        if any(address in each for each in denied) and not any(address in each for each in networks):
            yield bad(
                "service", f"a peer has the address {address}, which IPAddressAllow of {name} does not let through",
                f"systemctl edit {name}, and add: [Service] IPAddressAllow={address}; then restart it",
            )  # fmt: skip


def _reason(shown: Mapping[str, str]) -> str:
    result, status = shown.get("Result", ""), shown.get("ExecMainStatus", "0")
    text = _WHY.get(result, result or "unknown")
    return f"{text} (exit code {status})" if result == "exit-code" else text


def _remedy(word: str, shown: Mapping[str, str]) -> str:
    if shown.get("ExecMainStatus") == "78":
        return "its configuration is wrong: mend what is said here, then: systemctl restart " + word
    return f"read why: journalctl -u {word} -e; then: systemctl reset-failed {word}; systemctl restart {word}"


def _restarts(shown: Mapping[str, str]) -> str:
    number = shown.get("NRestarts", "0")
    return f"; systemd has restarted it {number} times" if number not in ("", "0") else ""


def _addresses(patient: Patient) -> list[str]:
    found = [peer.host for peer in patient.config.node.known_peers]
    if patient.status is not None:
        found += [_host(node.address) for node in patient.status.nodes if not node.is_me]
    return found


def _host(address: str) -> str:
    return address.rpartition(":")[0].removeprefix("[").removesuffix("]")


def _show(name: str) -> dict[str, str] | None:
    """None where there is no systemd to ask."""
    if shutil.which("systemctl") is None:
        return None
    try:
        asked = ["systemctl", "show", name, f"--property={','.join(PROPERTIES)}"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parsed(done.stdout) if done.returncode == 0 else None


def parsed(text: str) -> dict[str, str]:
    return {key: value for key, equals, value in (line.partition("=") for line in text.splitlines()) if equals}
