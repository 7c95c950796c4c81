"""What a merge into the catalogue has changed, and what it refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from ralnode.api.model import NodeId, Root, Source
from ralnode.core import catalogue_state as state
from ralnode.core.authormap import AuthorMap

Documents: TypeAlias = dict[bytes, bytes | None]
"""State documents to make durable, by name; None deletes."""


class Refusal(NamedTuple):
    """A record that was not taken, or (`malformed`, `made by another version`) taken but not understood."""

    author: NodeId
    seq: int
    """0 when it could not be read."""
    reason: str
    """`bad signature`, `clock too far ahead`, `too many …`, `malformed: …`, `made by another version …`"""

    def __str__(self) -> str:
        return f"{self.reason} (author {self.author.hex()[:12]}, number {self.seq or 'unknown'})"


@dataclass(frozen=True, slots=True)
class Merged:
    """What has changed."""

    documents: Documents
    sources: Mapping[Root, Source | None]
    """Roots whose record that counts is another one now, with the live source that they had before (None: none)."""
    nodes: frozenset[NodeId]
    """Nodes whose record is new."""
    authors: frozenset[NodeId]
    """Authors of whom more is known now."""
    refused: tuple[Refusal, ...]
    more: bool
    """The sender had to cut its deltas, and they brought something: ask it again at once."""
    own_changed: bool
    """Records of this node were written: announce the new version."""
    own_number_jumped: bool
    """Others knew later records of ours than we: this node lost its disk, or another one uses its key."""


class Change:
    """Collects a `Merged` while a call runs."""

    __slots__ = ("authors", "documents", "more", "nodes", "own_changed", "own_jumped", "refused", "roots", "touched")

    def __init__(self) -> None:
        self.documents: Documents = {}
        self.roots: dict[Root, Source | None] = {}
        self.nodes: set[NodeId] = set()
        self.authors: set[NodeId] = set()
        self.refused: list[Refusal] = []
        self.more = self.own_changed = self.own_jumped = False
        self.touched: dict[NodeId, AuthorMap] = {}
        """Maps whose own document is to be written at the end."""

    def finish(self) -> Documents:
        for author, author_map in self.touched.items():
            self.documents[state.author_name(author)] = state.encode_author(author_map)
        return self.documents

    def merged(self) -> Merged:
        nodes, authors = frozenset(self.nodes), frozenset(self.authors)
        refused = tuple(self.refused)
        return Merged(self.finish(), self.roots, nodes, authors, refused, self.more, self.own_changed, self.own_jumped)
