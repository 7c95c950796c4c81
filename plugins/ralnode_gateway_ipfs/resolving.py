"""Paths below a root, a part at a time: the CID of every part is told to the client."""

from __future__ import annotations

from ralnode.api import UnavailableError
from ralnode.dag import cid as cids
from ralnode.dag.errors import DagError, PathError
from ralnode.dag.path import resolve
from ralnode.dag.trustless import GatewayError
from ralnode_gateway_ipfs.blocks import View


async def resolve_path(view: View, root: bytes, names: list[bytes]) -> list[bytes]:
    """The CIDs of the root and of what each name leads to. Raises GatewayError 404 or 503."""
    found = [root]
    for name in names:
        if cids.codec_of(found[-1]) not in (cids.RAW, cids.DAG_PB):
            raise GatewayError(404, f"there are no paths below {cids.to_text(found[-1])}")
        try:
            found.append((await view.drive(resolve(found[-1], [name]))).cid)
        except PathError as error:
            raise GatewayError(404, str(error)) from None
        except DagError as error:
            raise GatewayError(422, f"the directory is malformed: {error}") from None
        except UnavailableError as error:
            raise GatewayError(404 if len(found) == 1 else 503, str(error)) from None
    return found
