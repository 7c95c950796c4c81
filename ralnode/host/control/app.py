"""The routes of the control socket. What is behind them lives in the modules beside this one.

    POST /v1/command/{name}?node=NAME    JSON parameters in, JSON answer out
    GET  /v1/read?ref=&offset=&length=   frames of a file, folder or symlink
    GET  /v1/list?ref=                   NDJSON: the thing itself, then the entries of a folder
    GET  /v1/watch                       NDJSON: the status now and after every change
    GET  /v1/export?ref=                 frames with the bytes of a CARv1; without ref of all sources
    POST /v1/add?…                       frames in, NDJSON progress and result out
    POST /v1/add-offsets                 JSON in and out: what of each file is here of an earlier, interrupted add
    POST /v1/add-path?path=…             NDJSON progress and result of an add by reference
    POST /v1/add-from?url=&cid=          NDJSON progress and result of a pull from a trustless gateway
    POST /v1/import?name=                a CAR in, NDJSON progress and result out

Errors are JSON `{error, exit_code, class}`, as the whole answer, as a line, or as a FAILURE frame.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as StarletteRoute

from ralnode.api import NotFoundError, RalnodeError, UsageError
from ralnode.host.commands import Origin, dispatch
from ralnode.host.control.backups import Backups
from ralnode.host.control.downloads import Downloads
from ralnode.host.control.entries import Take
from ralnode.host.control.ports import ControlNode
from ralnode.host.control.streams import Route, status_of
from ralnode.host.control.uploads import Uploads
from ralnode.host.errortable import error_table

PARAMS_BYTES_MAX: Final = 64 * 1024
"""A command's parameters: names, addresses, numbers."""


def control_app(node: ControlNode, log: logging.Logger, take: Take) -> Starlette:
    """The ASGI app of one node's control socket. `take`: the files that clients have lent."""
    downloads, uploads, backups = Downloads(node.control), Uploads(node, take), Backups(node)

    async def command(request: Request) -> Response:
        params = await _params(request)
        to = request.query_params.get("node")
        return JSONResponse(await dispatch(node, request.path_params["name"], params, to, Origin.SOCKET))

    def failed(_request: Request, error: Exception) -> Response:
        return JSONResponse(error_table(error), status_of(error))

    def broken(_request: Request, error: Exception) -> Response:
        log.error("the control socket met a fault of ours", exc_info=error)
        fault = RalnodeError(f"this is a fault of ralnode ({type(error).__name__}: {error}); see the node's log")
        return JSONResponse(error_table(fault), 500)

    def unknown(request: Request, _error: Exception) -> Response:
        fault = NotFoundError(f"the node knows no {request.method} {request.url.path}; is it older than this command?")
        return JSONResponse(error_table(fault), 404)

    routes = [
        StarletteRoute("/v1/command/{name}", command, methods=["POST"]),
        StarletteRoute("/v1/read", Route(downloads.read, reads_body=False), methods=["GET"]),
        StarletteRoute("/v1/list", Route(downloads.list, reads_body=False), methods=["GET"]),
        StarletteRoute("/v1/watch", Route(downloads.watch, reads_body=False), methods=["GET"]),
        StarletteRoute("/v1/export", Route(downloads.export, reads_body=False), methods=["GET"]),
        StarletteRoute("/v1/backup", Route(backups.backup, reads_body=False), methods=["GET"]),
        StarletteRoute("/v1/add", Route(uploads.add, reads_body=True), methods=["POST"]),
        StarletteRoute("/v1/add-offsets", Route(uploads.offsets, reads_body=True), methods=["POST"]),
        StarletteRoute("/v1/add-path", Route(uploads.add_path, reads_body=False), methods=["POST"]),
        StarletteRoute("/v1/add-from", Route(uploads.add_from, reads_body=False), methods=["POST"]),
        StarletteRoute("/v1/import", Route(uploads.import_car, reads_body=True), methods=["POST"]),
    ]
    handlers: Mapping[Any, Any] = {RalnodeError: failed, HTTPException: unknown, Exception: broken}
    return Starlette(routes=routes, exception_handlers=handlers)


async def _params(request: Request) -> dict[str, Any]:
    """Raises UsageError for anything but a JSON object of at most PARAMS_BYTES_MAX; an empty body is an empty object."""
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > PARAMS_BYTES_MAX:
                raise UsageError(f"the parameters of a command may have {PARAMS_BYTES_MAX} bytes, these have more")
        table = json.loads(body or b"{}")
    except ClientDisconnect as error:
        raise UsageError("the request was cut off") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the parameters of a command must be JSON: {error}") from error
    if not isinstance(table, dict):
        raise UsageError("the parameters of a command must be a JSON object")
    return table
