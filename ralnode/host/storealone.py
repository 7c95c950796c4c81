"""Opens the store of a node that does not run, alone: no listener, no engine. For what must not meet a running node."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from ralnode.api import Context, Storage
from ralnode.host.building import build_one
from ralnode.host.choose import choose
from ralnode.host.config import Config
from ralnode.host.datadir import DataDir
from ralnode.host.facade import Facade
from ralnode.host.founding import settings_of
from ralnode.host.identity import NodeIdentity, open_identity
from ralnode.host.joining import find_join_code
from ralnode.host.logs import logger
from ralnode.host.plugins import PluginSet


@asynccontextmanager
async def store_alone(
    config: Config, plugins: PluginSet, environ: Mapping[str, str]
) -> AsyncIterator[tuple[NodeIdentity, Storage]]:
    """The lock of the data folder keeps a node from starting meanwhile. Raises UnavailableError when one runs."""
    assert config.node.data_dir is not None, "config.load fills it in"
    with DataDir(config.node.data_dir) as data:
        code = find_join_code(config.node, environ)
        identity = open_identity(data.path, code.secret if code else None, joins=False)
        settings = settings_of(config.node, data.path, data.declared_capacity(config.node.capacity_bytes), ())
        context = Context(settings, identity, Facade(), logger("storage"), random.Random(0), data.next_boot_nonce())
        storage: Storage = build_one(choose(plugins, config).one("storage"), config, context)
        await storage.open(lambda keys: None)
        try:
            yield identity, storage
        finally:
            await storage.close()
