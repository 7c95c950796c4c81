"""Listens for two seconds to what nodes announce by mDNS on this LAN, also those that our own discovery ignores because they
belong to another cluster: that is how a mistaken secret shows. The names are those of the plugin discovery_mdns; a test compares.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from zeroconf import ServiceBrowser, ServiceStateChange, Zeroconf

from ralnode.cli.doctor.finding import Finding, Patient, ok, warning
from ralnode.cli.doctor.peers import identity_of
from ralnode.cli.text import clean, count
from ralnode.host.identity import NodeIdentity

SERVICE_TYPE: Final = "_ralnode._tcp.local."
LABEL: Final = "mdns-v1"
TAG_KEY: Final = b"g"
TAG_BYTES: Final = 8
SECONDS: Final = 2.0
LOOKED_UP_MAX: Final = 32
_LOOKUP_MILLISECONDS: Final = 500


class Announcement(NamedTuple):
    instance: str
    tag: bytes
    where: str
    """First address and port."""


def look(patient: Patient) -> Iterator[Finding]:
    chosen = patient.config.use.discovery
    if chosen is not None and "mdns" not in chosen:
        return
    try:
        heard = listen()
    except OSError:
        return  # network.py says that multicast does not work
    identity = identity_of(patient)
    yield from judged(heard, identity, is_running=patient.status is not None)


def tag_of(identity: NodeIdentity) -> bytes:
    return identity.derive(LABEL, length=TAG_BYTES).hex().encode()


def instance_of(identity: NodeIdentity) -> str:
    return identity.derive(LABEL, identity.id, TAG_BYTES).hex()


def judged(heard: Sequence[Announcement], identity: NodeIdentity | None, *, is_running: bool) -> Iterator[Finding]:
    mine = instance_of(identity) if identity else ""
    others = [each for each in heard if each.instance != mine]
    strangers = [each for each in others if identity is None or each.tag != tag_of(identity)]
    members = [each for each in others if each not in strangers]
    if strangers:
        kin = "of other clusters, which have other secrets" if identity else "on this LAN"
        yield warning(
            "announcements", f"{count(len(strangers), 'node')} {kin}: {_listed(strangers)}",
            "if they should be of this cluster: ralnode invite there, ralnode join CODE here (with a data folder of its own)",
        )  # fmt: skip
    if members:
        yield ok("announcements", f"{count(len(members), 'other member')} announced: {_listed(members)}")
    if is_running and identity is not None and mine not in {each.instance for each in heard}:
        yield warning(
            "announcements", "this node's own announcement is not heard on this machine",
            "allow UDP 5353 in its firewall; in a container use the host's network; or name members in [node] known_peers",
        )  # fmt: skip
    if not heard:
        yield ok("announcements", "no node announces itself on this LAN")


def listen(seconds: float = SECONDS) -> list[Announcement]:
    """Raises OSError where multicast cannot be used at all."""
    names: dict[str, None] = {}

    def changed(name: str, state_change: ServiceStateChange, **_more: object) -> None:
        if state_change is not ServiceStateChange.Removed and len(names) < LOOKED_UP_MAX:
            names[name] = None

    with Zeroconf() as zeroconf:
        browser = ServiceBrowser(zeroconf, SERVICE_TYPE, handlers=[changed])
        time.sleep(seconds)
        browser.cancel()
        return [found for name in list(names) if (found := _looked_up(zeroconf, name)) is not None]


def _looked_up(zeroconf: Zeroconf, name: str) -> Announcement | None:
    info = zeroconf.get_service_info(SERVICE_TYPE, name, timeout=_LOOKUP_MILLISECONDS)
    if info is None:
        return None
    host = next(iter(info.parsed_scoped_addresses()), info.server or "?")
    return Announcement(
        name.removesuffix("." + SERVICE_TYPE), info.properties.get(TAG_KEY) or b"", f"{host}:{info.port}"
    )


def _listed(announcements: Sequence[Announcement]) -> str:
    shown = ", ".join(clean(each.where) for each in announcements[:8])
    return shown + (" …" if len(announcements) > 8 else "")
