"""`[gateway.pinning]` in the configuration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PinningOptions:
    """Whoever has the token can fill the cluster, so it answers only this machine by default."""

    port: int = 9097
    """0 picks a free one."""
    public: bool = False
    """Listen on all addresses, for other machines of the LAN. The token then crosses it in the clear: a proxy with TLS in
    front keeps it secret."""
    token_file: str = ""
    """A file with the token. Empty: one is made in the data folder, `pinning.token`."""
    gateways: tuple[str, ...] = ()
    """Trustless gateways to pull from, e.g. http://192.168.1.20:8080, asked after the places that a request names."""
    client_port: int = 8080
    """Ask the machine that sent the request, too: this is where its Kubo has its gateway. 0: do not."""
    origins: str = "lan"
    """Which HTTP addresses in a request's `origins` are asked: those of the `lan`, `any`, or `none`."""
    pulls_max: int = 2
    """At one time; the others are queued."""
    pins_max: int = 10_000
    give_up_minutes: int = 60
    """After so long without success a pin has failed. It may be asked for again."""
    connections_max: int = 64
