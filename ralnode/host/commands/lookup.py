"""Finds the source or the node that a user's word means; says what there is when it means none or several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ralnode.api import NodeInfo, NotFoundError, Source, UsageError
from ralnode.dag import cid
from ralnode.host.options import suggest

_WORD_SHOWN_MAX: Final = 200


def find_source(sources: Sequence[Source], word: str) -> Source:
    """By name, else by CID in any of its forms. Raises NotFoundError, or UsageError when a name is not enough."""
    named = [source for source in sources if source.name == word]
    if len(named) > 1:
        listed = ", ".join(cid.to_text(source.root) for source in named[:5])
        raise UsageError(f"{len(named)} sources are called {_shown(word)}; say which by its CID: {listed}")
    if named:
        return named[0]
    key = _key(word)
    for source in sources:
        if key is not None and cid.to_key(source.root) == key:
            return source
    raise NotFoundError(f"no source is called {_shown(word)}{suggest(word, [s.name for s in sources[:1000]])}")


def find_node(nodes: Sequence[NodeInfo], word: str) -> NodeInfo:
    """By name, else by peer id. Raises NotFoundError, or UsageError when several have the name."""
    named = [node for node in nodes if node.name == word]
    if len(named) > 1:
        listed = ", ".join(cid.peer_id(node.id) for node in named[:5])
        raise UsageError(f"{len(named)} nodes are called {_shown(word)}; say which by its id: {listed}")
    for node in named or nodes:
        if named or cid.peer_id(node.id) == word:
            return node
    raise NotFoundError(f"no node is called {_shown(word)}{suggest(word, [n.name for n in nodes[:1000]])}")


def _key(word: str) -> bytes | None:
    try:
        return cid.to_key(cid.parse(word))
    except ValueError:
        return None


def _shown(word: str) -> str:
    return repr(word if len(word) <= _WORD_SHOWN_MAX else word[:_WORD_SHOWN_MAX] + "…")
