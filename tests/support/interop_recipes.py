"""The recipes of plugins/IPFS.md, so that what is tested is what people read."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "plugins" / "IPFS.md"


def recipe(name: str) -> list[str]:
    """Its lines."""
    found = re.search(
        rf"<!-- recipe: {re.escape(name)} -->\n```\w+\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    assert found is not None, f"{PAGE.name} has no recipe {name}"
    return found.group(1).rstrip("\n").split("\n")


def filled(line: str, **words: object) -> str:
    """With capitals replaced: `filled("curl http://NAS:8080/ipfs/CID", NAS__8080="127.0.0.1:9", CID="bafy…")`."""
    for word, value in words.items():
        line = re.sub(rf"\b{word.replace('__', ':')}\b", lambda _match, value=value: str(value), line)
    return line
