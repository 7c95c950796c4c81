from __future__ import annotations

from pathlib import Path

from ralnode.api import Context, Identity, Transport
from ralnode.host.identity import open_identity
from ralnode.testing.transport_contract import TransportContract
from ralnode_transport_http import HttpOptions, HttpTransport


class TestHttpTransport(TransportContract):
    def build(self, context: Context) -> Transport:
        return HttpTransport(context, HttpOptions())

    def identity(self, folder: Path, secret: bytes) -> Identity:
        return open_identity(folder, secret)
