"""The file of a backup: a tar archive of a handful of small members, each with its SHA-256 in `backup.json`. No IO.

backup.json       what this is: format, node, cluster's group, when, by which version, digests
data/NAME         small files of the data folder: identity.key, cluster.secret, node.json, those of plugins
ralnode.toml      the configuration file, if there was one
state             DAG-CBOR [[name, document], …]: the catalogue
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from ralnode.api import UsageError
from ralnode.api.limits import GIB, MIB
from ralnode.core import dagcbor

FORMAT: Final = 1
ARCHIVE_BYTES_MAX: Final = GIB
"""A catalogue of 10,000 sources has 3 MB; more than this is no backup of ours."""

FILE_BYTES_MAX: Final = MIB
FILES_MAX: Final = 64
NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""Of a file in the data folder; no slash, so nothing can be written elsewhere."""

_ABOUT: Final = "backup.json"
_CONFIG: Final = "ralnode.toml"
_STATE: Final = "state"
_DATA: Final = "data/"


@dataclass(frozen=True, slots=True)
class About:
    """Whose backup it is. All of it may be shown to people; nothing of it is secret."""

    node: str
    """Its peer id."""
    name: str
    group: str
    made_unix_ms: int
    version: str
    source_count: int
    node_count: int
    """Nodes in its catalogue, itself included."""
    config_path: str = ""


@dataclass(frozen=True, slots=True)
class Contents:
    about: About
    files: Mapping[str, bytes]
    state: Mapping[bytes, bytes]
    config: bytes = b""
    """Of the configuration file; empty when there was none."""


@dataclass(slots=True)
class _Members:
    """Of an archive that is being read."""

    found: dict[str, bytes] = field(default_factory=dict)
    size_bytes: int = 0


def pack(contents: Contents) -> bytes:
    """The archive. Equal contents give equal bytes."""
    members = {_DATA + name: data for name, data in sorted(contents.files.items())}
    if contents.config:
        members[_CONFIG] = contents.config
    members[_STATE] = dagcbor.encode([[name, data] for name, data in sorted(contents.state.items())])
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}
    about = {"format": FORMAT, **asdict(contents.about), "sha256": digests}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in ((_ABOUT, json.dumps(about, indent=1).encode() + b"\n"), *members.items()):
            tar.addfile(_member(name, data, contents.about.made_unix_ms // 1000), io.BytesIO(data))
    return out.getvalue()


def _member(name: str, data: bytes, made: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(data), 0o600, made
    return info


def unpack(archive: bytes) -> Contents:
    """Raises UsageError for anything but a whole, undamaged backup of a format that is known here."""
    try:
        members = _read(archive)
        about = json.loads(members.pop(_ABOUT, b""))
        _check_format(about)
        return _checked(about, members)
    except (tarfile.TarError, ValueError, KeyError, TypeError, EOFError) as error:
        raise UsageError(f"this is no backup of a ralnode, or it is damaged: {error}. Nothing was changed") from error


def _read(archive: bytes) -> dict[str, bytes]:
    members = _Members()
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
        for info in tar:
            members.size_bytes += info.size
            if not info.isreg() or len(members.found) > FILES_MAX or members.size_bytes > ARCHIVE_BYTES_MAX:
                raise ValueError(f"unexpected member {info.name[:80]!r}")
            file = tar.extractfile(info)
            assert file is not None, "it is a regular file"
            members.found[info.name] = file.read()
    return members.found


def _check_format(about: Any) -> None:
    """Raises UsageError for a format that only a newer version knows."""
    if not isinstance(about, dict) or not isinstance(about.get("format"), int):
        raise ValueError("it says nothing about itself")
    if about["format"] > FORMAT:
        raise UsageError(
            f"this backup has format {about['format']}, made by ralnode {about.get('version')}; this one knows {FORMAT}. "
            "Nothing was changed. Install a newer ralnode"
        )


def _checked(about: dict[str, Any], members: Mapping[str, bytes]) -> Contents:
    if about["sha256"] != {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}:
        raise ValueError("its members do not have the digests that it names")
    files = {name.removeprefix(_DATA): data for name, data in members.items() if name.startswith(_DATA)}
    for name in files:
        if not NAME.fullmatch(name):
            raise ValueError(f"unexpected member {name[:80]!r}")
    known = {each.name: about[each.name] for each in fields(About)}
    return Contents(About(**known), files, dict(_documents(members[_STATE])), members.get(_CONFIG, b""))


def _documents(state: bytes) -> Iterator[tuple[bytes, bytes]]:
    for name, data in dagcbor.decode(state):
        if not isinstance(name, bytes) or not isinstance(data, bytes):
            raise ValueError("a document of the catalogue is malformed")
        yield name, data
