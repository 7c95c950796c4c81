"""Membership by SWIM with suspicion and Lifeguard, over encrypted datagrams. The protocol is described in README.md."""

from ralnode.api import Gossip, Provider, hookimpl
from ralnode_gossip_swim.machine import Swim
from ralnode_gossip_swim.options import SwimOptions
from ralnode_gossip_swim.sealing import AesGcm, Cipher, CipherMaker, NullCipher

__all__ = ["AesGcm", "Cipher", "CipherMaker", "NullCipher", "Swim", "SwimOptions", "provide_gossip"]


@hookimpl
def provide_gossip() -> Provider[Gossip]:
    return Provider("swim", Swim, SwimOptions, "SWIM with suspicion and Lifeguard, encrypted UDP")
