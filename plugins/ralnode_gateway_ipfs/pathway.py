"""Path Gateway for /ipfs/: what lies at a path, as a browser wants it. Files, folders, archives and IPLD documents each
have a file of their own."""

from __future__ import annotations

from typing import Final

from ralnode.api import NodeControl, UnavailableError
from ralnode.dag import cid as cids
from ralnode.dag.errors import DagError, PathError
from ralnode.dag.path import Resolved, read_node, resolve
from ralnode.dag.trustless import IMMUTABLE, GatewayError
from ralnode.dag.unixfs import Kind
from ralnode_gateway_ipfs import jsonfile
from ralnode_gateway_ipfs.answer import HEADER_CHARS_MAX, Answer, begin, disposition, refusal
from ralnode_gateway_ipfs.asked import Asked, Form, escape_path
from ralnode_gateway_ipfs.blocks import View
from ralnode_gateway_ipfs.documents import answer_converted, answer_document, is_conversion
from ralnode_gateway_ipfs.files import answer_file
from ralnode_gateway_ipfs.listing import LISTING_CACHE, LISTING_POLICY, listing_etag, write_listing
from ralnode_gateway_ipfs.resolving import resolve_path
from ralnode_gateway_ipfs.tar import write_tar

_INDEX: Final = b"index.html"


async def answer_path(node: NodeControl, asked: Asked, *, local_only: bool, converts: bool) -> Answer:
    """`converts`: from codec to codec, where asked. Raises GatewayError, UnavailableError, DagError."""
    view = View(node, asked.root, local_only=local_only)
    roots = await resolve_path(view, asked.root, asked.names)
    headers = _headers(asked, roots)
    codec = cids.codec_of(roots[-1])
    if converts and is_conversion(asked, codec):
        return await answer_converted(view, asked, roots[-1], headers)
    if codec not in (cids.RAW, cids.DAG_PB):
        return await answer_document(view, asked, roots[-1], headers, converts=converts)
    if asked.form in (Form.DAG_JSON, Form.DAG_CBOR):
        raise GatewayError(406, "this is UnixFS and is not converted to another codec; ?format=raw gives the block")
    found = await _open(view, roots[-1])
    name = asked.names[-1] if asked.names else b""
    if asked.form is Form.TAR:
        return await _tar(view, asked, found, headers)
    if asked.form in (Form.JSON, Form.CBOR) and not asked.takes_anything:
        return await _json(view, asked, found, headers, name)
    if found.node.kind in (Kind.DIRECTORY, Kind.SHARD):
        return await _directory(view, asked, found, headers)
    if found.node.kind == Kind.SYMLINK:
        return Answer(200, {**headers, "content-type": "inode/symlink"}, found.node.data)
    return await _file(view, asked, found, headers, name)


def _headers(asked: Asked, roots: list[bytes]) -> dict[str, str]:
    """Under 2 KiB in all: what repeats a long path is left out."""
    headers = {"etag": f'"{cids.to_text(roots[-1])}"', "cache-control": IMMUTABLE, "vary": "Accept"}
    path = escape_path(asked.path)
    shown = ",".join(cids.to_text(cid) for cid in roots)
    if len(path) <= HEADER_CHARS_MAX:
        headers["x-ipfs-path"] = path
    if len(shown) <= HEADER_CHARS_MAX:
        headers["x-ipfs-roots"] = shown
    return headers


async def _open(view: View, cid: bytes) -> Resolved:
    """Raises GatewayError 404: a root that nobody has is not here."""
    try:
        return await view.drive(read_node(cid))
    except UnavailableError as error:
        raise GatewayError(404, str(error)) from None
    except DagError as error:
        raise GatewayError(422, f"this is no file or folder: {error}") from None


async def _file(
    view: View, asked: Asked, found: Resolved, headers: dict[str, str], name: bytes, typed_as: str = ""
) -> Answer:
    """`typed_as`: the name that decides the type, if another one than its own."""
    shown = asked.query.get("filename") or name.decode("utf-8", "replace")
    if asked.query.get("download") == "true":
        headers["content-disposition"] = disposition("attachment", shown or cids.to_text(found.cid))
    elif asked.query.get("filename"):
        headers["content-disposition"] = disposition("inline", shown)
    if asked.has_tag(headers["etag"]):
        return Answer(304, headers)
    return await answer_file(view, asked, found, headers, typed_as or shown)


async def _json(view: View, asked: Asked, found: Resolved, headers: dict[str, str], name: bytes) -> Answer:
    """A file of JSON as what it is, whatever its name; nothing else of UnixFS is JSON or CBOR (IPIP-524)."""
    if asked.form is Form.CBOR or not found.node.is_file or not await jsonfile.is_json(view, found, name):
        raise GatewayError(406, f"this is UnixFS and no {asked.form.value}; ?format=raw gives the block")
    headers.update(asked.location())
    return await _file(view, asked, found, headers, name, jsonfile.NAME)


async def _directory(view: View, asked: Asked, found: Resolved, headers: dict[str, str]) -> Answer:
    if not asked.path.endswith("/"):
        # The path begins with /ipfs/, so it cannot be taken for another host.
        location = escape_path(asked.path) + "/" + (f"?{asked.raw_query}" if asked.raw_query else "")
        if len(location) > HEADER_CHARS_MAX * 3:
            raise GatewayError(400, "the path of a folder must end with a slash; this one is too long to be sent back")
        if len(location) > HEADER_CHARS_MAX:
            headers = {name: value for name, value in headers.items() if not name.startswith("x-ipfs-")}
        return refusal(301, "This folder is at its path with a slash behind it.", {**headers, "location": location})
    try:
        index = await view.drive(resolve(found.cid, [_INDEX]))
    except PathError:
        index = None
    if index is not None and index.node.is_file:
        return await _file(view, asked, index, headers, _INDEX)
    headers.update({"etag": listing_etag(found.cid), "cache-control": LISTING_CACHE})
    if asked.has_tag(headers["etag"]):
        return Answer(304, headers)
    headers["content-type"] = "text/html; charset=utf-8"
    headers["content-security-policy"] = LISTING_POLICY
    return await begin(headers, write_listing(view, asked, found))


async def _tar(view: View, asked: Asked, found: Resolved, headers: dict[str, str]) -> Answer:
    text = cids.to_text(found.cid)
    headers["etag"] = f'W/"{text}.x-tar"'
    headers["content-type"] = "application/x-tar"
    headers["content-disposition"] = disposition("attachment", asked.query.get("filename") or f"{text}.tar")
    headers.update(asked.location())
    if asked.has_tag(headers["etag"]):
        return Answer(304, headers)
    return await begin(headers, write_tar(view, found))
