"""From what the user says about a cluster to a scene: `4TB,attic=2TB@cellar,500GB*3`, a TOML or JSON file, or the view of the
running node. Every refusal names the part that was not understood. Which planners, and what to print, is not known here.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from ralnode.api import ConfigError, LocalError, Source, UsageError
from ralnode.api.limits import COPIES_MAX, MIB
from ralnode.core.whatif.scene import Machine, Scene, free_name, invented_machine, invented_source
from ralnode.host.answers import ViewAnswer
from ralnode.host.options import parse
from ralnode.host.quantities import parse_size

NODES_MAX: Final = 1000
SOURCES_MAX: Final = 100_000
SIZE_BYTES_MAX: Final = 1 << 60
FILE_BYTES_MAX: Final = 16 << 20
USUAL_FILLING: Final = 0.6
"""Of the room for blocks: what invented sources take with all their copies when nothing is said about them."""

T = TypeVar("T")
_PART: Final = re.compile(
    r"(?:(?P<name>[^=@*:,]+)=)?(?P<size>[^=@*:,]+)(?:\*(?P<count>\d{1,6}))?(?:@(?P<zone>[^=@*:,]+))?(?::(?P<copies>\d{1,3}))?"
)


@dataclass(frozen=True, slots=True)
class NodeWords:
    """`[[nodes]]` of a file. `count` alike machines get numbered names."""

    capacity_bytes: int
    name: str = ""
    zone: str = ""
    count: int = 1

    def __post_init__(self) -> None:
        _within("capacity", self.capacity_bytes, SIZE_BYTES_MAX)
        _within("count", self.count, NODES_MAX)
        _printable(self.name, self.zone)


@dataclass(frozen=True, slots=True)
class SourceWords:
    """`[[sources]]` of a file."""

    size_bytes: int
    name: str = ""
    copies: int = 2
    priority: int = 0
    block_bytes: int = MIB
    count: int = 1

    def __post_init__(self) -> None:
        _within("size", self.size_bytes, SIZE_BYTES_MAX)
        _within("copies", self.copies, COPIES_MAX)
        _within("block", self.block_bytes, 64 * MIB)
        _within("count", self.count, SOURCES_MAX)
        _printable(self.name)


@dataclass(frozen=True, slots=True)
class _Words:
    nodes: tuple[NodeWords, ...] = ()
    sources: tuple[SourceWords, ...] = ()


def nodes_in(text: str) -> tuple[list[NodeWords], list[SourceWords]]:
    """From `--nodes`: a list of sizes, or a file, which may describe sources too. Raises UsageError, LocalError."""
    if text.endswith((".toml", ".json")):
        words = _file(Path(text).expanduser())
        if not words.nodes:
            raise UsageError(f"{text} describes no [[nodes]]; see: ralnode plan simulate --help")
        return list(words.nodes), list(words.sources)
    return [_node(part) for part in _parts("--nodes", text)], []


def sources_in(text: str) -> list[SourceWords]:
    """From `--sources`: `films=2TB:3,500GB*4`. Raises UsageError."""
    return [_source(part) for part in _parts("--sources", text)]


def machines(words: Sequence[NodeWords], seed: int, taken: set[str], stem: str = "node") -> list[Machine]:
    """With names that nobody has yet; `taken` grows by them."""
    made: list[Machine] = []
    for each in words:
        for _ in range(each.count):
            number = len(made) + 1
            name = each.name if each.name and each.count == 1 else f"{each.name or stem}-{number}"
            made.append(invented_machine(seed, free_name(name, taken), each.capacity_bytes, each.zone))
    if len(made) > NODES_MAX:
        raise UsageError(f"{len(made):,} nodes: a simulation takes at most {NODES_MAX:,}")
    return made


def sources(words: Sequence[SourceWords], seed: int) -> list[Source]:
    """Invented ones, as described."""
    if sum(each.count for each in words) > SOURCES_MAX:
        raise UsageError(f"a simulation takes at most {SOURCES_MAX:,} sources")
    made: list[Source] = []
    taken: set[str] = set()
    for each in words:
        for _ in range(each.count):
            name = each.name if each.name and each.count == 1 else f"{each.name or 'source'}-{len(made) + 1}"
            unique = free_name(name, taken)
            made.append(invented_source(seed, unique, each.size_bytes, each.block_bytes, each.copies, each.priority))
    return made


def usual_sources(scene: Scene, seed: int) -> list[Source]:
    """Four alike ones that fill the cluster to USUAL_FILLING with two copies."""
    copies = min(2, len(scene.machines))
    each = int(scene.room_bytes * USUAL_FILLING / max(1, copies) / 4)
    return sources([SourceWords(max(1, each), "data", count=4)], seed)


def present(answer: ViewAnswer) -> Scene:
    """The cluster as the running node plans for it."""
    taken: set[str] = set()
    nodes = [
        Machine(bytes.fromhex(n.id), free_name(n.name or n.id[:12], taken), n.capacity_bytes, n.zone)
        for n in answer.nodes
    ]
    held = [
        Source(
            bytes.fromhex(s.root), s.name, s.size_bytes, s.leaf_count, s.leaf_bytes, s.interior_count, s.interior_bytes,
            s.copies, s.priority,
        )
        for s in answer.sources
    ]  # fmt: skip
    return Scene("as it is", tuple(nodes), tuple(held))


# --- words


def _parts(option: str, text: str) -> list[re.Match[str]]:
    found = []
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise UsageError(
                f"{option}: cannot understand {part.strip()!r}; write 4TB, attic=4TB, 500GB*3 and the like"
            )
        found.append(match)
    return found


def _node(part: re.Match[str]) -> NodeWords:
    if part["copies"]:
        raise UsageError(f"--nodes: {part[0]!r}: copies (:{part['copies']}) belong to --sources")
    return _made(NodeWords, part, capacity=part["size"], name=part["name"], zone=part["zone"], count=part["count"])


def _source(part: re.Match[str]) -> SourceWords:
    if part["zone"]:
        raise UsageError(f"--sources: {part[0]!r}: a zone (@{part['zone']}) belongs to --nodes")
    return _made(SourceWords, part, size=part["size"], name=part["name"], copies=part["copies"], count=part["count"])


def _made(cls: type[T], part: re.Match[str], **words: str | None) -> T:
    table: dict[str, Any] = {key: value.strip() for key, value in words.items() if value is not None}
    table |= {key: int(table[key]) for key in ("copies", "count") if key in table}
    for key in ("capacity", "size"):
        if key in table:
            table[f"{key}_bytes"] = _size(table.pop(key), part[0])
    try:
        return cls(**table)
    except ValueError as error:
        raise UsageError(f"{part[0]!r}: {error}") from error


def _size(text: str, part: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise UsageError(f"{part!r}: {error}") from error


# --- files


def _file(path: Path) -> _Words:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise LocalError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > FILE_BYTES_MAX:
        raise UsageError(f"{path} is larger than {FILE_BYTES_MAX >> 20} MiB: that is no description of a cluster")
    try:
        text = data.decode()
        table = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:
        raise UsageError(f"{path} is no {path.suffix[1:].upper()}: {error}") from error
    if not isinstance(table, dict):
        raise UsageError(f"{path}: the whole must be an object with nodes and sources")
    try:
        return parse(_Words, table, str(path))
    except ConfigError as error:
        raise UsageError(str(error)) from error


def _within(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise ValueError(f"{name} must be from 1 to {most:,}, not {value:,}")


def _printable(*words: str) -> None:
    for word in words:
        if len(word) > 40 or not word.isprintable():
            raise ValueError(f"{word[:50]!r}: names and zones are printable and have at most 40 characters")
