"""The values of IPLD documents, whatever their codec: null, booleans, numbers, text, bytes, lists, maps and links.

https://ipld.io/docs/data-model/. How they are written says dagcbor.py and dagjson.py; what is done with them, document.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias, Union

from ralnode.dag import cid as cids
from ralnode.dag.errors import DagError

DEPTH_MAX: Final = 128
"""Deep enough for people, and far from Python's own bound."""
VALUES_MAX: Final = 1 << 18
"""Of one document. A block of 2 MiB may have a million, in a hundred times its memory; nothing made for people has."""
INTEGER_MAX: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Link:
    cid: bytes


Value: TypeAlias = Union[bool, int, float, str, bytes, Link, list["Value"], dict[str, "Value"], None]  # noqa: UP007 - the names in quotes


def read_link(data: bytes) -> Link:
    """From bytes that are one CID and nothing else. Raises DagError."""
    cid, end = cids.read(data)
    if end != len(data):
        raise DagError("a link has bytes behind its CID")
    return Link(cid)


def check_depth(depth: int) -> None:
    if depth > DEPTH_MAX:
        raise DagError(f"the document is more than {DEPTH_MAX} levels deep")


class Budget:
    """How many values a document may still have."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = VALUES_MAX

    def take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise DagError(f"the document has more than {VALUES_MAX} values")
