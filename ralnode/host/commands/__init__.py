"""Control commands: what a running node can be asked and told. `registry.py` has the table, `ports.py` what they need.

await run(node, name, params)                 here, strictly checked, JSON-able answer
await dispatch(node, name, params, to="attic")  here or on another node of the cluster
await answer(node, peer, body)                what a peer sent to /ral/v1/command
"""

from ralnode.host.commands.ports import CommandNode
from ralnode.host.commands.registry import COMMANDS, Command, Origin, run
from ralnode.host.commands.remote import answer, decode_answer, dispatch, encode
from ralnode.host.commands.verifying import VerifyJob

__all__ = [
    "COMMANDS",
    "Command",
    "CommandNode",
    "Origin",
    "VerifyJob",
    "answer",
    "decode_answer",
    "dispatch",
    "encode",
    "run",
]
