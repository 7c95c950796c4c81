"""IPFS Pinning Service API: "pin to my NAS" for IPFS Desktop and `ipfs pin remote`. Content is pulled over HTTP.

https://ipfs.github.io/pinning-services-api-spec/ (version 1.0.0, frozen)
"""

from __future__ import annotations

from ralnode.api import Context, Gateway, Provider, hookimpl
from ralnode_gateway_pinning.options import PinningOptions
from ralnode_gateway_pinning.server import PinningGateway


@hookimpl
def provide_gateway() -> Provider[Gateway]:
    return Provider("pinning", _build, PinningOptions, "pinning service for IPFS Desktop and ipfs pin remote")


def _build(context: Context, options: PinningOptions) -> Gateway:
    return PinningGateway(context, options)
