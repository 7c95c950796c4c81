"""The shipped contract, with real encryption and with the simulator's null cipher."""

from ralnode.api import Context, Gossip
from ralnode.testing.gossip_contract import GossipContract
from ralnode_gossip_swim import Swim, SwimOptions


class TestSwimKeepsTheContract(GossipContract):
    def build(self, context: Context) -> Gossip:
        return Swim(context, SwimOptions())
