"""Peers speak HTTP/1.1 over TLS 1.3 with certificates on both sides; blocks are served as an IPFS Trustless Gateway.

What was measured and chosen stands in DESIGN.md beside this file.
"""

from ralnode.api import Provider, Transport, hookimpl
from ralnode_transport_http.options import HttpOptions
from ralnode_transport_http.transport import HttpTransport


@hookimpl
def provide_transport() -> Provider[Transport]:
    return Provider("http", HttpTransport, HttpOptions, "HTTP over mutual TLS, blocks as an IPFS Trustless Gateway")
