"""`ralnode add --from URL CID`: a DAG from any trustless gateway into the store, verified block by block, resumable.

address.py takes the URL apart; client.py speaks HTTP, blocking, in threads; carstream.py takes from a CAR what belongs to the
DAG; pull.py is the whole of it.
"""

from ralnode.host.pulling.address import GatewayAddress
from ralnode.host.pulling.client import GatewayClient
from ralnode.host.pulling.pull import Pull

__all__ = ["GatewayAddress", "GatewayClient", "Pull"]
