"""Planners without a node, for `ralnode plan simulate`: built from their plugins as a node would, with a key and a cluster of
their own that nobody knows. Nothing is read or written.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ralnode.api import Context, NotFoundError, Planner
from ralnode.host.building import build_one
from ralnode.host.config import Config
from ralnode.host.facade import Facade
from ralnode.host.founding import settings_of
from ralnode.host.identity import SECRET_BYTES, NodeIdentity
from ralnode.host.logs import logger
from ralnode.host.options import suggest
from ralnode.host.plugins import PluginSet


def build_planners(plugins: PluginSet, config: Config, names: Sequence[str], seed: int) -> dict[str, Planner]:
    """By name, in the order asked for; all that there are when `names` is empty. Raises NotFoundError for a name that no
    plugin provides, PluginError and ConfigError when one cannot be built."""
    offers = {offer.provider.name: offer for offer in plugins.of_role("planner")}
    for name in names:
        if name not in offers:
            why = [each.reason for each in plugins.refused if each.name.removeprefix("ralnode_") == name]
            refused = f" (a plugin of that name was refused: {why[0]})" if why else ""
            raise NotFoundError(f"there is no planner {name!r}{refused or suggest(name, offers)}. See: ralnode plugins")
    context = _context(config, seed)
    return {name: build_one(offers[name], config, context) for name in names or offers}


def _context(config: Config, seed: int) -> Context:
    nowhere = Path("/nonexistent")
    identity = NodeIdentity(Ed25519PrivateKey.generate(), secrets.token_bytes(SECRET_BYTES), nowhere)
    settings = settings_of(config.node, nowhere, 0, ())
    return Context(settings, identity, Facade(), logger("simulation"), random.Random(seed), 1)
