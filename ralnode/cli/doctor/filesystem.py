"""On what kind of disk the data folder lies: from /proc/self/mountinfo (proc(5)) and /sys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ralnode.cli.doctor.finding import Finding, Patient, bad, ok, warning

_ABOUT: Final = "file system"
_MEMORY: Final = frozenset({"tmpfs", "ramfs", "devtmpfs"})
_NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "virtiofs", "ceph", "glusterfs", "afs", "fuse.sshfs"}
)
_NO_RIGHTS: Final = frozenset({"vfat", "exfat", "msdos"})


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a folder is mounted from."""

    point: str
    kind: str
    device: str
    """MAJOR:MINOR."""
    is_read_only: bool = False


def look(patient: Patient) -> Iterator[Finding]:
    folder = patient.config.node.data_dir
    assert folder is not None, "config.load fills it in"
    try:
        found = mount_of(folder.resolve(), Path("/proc/self/mountinfo").read_text(errors="replace"))
    except OSError:
        return
    if found is not None:
        yield judged(found, is_removable=_is_removable(found.device))


def mount_of(folder: Path, mountinfo: str) -> Mount | None:
    """The mount that a path lies on: the deepest, and of several on one point the last."""
    best: Mount | None = None
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, rest = left.split(), right.split()
        if len(fields) < 6 or len(rest) < 3:
            continue
        point = _unescaped(fields[4])
        if folder.is_relative_to(point) and (best is None or len(point) >= len(best.point)):
            options = {*fields[5].split(","), *rest[2].split(",")}
            best = Mount(point, rest[0], fields[2], "ro" in options)
    return best


def judged(mount: Mount, *, is_removable: bool) -> Finding:
    where = f"the data folder lies on {mount.kind} ({mount.point})"
    remedy = "point [node] data_dir to a disk of this machine (ext4, xfs, btrfs, zfs)"
    if mount.is_read_only:
        return bad(
            _ABOUT, f"{where}, which is mounted read-only", f"mount -o remount,rw {mount.point}; dmesg says why it is"
        )
    if mount.kind in _MEMORY:
        return bad(_ABOUT, f"{where}, in memory: all blocks and this node's key are gone after a restart", remedy)
    if mount.kind in _NETWORK:
        return bad(_ABOUT, f"{where}, over a network: the index (SQLite with a WAL) is not safe there", remedy)
    if mount.kind in _NO_RIGHTS:
        return bad(_ABOUT, f"{where}, which knows no rights and no links: the key cannot be kept there", remedy)
    if mount.kind == "overlay":
        return warning(
            _ABOUT, f"{where}, the layer of a container: it goes when the container goes", "mount a volume there"
        )
    if is_removable:
        return warning(
            _ABOUT, f"{where}, a removable disk", "fine while it stays plugged in; without it the node does not start"
        )
    return ok(_ABOUT, where)


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _is_removable(device: str, sys_block: Path = Path("/sys/dev/block")) -> bool:
    """Of a partition its disk is asked."""
    place = (sys_block / device).resolve()
    for each in (place, place.parent):
        try:
            return (each / "removable").read_text().strip() == "1"
        except OSError:
            continue
    return False
