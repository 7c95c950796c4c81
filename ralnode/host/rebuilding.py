"""`ralnode rebuild-index`: opens the data folder of a stopped node, builds its store alone, makes the index anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ralnode.host.building import build_roles
from ralnode.host.choose import choose
from ralnode.host.config import Config
from ralnode.host.datadir import DataDir
from ralnode.host.facade import Facade
from ralnode.host.founding import settings_of
from ralnode.host.identity import open_identity
from ralnode.host.plugins import PluginSet


async def rebuild_index(
    config: Config, plugins: PluginSet, environ: Mapping[str, str], progress: Callable[[int, int], None]
) -> int:
    """Returns the count of blocks. `progress(done_bytes, total_bytes)`. The lock of the data folder keeps a node from
    starting meanwhile; raises UnavailableError when one is running. Nothing but the index is changed."""
    assert config.node.data_dir is not None, "config.load fills it in"
    with DataDir(config.node.data_dir) as data:
        identity = open_identity(data.path, joins=False)
        settings = settings_of(config.node, data.path, data.declared_capacity(config.node.capacity_bytes), ())
        roles = build_roles(choose(plugins, config), config, settings, identity, Facade(), data.next_boot_nonce())
        try:
            return await roles.storage.rebuild_index(progress)
        finally:
            await roles.storage.close()
