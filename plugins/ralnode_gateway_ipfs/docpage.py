"""An IPLD document as a page for people: what is in it, links to what it links to, and ways to download it.

All of it is text of a stranger: escaped, of bounded length, without scripts; nothing on the page is loaded from anywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from ralnode.dag import cid as cids
from ralnode.dag import document
from ralnode.dag.errors import DagError
from ralnode.dag.ipld import Link, Value
from ralnode_gateway_ipfs.policy import style_only

VALUES_SHOWN_MAX: Final = 5000
CHARS_SHOWN_MAX: Final = 2000
"""Of one text or key."""
CHARS_IN_ALL_MAX: Final = 1 << 18
BYTES_SHOWN_MAX: Final = 64
NAMES: Final = {cids.DAG_CBOR: "DAG-CBOR", cids.DAG_JSON: "DAG-JSON", cids.CBOR: "CBOR", cids.JSON: "JSON"}
_CODECS: Final = {**{codec: name.lower() for codec, name in NAMES.items()}, cids.RAW: "raw", cids.DAG_PB: "dag-pb"}
_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#59636e;--line:#d1d9e0;--paper:#fff;--link:#0550ae;--text:#0a5c2b;--number:#953800}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9198a1;--line:#3d444d;--paper:#0d1117;--link:#79b8ff;--text:#7ee2a0;--number:#ffb77c}}
body{margin:0 auto;padding:1.5rem;max-width:60rem;font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);overflow-wrap:anywhere}
h1{font-size:1.4rem;margin:0 0 1rem}h1 small{display:block;font-weight:normal;font-size:1rem;color:var(--soft)}
a{color:var(--link)}dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.2rem;margin:0 0 1rem}dt,i,.more{color:var(--soft)}dd{margin:0}
nav{display:flex;flex-wrap:wrap;gap:.5rem;margin:0 0 1.5rem}nav a{border:1px solid var(--line);border-radius:.4rem;padding:.2rem .7rem;text-decoration:none}
main{border-top:1px solid var(--line);padding-top:1rem;overflow-x:auto}ul{list-style:none;margin:0;padding:0 0 0 1.1rem;border-left:1px solid var(--line)}
li{padding:.1rem 0;min-width:14rem}i{font-size:.85rem;font-style:normal}summary{cursor:pointer}b,.t{white-space:pre-wrap}.t{color:var(--text)}.n{color:var(--number)}code{font-size:.9rem}
p[role=alert]{border-left:.3rem solid var(--number);padding-left:1rem}
"""
_TEMPLATE: Final = hashlib.sha256(b"1" + _STYLE.encode()).hexdigest()[:16]
"""Changes when the page looks different."""
SECURITY_POLICY: Final = style_only(_STYLE)
_KINDS: Final = {dict: "map", list: "list", str: "text"}
_BIDI: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They could let a text look like another."""


@dataclass(frozen=True, slots=True)
class Download:
    label: str
    query: str


@dataclass(slots=True)
class _Room:
    """What may still be shown."""

    values: int = VALUES_SHOWN_MAX
    chars: int = CHARS_IN_ALL_MAX

    def cut(self, text: str) -> str:
        """What of a text may be shown."""
        found = text[: min(CHARS_SHOWN_MAX, self.chars)]
        self.chars -= len(found)
        return found


def page_etag(cid: bytes) -> str:
    return f'"DagIndex-{_TEMPLATE}_CID-{cids.to_text(cid)}"'


def render_page(path: str, cid: bytes, block: bytes, downloads: Sequence[Download]) -> bytes:
    """`path`: as it was asked for. A document that cannot be read has a page, too, which says why."""
    codec, text = cids.codec_of(cid), cids.to_text(cid)
    facts = {"CID": text, "Codec": f"{_CODECS[codec]} ({codec:#x})", "Size": _count(len(block), "byte")}
    return "".join(
        (
            f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{_shown(path)}</title>'
            f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>\n',
            f"<h1>{NAMES[codec]} document <small>{_shown(path)}</small></h1>\n<dl>",
            *(f"<dt>{name}</dt><dd>{fact}</dd>" for name, fact in facts.items()),
            '</dl>\n<nav aria-label="Downloads">',
            *(f'<a href="/ipfs/{text}?{escape(each.query)}">{each.label}</a>' for each in downloads),
            "</nav>\n<main>",
            *_content(codec, block),
            "</main></body></html>\n",
        )
    ).encode()


def _content(codec: int, block: bytes) -> Iterator[str]:
    try:
        value = document.decode(codec, block)
    except DagError as error:
        yield f'<p role="alert">It cannot be shown: {_shown(str(error))}. The downloads above have its bytes.</p>'
        return
    yield from _value("", value, _Room())


def _value(label: str, value: Value, room: _Room) -> Iterator[str]:
    """`label` is HTML and stands before it."""
    room.values -= 1
    if isinstance(value, dict) and value:
        named = ((f"<b><bdi>{_shown(room.cut(key)) or '<i>empty</i>'}</bdi></b> ", each) for key, each in value.items())
        yield from _group(label, f"map, {_count(len(value), 'entry')}", named, len(value), room)
    elif isinstance(value, list) and value:
        numbered = ((f"<i>{index}</i> ", each) for index, each in enumerate(value))
        yield from _group(label, f"list, {_count(len(value), 'value')}", numbered, len(value), room)
    else:
        yield f"{label}{_text(value, room) if isinstance(value, str) and value else _plain(value)}"


def _group(label: str, kind: str, entries: Iterator[tuple[str, Value]], count: int, room: _Room) -> Iterator[str]:
    yield f"<details open><summary>{label}<i>{kind}</i></summary><ul>"
    for shown, (name, each) in enumerate(entries):
        if room.values <= 0:
            yield f'<li class="more">… and {count - shown:,} more, which are not shown</li>'
            break
        yield "<li>"
        yield from _value(name, each, room)
        yield "</li>\n"
    yield "</ul></details>"


def _text(value: str, room: _Room) -> str:
    shown = room.cut(value)
    rest = len(value) - len(shown)
    more = f' <i class="more">… and {_count(rest, "character")} more</i>' if rest else ""
    return f'<bdi class="t">{_shown(shown)}</bdi>{more}'


def _plain(value: Value) -> str:
    """A value without others in it, and without text."""
    if isinstance(value, Link):
        text, codec = cids.to_text(value.cid), cids.codec_of(value.cid)
        return f'<a href="/ipfs/{text}">{text}</a> <i>{_CODECS.get(codec, hex(codec))}</i>'
    if isinstance(value, bytes):
        more = "…" if len(value) > BYTES_SHOWN_MAX else ""
        return f"<code>{value[:BYTES_SHOWN_MAX].hex(' ', 4)}{more}</code> <i>{_count(len(value), 'byte')}</i>"
    if isinstance(value, dict | list | str):
        return f"<i>empty {_KINDS[type(value)]}</i>"
    word = (
        {None: "null", True: "true", False: "false"}[value]
        if value is None or value is True or value is False
        else value
    )
    return f'<span class="n">{word!s}</span>'


def _shown(text: str) -> str:
    """Escaped; what is invisible, or turns the direction of what follows, is spelt out."""
    clean = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return escape("".join(c if _is_visible(c) else f"\\u{ord(c):04x}" for c in clean))


def _is_visible(char: str) -> bool:
    return char in "\n\t" or (char >= " " and not "\x7f" <= char <= "\x9f" and char not in _BIDI)


def _count(number: int, noun: str) -> str:
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"
