"""Paths below a root, a link at a time: the CID of everything that is crossed is told to the client."""

from __future__ import annotations

from ralnode.api import UnavailableError
from ralnode.api.limits import DAG_DEPTH_MAX
from ralnode.dag import cid as cids
from ralnode.dag import document
from ralnode.dag.errors import DagError, PathError
from ralnode.dag.path import Crossing, next_link
from ralnode.dag.trustless import GatewayError
from ralnode_gateway_ipfs.blocks import View

_FOLLOWED = (cids.RAW, cids.DAG_PB, *document.LINKED)


async def resolve_path(view: View, root: bytes, names: list[bytes]) -> list[bytes]:
    """The CIDs of the root and of what each link on the path leads to. Raises GatewayError 404, 422 or 501."""
    found, rest = [root], names
    while rest:
        if len(found) > DAG_DEPTH_MAX:  # documents that are nothing but a link take no name
            raise GatewayError(422, f"the path leads through more than {DAG_DEPTH_MAX} blocks")
        crossing = await _cross(view, found[-1], rest)
        if crossing.cid is None:
            raise GatewayError(501, _no_block(found[-1], rest))
        found.append(crossing.cid)
        rest = crossing.rest
    return found


async def _cross(view: View, cid: bytes, names: list[bytes]) -> Crossing:
    place = f"/ipfs/{cids.to_text(cid)}"
    if cids.codec_of(cid) not in _FOLLOWED:
        raise GatewayError(404, f"there are no paths below {place}")
    try:
        return await view.drive(next_link(cid, names))
    except PathError as error:
        raise GatewayError(404, f"below {place}: {error}") from None
    except DagError as error:
        raise GatewayError(422, f"{place} is malformed: {error}") from None
    except UnavailableError as error:
        raise GatewayError(404, f"{place}: {error}") from None


def _no_block(cid: bytes, names: list[bytes]) -> str:
    """A part of a document has no CID, so that it could not be verified; the specification has 501 for it."""
    inside = b"/".join(names).decode("utf-8", "replace")
    place = f"/ipfs/{cids.to_text(cid)}"
    return f"{inside!r} is a part of the document {place} and not a link: parts are not served, see {place} instead"
