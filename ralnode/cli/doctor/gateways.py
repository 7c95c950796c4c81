"""Where the running node serves IPFS tools, and by which certificate they know it."""

from __future__ import annotations

from collections.abc import Iterator

from ralnode.api import GatewayStatus
from ralnode.cli.doctor.finding import Finding, Patient, ok, warning


def look(patient: Patient) -> Iterator[Finding]:
    for gateway in patient.status.gateways if patient.status is not None else ():
        yield judged(gateway)


def judged(gateway: GatewayStatus) -> Finding:
    if not gateway.port:
        return warning(
            "gateway", "the gateway for IPFS tools does not listen", "the log of the node says why: is its port taken?"
        )
    whom = "all of the LAN" if gateway.host in ("0.0.0.0", "::") else gateway.host
    found = f"serves IPFS tools at port {gateway.port}, for {whom}"
    if not gateway.tls_port:
        return ok("gateway", f"{found}; without TLS, which Kubo and browsers on other machines want")
    return ok("gateway", f"{found}; TLS at {gateway.tls_port}, SHA-256 of its certificate: {gateway.fingerprint}")
