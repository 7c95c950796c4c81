"""The data folder, its room, the secrets in it, the control socket, and the folder of sources."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ralnode.api import RalnodeError
from ralnode.cli.doctor.finding import Finding, Patient, bad, ok, warning
from ralnode.cli.text import size
from ralnode.host import secretfile
from ralnode.host.datadir import NODE_FILE
from ralnode.host.folderbook import FolderBook
from ralnode.host.identity import KEY_FILE, SECRET_BYTES, SECRET_FILE
from ralnode.host.node_options import NodeOptions
from ralnode.host.socketpath import node_socket


def look(patient: Patient) -> Iterator[Finding]:
    node = patient.config.node
    assert node.data_dir is not None, "config.load fills it in"
    yield from _same_disk(node.data_dir)
    yield writable(node.data_dir)
    yield from _room(patient, _existing(node.data_dir))
    yield from _secrets(node.data_dir)
    yield _socket(node.data_dir)
    if node.sources_dir is not None:
        yield _sources(node.sources_dir)


def _same_disk(data_dir: Path) -> Iterator[Finding]:
    """Nothing when it is the node's own."""
    try:
        FolderBook.of(data_dir, os.environ).check()
    except RalnodeError as error:
        yield bad("data folder", str(error), "do as it says; no node starts like this")


def writable(folder: Path) -> Finding:
    """Writes a small file and takes it away again; makes no folder."""
    place = _existing(folder)
    what = f"{folder}" if place == folder else f"{folder} (to be made in {place})"
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".ralnode-doctor-"):
            return ok("data folder", f"{what} can be written")
    except OSError as error:
        return bad(
            "data folder", f"{what} cannot be written: {error.strerror}",
            f"give this user (uid {os.geteuid()}) the right to write there, or set [node] data_dir",
        )  # fmt: skip


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.absolute().parents) if each.is_dir())


def _room(patient: Patient, place: Path) -> Iterator[Finding]:
    node, disk = patient.config.node, shutil.disk_usage(place)
    text = f"{size(disk.free)} free of {size(disk.total)}"
    if disk.free < node.disk_floor_bytes:
        yield bad(
            "room", f"{text}, less than the floor of {size(node.disk_floor_bytes)}: nothing can be stored",
            "free some space, point [node] data_dir to a larger disk, or lower [node] disk_floor",
        )  # fmt: skip
        return
    if patient.status is not None and patient.status.leftover_bytes:
        yield warning(
            "leftovers", f"{size(patient.status.leftover_bytes)} belong to adds and pulls that were never finished",
            "repeat those, or free the room: ralnode leftovers --delete",
        )  # fmt: skip
    capacity, used = _capacity(patient, node)
    if capacity is not None and capacity - used > disk.free - node.disk_floor_bytes:
        yield warning(
            "room", f"{text}, but the capacity promises {size(capacity - used)} more",
            "set a capacity that the disk really has: ralnode capacity SIZE",
        )  # fmt: skip
        return
    yield ok("room", text)


def _capacity(patient: Patient, node: NodeOptions) -> tuple[int | None, int]:
    """(declared capacity if known, bytes used of it)."""
    if patient.status is not None:
        me = next(each for each in patient.status.nodes if each.is_me)
        return me.capacity_bytes, me.used_bytes
    return node.capacity_bytes, 0


def _secrets(data_dir: Path) -> Iterator[Finding]:
    if not (data_dir / NODE_FILE).exists() and not (data_dir / SECRET_FILE).exists():
        yield ok(
            "membership",
            "this node has never run; the first start founds a cluster, or join one with: ralnode join CODE",
        )
        return
    for name, what in ((SECRET_FILE, "the cluster's secret"), (KEY_FILE, "this node's key")):
        try:
            found = secretfile.read_secret(data_dir / name, SECRET_BYTES)
            yield ok("membership", f"{what} is {'there, and nobody else may read it' if found else 'not made yet'}")
        except RalnodeError as error:
            yield bad("membership", str(error), "do as it says; without it this node is no member")


def _socket(data_dir: Path) -> Finding:
    try:
        return ok("control socket", str(node_socket(None, os.environ, data_dir)))
    except RalnodeError as error:
        return bad("control socket", str(error), "see there")


def _sources(folder: Path) -> Finding:
    if not folder.is_dir():
        return bad("sources", f"[node] sources_dir names {folder}, which is no folder", "make it, or take the line out")
    if not os.access(folder, os.R_OK | os.X_OK):
        return bad("sources", f"this user may not read {folder}", f"chmod o+rx {folder}, or run the node as its owner")
    return ok("sources", f"everything in {folder} is offered by reference")
