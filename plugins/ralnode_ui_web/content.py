"""Downloads: a file of the cluster with ranges, a folder as a list or as a tar. Never served as something a browser runs.

Whatever the content is, it comes as an attachment of no known type, in a sandbox: it lies on the page's own origin, and a
stored page must not act with the rights of whoever looks at it.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from ralnode.api import NodeControl, Reading, UsageError
from ralnode.dag import cid
from ralnode_ui_web.bounds import FOLDER_ENTRIES_MAX
from ralnode_ui_web.ranges import UnsatisfiableError, is_known, part_of
from ralnode_ui_web.replies import Replies
from ralnode_ui_web.tar import tar_of

_ALWAYS: Final = {
    "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-cache",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_NAME_CHARS_MAX: Final = 200
_NOT_IN_NAMES: Final = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|\u200e\u200f\u202a-\u202e\u2066-\u2069]')
"""What no file system takes, and marks that turn text round (`gpj.exe`)."""


class Contents:
    """Routes under /content and /api/v1/content."""

    def __init__(self, node: NodeControl, replies: Replies) -> None:
        self._node = node
        self._replies = replies

    def routes(self) -> list[Route]:
        return [
            Route(f"{base}/{{root:str}}{rest}", self.get, methods=["GET"])  # Starlette adds HEAD
            for base in ("/content", "/api/v1/content")
            for rest in ("", "/{path:path}")
        ]

    async def get(self, request: Request) -> Response:
        root, path = request.path_params["root"], request.path_params.get("path", "").strip("/")
        try:
            cid.parse(root)
        except ValueError as error:
            raise UsageError(f"{root[:80]!r} is no CID") from error
        found = await self._node.open(f"/ipfs/{root}/{path}".rstrip("/"))
        name = self._name(root) if not path else path.rpartition("/")[2]
        if found.kind == "file":
            return self._file(request, found, name)
        if found.kind != "directory":
            raise UsageError(f"{name[:80]!r} is a {found.kind}; it has no bytes to download")
        if request.query_params.get("format") == "tar":
            headers = {**_ALWAYS, "Content-Disposition": disposition(f"{name}.tar")}
            return StreamingResponse(tar_of(self._node, found, safe_name(name)), 200, headers, "application/x-tar")
        return await self._folder(request, found, root, path, name)

    def _name(self, root: str) -> str:
        """As the catalogue calls it; a source's own node in the DAG has no name."""
        return next((source.name for source in self._node.status().sources if source.root == root), root)

    def _file(self, request: Request, found: Reading, name: str) -> Response:
        etag = f'"{cid.to_text(found.cid)}"'
        headers = {**_ALWAYS, "ETag": etag, "Accept-Ranges": "bytes", "Content-Disposition": disposition(name)}
        if is_known(request.headers.get("if-none-match"), etag):
            return Response(None, 304, headers)
        asked = request.headers
        try:
            part = part_of(asked.get("range"), asked.get("if-range"), etag, found.size_bytes)
        except UnsatisfiableError:
            return Response(None, 416, {**headers, "Content-Range": f"bytes */{found.size_bytes}"})
        start, stop = part or (0, found.size_bytes)
        headers["Content-Length"] = str(stop - start)
        if part is not None:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{found.size_bytes}"
        status = 200 if part is None else 206
        if request.method == "HEAD":
            return Response(None, status, headers, "application/octet-stream")
        return StreamingResponse(found.read(start, stop - start), status, headers, "application/octet-stream")

    async def _folder(self, request: Request, found: Reading, root: str, path: str, name: str) -> Response:
        base = f"/content/{root}" + (f"/{_quoted(path)}" if path else "")
        entries: list[dict[str, Any]] = []
        more = 0
        async for child, _key, size_bytes in found.entries():
            if len(entries) < FOLDER_ENTRIES_MAX:
                entries.append({"name": _shown(child), "href": f"{base}/{_quoted(child)}", "size_bytes": size_bytes})
            else:
                more += 1
        up = f"/content/{root}/{_quoted(path.rpartition('/')[0])}".rstrip("/") if path else ""
        return self._replies.page(
            request, "folder.html", name=_shown(name), root=root, path=_shown(path), up=up, entries=tuple(entries),
            more=more, tar_href=f"{base}?format=tar",
        )  # fmt: skip


def disposition(name: str) -> str:
    """RFC 6266: for every client a plain name, for new ones the whole of it."""
    whole = safe_name(name)
    plain = re.sub(r"[^A-Za-z0-9 ._()+,=@~-]", "_", whole)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(whole.encode('utf-8', 'replace'), safe='')}"


def safe_name(name: str) -> str:
    """A name that leads nowhere and hides nothing."""
    found = _NOT_IN_NAMES.sub("_", name.encode("utf-8", "replace").decode())[-_NAME_CHARS_MAX:].strip(" .")
    return found or "download"


def _quoted(path: str) -> str:
    return quote(path.encode("utf-8", "surrogateescape"))


def _shown(name: str) -> str:
    return name.encode("utf-8", "replace").decode()
