"""What is said of the gateway: where it listens, and the fingerprint that people compare."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from ralnode.api import ClusterStatus, GatewayStatus, Health
from ralnode.cli.doctor.finding import Level
from ralnode.cli.doctor.gateways import judged
from ralnode.cli.render.status import whole

PRINT = ":".join(["AB"] * 32)
STATUS = ClusterStatus(
    "All is well.",
    Health.HEALTHY,
    "me",
    "home",
    "rendezvous/1",
    "",
    True,
    (),
    (),
    (0, 0, 0, 0),
    0,
    0,
    None,
    (),
    1,
    "0.1",
)


@pytest.mark.parametrize(("gateway", "level", "words"), [
    (GatewayStatus("0.0.0.0", 8080, 8443, PRINT), Level.OK, ["all of the LAN", "TLS at 8443", PRINT]),
    (GatewayStatus("127.0.0.1", 8080), Level.OK, ["port 8080", "127.0.0.1", "without TLS"]),
    (GatewayStatus("127.0.0.1"), Level.WARNING, ["does not listen"]),
])  # fmt: skip
def test_a_gateway_is_judged_by_where_it_listens(gateway: GatewayStatus, level: Level, words: list[str]) -> None:
    found = judged(gateway)
    assert found.level is level
    assert all(word in found.found for word in words)
    assert bool(found.remedy) is (level is not Level.OK)


def shown(*gateways: GatewayStatus) -> str:
    console = Console(width=300, file=io.StringIO(), record=True)
    console.print(whole(replace(STATUS, gateways=gateways)))
    return console.export_text()


def test_the_status_shows_the_fingerprint_of_a_gateway_that_listens() -> None:
    line = f"IPFS gateway: http://127.0.0.1:8080 and https://127.0.0.1:8443 (SHA-256 of its certificate: {PRINT})"
    assert line in shown(GatewayStatus("0.0.0.0", 8080, 8443, PRINT))
    assert "gateway" not in shown(GatewayStatus("127.0.0.1"))
