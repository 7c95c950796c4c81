"""Whether a file is JSON, for whoever asks for JSON: a file has no codec that would say so."""

from __future__ import annotations

import asyncio
import json
from typing import Final

from ralnode.dag.path import Resolved
from ralnode_gateway_ipfs.blocks import View
from ralnode_gateway_ipfs.files import read_file
from ralnode_gateway_ipfs.ranges import Span

CHECKED_BYTES_MAX: Final = 256 * 1024
"""Parsed, it takes twenty times as much. Of larger files only the beginning is looked at."""
_BEGINNING_BYTES: Final = 64
NAME: Final = "file.json"
"""Of such a file, for its type."""


async def is_json(view: View, found: Resolved, name: bytes) -> bool:
    """Raises CutShortError."""
    if name.lower().endswith(b".json"):
        return True
    is_small = found.node.size_bytes <= CHECKED_BYTES_MAX
    span = Span(0, found.node.size_bytes if is_small else _BEGINNING_BYTES)
    content = b"".join([piece async for piece in read_file(view, found, span)])
    return await asyncio.to_thread(_parses, content) if is_small else content.lstrip()[:1] in (b"{", b"[")


def _parses(content: bytes) -> bool:
    try:
        json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        return False
    return True
