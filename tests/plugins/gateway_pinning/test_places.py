"""Where a request may send this node, and where not."""

import pytest

from ralnode_gateway_pinning.options import PinningOptions
from ralnode_gateway_pinning.places import places

PEER = "/p2p/12D3KooWA63MKLSkZ6TPyFWTNo41wJAtTxtSiwpmCE2ecWLHtH1m"


@pytest.mark.parametrize(("origin", "lan", "anywhere"), [
    ("/ip4/192.168.1.5/tcp/8080/http", "http://192.168.1.5:8080", "http://192.168.1.5:8080"),
    ("/ip4/10.0.0.5/tcp/8443/tls/http" + PEER, "https://10.0.0.5:8443", "https://10.0.0.5:8443"),
    ("/ip6/fd00::5/tcp/443/https", "https://[fd00::5]:443", "https://[fd00::5]:443"),
    ("/ip4/8.8.8.8/tcp/80/http", None, "http://8.8.8.8:80"),
    ("/dns4/example.org/tcp/443/tls/http", None, "https://example.org:443"),
    ("/ip4/127.0.0.1/tcp/22/http", None, "http://127.0.0.1:22"),
    ("/ip4/169.254.169.254/tcp/80/http", None, "http://169.254.169.254:80"),
    ("/ip4/192.168.1.5/tcp/4001" + PEER, None, None),
    ("/ip4/192.168.1.5/udp/4001/quic-v1", None, None),
    ("/ip6/192.168.1.5/tcp/80/http", None, None),
    ("/ip4/192.168.1.5@evil/tcp/80/http", None, None),
    ("", None, None),
])  # fmt: skip
def test_of_origins_only_allowed_http_addresses_are_asked(origin, lan, anywhere) -> None:
    for kind, expected in (("lan", lan), ("any", anywhere), ("none", None)):
        found = places([origin], "", PinningOptions(origins=kind))
        assert found == ([expected] if expected else [])


def test_the_client_and_the_configured_gateways_come_after_the_origins_each_once() -> None:
    options = PinningOptions(gateways=("http://10.0.0.9:8080", "http://10.0.0.5:8080"))
    assert places(["/ip4/10.0.0.5/tcp/8080/http"], "10.0.0.7", options) == [
        "http://10.0.0.5:8080", "http://10.0.0.7:8080", "http://10.0.0.9:8080",
    ]  # fmt: skip
    assert places([], "fd00::7", PinningOptions(client_port=1))[0] == "http://[fd00::7]:1"
