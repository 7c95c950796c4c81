"""Trustless Gateway: one raw block, or a CAR. What a request means and which blocks follow says ralnode.dag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from typing import Final

from ralnode.api import NodeControl, UnavailableError
from ralnode.dag import car
from ralnode.dag import cid as cids
from ralnode.dag.carplan import Emit, plan_car
from ralnode.dag.errors import DagError
from ralnode.dag.trustless import Format, GatewayError, GatewayRequest, parse_request
from ralnode_gateway_ipfs.answer import HEADER_CHARS_MAX, Answer, Body, CutShortError, begin, disposition
from ralnode_gateway_ipfs.asked import Asked, Form, escape_path
from ralnode_gateway_ipfs.blocks import View, local_block
from ralnode_gateway_ipfs.ranges import ranged
from ralnode_gateway_ipfs.resolving import resolve_path

_WRITE_BYTES: Final = 256 * 1024


async def answer_trustless(node: NodeControl, asked: Asked, *, local_only: bool) -> Answer:
    """Raises GatewayError."""
    wanted = _parse(asked)
    local_only = local_only or asked.is_head
    view = View(node, asked.root, local_only=local_only)
    roots = [asked.root]
    if wanted.format is Format.RAW and asked.names:
        roots = await resolve_path(view, asked.root, asked.names)
        wanted = replace(wanted, cid=roots[-1])
    if asked.has_tag(wanted.etag):
        return Answer(304, _headers(wanted, asked, roots))
    headers = _headers(wanted, asked, roots)
    if wanted.format is Format.CAR:
        await _root_block(node, view, wanted, local_only=local_only)
        return await begin(headers, _car(view, wanted))
    block = await _root_block(node, view, wanted, local_only=local_only)
    return ranged(asked, headers, block)


def _parse(asked: Asked) -> GatewayRequest:
    if asked.form is Form.CAR:
        path = asked.path.rstrip("/")
        return replace(parse_request(path, asked.query, asked.headers), path=asked.names)
    return GatewayRequest(asked.root, [], Format.RAW)


def _headers(wanted: GatewayRequest, asked: Asked, roots: list[bytes]) -> Mapping[str, str]:
    headers = wanted.headers()
    path = escape_path(asked.path)
    if len(path) <= HEADER_CHARS_MAX:
        headers["x-ipfs-path"] = path
    shown = ",".join(cids.to_text(cid) for cid in roots)
    if len(shown) <= HEADER_CHARS_MAX:
        headers["x-ipfs-roots"] = shown
    if wanted.format is Format.RAW:
        headers["accept-ranges"] = "bytes"
    headers.update(asked.location({"car-dups": "y"} if wanted.allows_duplicates else {}))
    if asked.query.get("filename"):
        headers["content-disposition"] = disposition("attachment", asked.query["filename"])
    return headers


async def _root_block(node: NodeControl, view: View, wanted: GatewayRequest, *, local_only: bool) -> bytes:
    """Raises GatewayError 404 when it is not to be had."""
    block = await local_block(node, wanted.key)
    if block is None and not local_only:
        try:
            block = await view.one(wanted.key)
        except UnavailableError:
            block = None
    if block is None:
        raise GatewayError(404, "this block is not here")
    return block


async def _car(view: View, wanted: GatewayRequest) -> Body:
    """Ends with CutShortError at a block that is not to be had."""
    yield car.encode_header([wanted.cid])
    try:
        async for step in view.stream(plan_car(wanted)):
            assert isinstance(step, Emit)
            for piece in _writes(step):
                yield piece
    except (DagError, UnavailableError) as error:
        raise CutShortError(str(error)) from error


def _writes(step: Emit) -> list[bytes]:
    """Small sections go together, large ones by themselves."""
    sections = [(car.section_prefix(key, len(data)), data) for key, data in step.blocks]
    if sum(len(data) for _, data in sections) <= _WRITE_BYTES:
        return [b"".join(chain.from_iterable(sections))]
    return [b"".join(section) for section in sections]
