"""For IPFS tools: Trustless Gateway, Path Gateway and Routing V1 over plain HTTP, on a port apart from the status page."""

from __future__ import annotations

from ralnode.api import Context, Gateway, Provider, hookimpl
from ralnode_gateway_ipfs.options import IpfsOptions
from ralnode_gateway_ipfs.server import IpfsGateway


@hookimpl
def provide_gateway() -> Provider[Gateway]:
    return Provider("ipfs", _build, IpfsOptions, "IPFS gateway for browsers, Kubo, Helia, curl and rclone")


def _build(context: Context, options: IpfsOptions) -> Gateway:
    return IpfsGateway(context, options)
