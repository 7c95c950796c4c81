"""Path Gateway for blocks that are IPLD documents: as they are, in another codec where that is allowed, or as a page."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from ralnode.api import UnavailableError
from ralnode.dag import cid as cids
from ralnode.dag import document
from ralnode.dag.trustless import GatewayError
from ralnode_gateway_ipfs import codecs
from ralnode_gateway_ipfs.answer import Answer, disposition
from ralnode_gateway_ipfs.asked import Asked, Form
from ralnode_gateway_ipfs.blocks import View
from ralnode_gateway_ipfs.docpage import NAMES, SECURITY_POLICY, Download, page_etag, render_page
from ralnode_gateway_ipfs.listing import LISTING_CACHE
from ralnode_gateway_ipfs.ranges import ranged

_DOCUMENTS: Final[Mapping[int, tuple[str, tuple[Form, ...]]]] = {
    cids.DAG_CBOR: ("application/vnd.ipld.dag-cbor", (Form.DAG_CBOR, Form.CBOR)),
    cids.DAG_JSON: ("application/vnd.ipld.dag-json", (Form.DAG_JSON, Form.JSON)),
    cids.JSON: ("application/json", (Form.JSON,)),
    cids.CBOR: ("application/cbor", (Form.CBOR,)),
}
"""Codec -> its media type, and what may be asked for to get it as it is (IPIP-524)."""
_TARGETS: Final[Mapping[Form, int]] = {Form.DAG_JSON: cids.DAG_JSON, Form.DAG_CBOR: cids.DAG_CBOR}
_CONVERTED: Final = (cids.RAW, cids.DAG_PB, *document.LINKED)


def is_conversion(asked: Asked, codec: int) -> bool:
    """Whether it is asked for in a codec that it does not have, and could be given in."""
    return codec in _CONVERTED and asked.form in _TARGETS and _TARGETS[asked.form] != codec


async def answer_converted(view: View, asked: Asked, cid: bytes, headers: dict[str, str]) -> Answer:
    """Raises GatewayError, DagError."""
    form = asked.form
    headers.update(
        {"etag": f'"{cids.to_text(cid)}.{form.value}"', "content-type": f"application/vnd.ipld.{form.value}"}
    )
    _name(asked, cid, form.value, headers)
    if asked.has_tag(headers["etag"]):
        return Answer(304, headers)
    block = await _block(view, cid)
    made = await asyncio.to_thread(codecs.convert, cids.codec_of(cid), block, _TARGETS[form])
    return ranged(asked, headers, made)


async def answer_document(view: View, asked: Asked, cid: bytes, headers: dict[str, str], *, converts: bool) -> Answer:
    """A page to people; the block as it is to whoever asked for its codec or for nothing in particular. Raises
    GatewayError."""
    codec = cids.codec_of(cid)
    if asked.wants_page and codec in NAMES:
        return await _page(view, asked, cid, headers, converts=converts)
    media_type, forms = _DOCUMENTS.get(codec, ("application/octet-stream", ()))
    if asked.form is not Form.FILE and asked.form not in forms:
        raise GatewayError(406, f"the block has codec {codec:#x} and is not converted; ?format=raw gives its bytes")
    kind = forms[0].value if forms and asked.form is Form.FILE else asked.form.value
    if asked.form in (Form.JSON, Form.CBOR):
        media_type = f"application/{asked.form.value}"
    headers.update({"etag": f'"{cids.to_text(cid)}.{kind}"', "content-type": media_type, "accept-ranges": "bytes"})
    _name(asked, cid, kind, headers)
    if asked.has_tag(headers["etag"]):
        return Answer(304, headers)
    return ranged(asked, headers, await _block(view, cid))


async def _page(view: View, asked: Asked, cid: bytes, headers: dict[str, str], *, converts: bool) -> Answer:
    headers.update({"etag": page_etag(cid), "cache-control": LISTING_CACHE, "content-type": "text/html; charset=utf-8"})
    headers["content-security-policy"] = SECURITY_POLICY
    if asked.has_tag(headers["etag"]):
        return Answer(304, headers)
    block = await _block(view, cid)
    downloads = _downloads(cids.codec_of(cid), converts=converts)
    return Answer(200, headers, await asyncio.to_thread(render_page, asked.path, cid, block, downloads))


def _downloads(codec: int, *, converts: bool) -> list[Download]:
    own = _DOCUMENTS[codec][1][0]
    found = [
        Download(f"{NAMES[codec]} as it is", f"format={own.value}&download=true"),
        Download("Raw block", "format=raw"),
    ]
    if codec in document.LINKED:
        found.append(Download("CAR with all that it links to", "format=car"))
        others = [form for form, target in _TARGETS.items() if converts and target != codec]
        found += [Download(f"As {form.value.upper()}", f"format={form.value}&download=true") for form in others]
    return found


def _name(asked: Asked, cid: bytes, kind: str, headers: dict[str, str]) -> None:
    """And place. What can be read is shown by browsers, the rest is saved."""
    ending = "json" if "json" in kind else "cbor" if "cbor" in kind else "bin"
    is_shown = ending == "json" and asked.query.get("download") != "true"
    name = asked.query.get("filename") or f"{cids.to_text(cid)}.{ending}"
    headers["content-disposition"] = disposition("inline" if is_shown else "attachment", name)
    if asked.form is not Form.FILE:
        headers.update(asked.location())


async def _block(view: View, cid: bytes) -> bytes:
    try:
        return await view.one(cids.to_key(cid))
    except UnavailableError as error:
        raise GatewayError(404, str(error)) from None
