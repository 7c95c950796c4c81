"""Whether this machine's clock can be right: records that are dated ahead are refused by the others."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

import ralnode
from ralnode.api import ClusterStatus, Liveness, RalnodeError
from ralnode.api.limits import CLOCK_AHEAD_MS_MAX
from ralnode.cli.client import NodeClient
from ralnode.cli.doctor.finding import Finding, Patient, bad, ok, warning
from ralnode.cli.text import clean, duration

SKEW_SECONDS_WARN: Final = 30.0
PEERS_ASKED_MAX: Final = 4
_REMEDY: Final = "set the clock; best by a time service: timedatectl set-ntp true"


def look(patient: Patient) -> Iterator[Finding]:
    program = Path(ralnode.__file__)
    # In the frozen executable no module is a file of its own.
    yield sane(time.time(), (program if program.exists() else Path(sys.executable)).stat().st_mtime)
    yield from _synchronised()
    if patient.status is not None:
        yield from _skews(patient.status, patient.client)


def sane(now: float, installed: float) -> Finding:
    """A clock before the time this program was written to the disk is wrong (a dead battery begins in 1970)."""
    shown = f"{datetime.fromtimestamp(now).astimezone():%Y-%m-%d %H:%M:%S %z}"
    if now < installed - 3600:
        return bad("clock", f"it says {shown}, which is before ralnode was installed", _REMEDY)
    return ok("clock", f"it says {shown}")


def _synchronised() -> Iterator[Finding]:
    """Only where systemd can tell."""
    if shutil.which("timedatectl") is None:
        return
    try:
        asked = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return
    yield from kept_right(answer)


def kept_right(answer: str) -> Iterator[Finding]:
    """`yes` or `no`, as timedatectl says it; anything else is not known."""
    if answer == "no":
        yield warning("clock", "no time service keeps it right", _REMEDY)


def _skews(status: ClusterStatus, client: NodeClient) -> Iterator[Finding]:
    others = [node for node in status.nodes if not node.is_me and node.liveness is Liveness.ALIVE]
    for node in others[:PEERS_ASKED_MAX]:
        try:
            began = time.time()
            theirs = client.on(node.id).command("status")["unix_ms"] / 1000
            yield skew(clean(node.name), theirs - (began + time.time()) / 2)
        except RalnodeError as error:
            yield warning("clock", f"{clean(node.name)} could not be asked for its time: {error}", "try again")


def skew(name: str, seconds: float) -> Finding:
    """How far another node's clock is ahead (+) of ours."""
    text = f"that of {name} is {duration(abs(seconds))} {'ahead' if seconds > 0 else 'behind'}"
    if abs(seconds) * 1000 > CLOCK_AHEAD_MS_MAX / 2:
        limit = duration(CLOCK_AHEAD_MS_MAX / 1000)
        return bad("clock", f"{text}; records more than {limit} ahead are refused", f"on both machines: {_REMEDY}")
    if abs(seconds) > SKEW_SECONDS_WARN:
        return warning("clock", text, f"on both machines: {_REMEDY}")
    return ok("clock", f"that of {name} agrees within {max(0.1, abs(seconds)):.1f} s")
