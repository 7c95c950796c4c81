"""Dials where other nodes may listen, with this node's certificate, and tells a wrong secret from a firewall from a machine
that is off. Nothing but a handshake is sent.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ralnode.api import Address, ClusterStatus, Liveness, RalnodeError
from ralnode.cli.doctor.finding import Finding, Patient, bad, ok, warning
from ralnode.cli.text import clean
from ralnode.dag import cid
from ralnode.host import secretfile
from ralnode.host.datadir import NODE_FILE
from ralnode.host.identity import KEY_FILE, SECRET_BYTES, SECRET_FILE, NodeIdentity
from ralnode.host.joincode import JoinCode
from ralnode.host.joining import find_join_code

DIALLED_MAX: Final = 12
SECONDS: Final = 2.0


class Outcome(StrEnum):
    MEMBER = "member"
    OTHER_CLUSTER = "other cluster"
    NO_NODE = "no node"
    REFUSED = "refused"
    SILENT = "silent"
    UNREACHABLE = "unreachable"


class Call(NamedTuple):
    """What came of dialling an address. `node` is the peer id of a member, `detail` the system's words."""

    address: Address
    outcome: Outcome
    node: str = ""
    detail: str = ""


def look(patient: Patient) -> Iterator[Finding]:
    identity = identity_of(patient)
    if identity is None:
        return
    addresses = list(dict.fromkeys(_candidates(patient)))[:DIALLED_MAX]
    if not addresses:
        return
    tls = identity.client_tls()
    with ThreadPoolExecutor(len(addresses)) as pool:
        calls = list(pool.map(lambda address: dial(address, tls, identity), addresses))
    yield from judged(calls, cid.peer_id(identity.id), patient.status)


def identity_of(patient: Patient) -> NodeIdentity | None:
    """As the node would have it, without making anything; None when it is no member of a cluster yet."""
    folder = patient.config.node.data_dir
    assert folder is not None, "config.load fills it in"
    try:
        code = find_join_code(patient.config.node, os.environ)
        secret = code.secret if code else secretfile.read_secret(folder / SECRET_FILE, SECRET_BYTES)
        if patient.status is not None and secret is None:  # it was told on the command line, and is not written down
            secret = JoinCode.decode(patient.client.command("invite")["code"]).secret
        raw = secretfile.read_secret(folder / KEY_FILE, SECRET_BYTES)
    except RalnodeError:
        return None  # disk.py tells why
    if secret is None:
        return None
    key = Ed25519PrivateKey.from_private_bytes(raw) if raw else Ed25519PrivateKey.generate()
    return NodeIdentity(key, secret, folder)


def _candidates(patient: Patient) -> Iterator[Address]:
    node, folder = patient.config.node, patient.config.node.data_dir
    yield from (Address(*peer) for peer in node.known_peers)
    code = find_join_code(node, os.environ)
    yield from code.addresses if code else ()
    if patient.status is not None:
        others = [each for each in patient.status.nodes if not each.is_me and each.address]
        yield from (Address.parse(each.address) for each in others)
    yield from _remembered(folder / NODE_FILE if folder else Path(os.devnull))


def _remembered(path: Path) -> list[Address]:
    try:
        return [Address(str(host), int(port)) for host, port in json.loads(path.read_text()).get("hints", ())]
    except (OSError, ValueError, TypeError, AttributeError):
        return []


def dial(address: Address, tls: ssl.SSLContext, identity: NodeIdentity, seconds: float = SECONDS) -> Call:
    """Raises nothing: every failure is an outcome."""
    try:
        with (
            socket.create_connection(address, seconds) as connected,
            tls.wrap_socket(connected) as secured,
        ):
            node = identity.node_of_certificate(secured.getpeercert(True) or b"")
            return Call(address, Outcome.MEMBER, cid.peer_id(node))
    except ssl.SSLCertVerificationError:
        return Call(address, Outcome.OTHER_CLUSTER)
    except (ssl.SSLError, RalnodeError, ConnectionResetError) as error:
        return Call(address, Outcome.NO_NODE, detail=str(error))
    except TimeoutError:
        return Call(address, Outcome.SILENT)
    except ConnectionRefusedError:
        return Call(address, Outcome.REFUSED)
    except OSError as error:
        return Call(address, Outcome.UNREACHABLE, detail=error.strerror or str(error))


def judged(calls: Sequence[Call], me: str, status: ClusterStatus | None) -> Iterator[Finding]:
    reached = [call for call in calls if call.outcome is Outcome.MEMBER and call.node != me]
    heard = _heard(status)
    unheard = [call for call in reached if status is not None and call.node not in heard]
    for call in unheard:
        yield bad(
            "peers", f"the member at {call.address} answers on TCP, but membership does not hear it",
            "let UDP through between the two machines, both ways: the [node] gossip_port of each (9090)",
        )  # fmt: skip
    if len(reached) > len(unheard):
        yield ok("peers", f"reached and of this cluster: {_listed(c for c in reached if c not in unheard)}")
    for call in calls:
        yield from _failed(call)


def _failed(call: Call) -> Iterator[Finding]:
    at = clean(str(call.address))
    if call.outcome is Outcome.OTHER_CLUSTER:
        yield bad(
            "peers", f"what answers at {at} has another secret: it is of another cluster",
            "on a node of the right cluster: ralnode invite; on the wrong one, with a data folder of its own: ralnode join CODE",
        )  # fmt: skip
    elif call.outcome is Outcome.SILENT:
        yield warning(
            "peers", f"no answer from {at}", "is that machine on? does its firewall let this TCP port through?"
        )
    elif call.outcome is Outcome.REFUSED:
        yield warning("peers", f"{at} refuses: nothing listens there", "start that node, or correct the address")
    elif call.outcome is Outcome.NO_NODE:
        yield warning("peers", f"what answers at {at} is no ralnode ({clean(call.detail)})", "correct address and port")
    elif call.outcome is Outcome.UNREACHABLE:
        yield warning("peers", f"{at} cannot be reached: {clean(call.detail)}", "is the address right, the cable in?")


def _heard(status: ClusterStatus | None) -> set[str]:
    live = (Liveness.ALIVE, Liveness.SUSPECT)
    return set() if status is None else {node.id for node in status.nodes if node.liveness in live}


def _listed(calls: Iterable[Call]) -> str:
    return ", ".join(clean(str(call.address)) for call in calls)
