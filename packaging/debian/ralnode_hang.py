"""For systemd-test alone: a plugin that hangs a part of its node when a file in the data folder asks for it.

`hang-loop`: the event loop; `hang-lookups`, `hang-scans`, `hang-writes`: the thread of one of the store's connections.
It looks into the store's objects, as no honest plugin would.
"""

import asyncio
import gc
import time

from ralnode.api import Provider, hookimpl

FOR_EVER_SECONDS = 3600
CONNECTIONS = {"hang-lookups": "_lookups", "hang-scans": "_scans", "hang-writes": "_writer"}


class Hang:
    def __init__(self, context):
        self._dir = context.settings.data_dir
        self._log = context.log
        self._held = []

    async def start(self, report, transport_port):
        pass

    async def wait(self):
        while True:
            await asyncio.sleep(0.2)
            for name in ("hang-loop", *CONNECTIONS):
                if (self._dir / name).exists():
                    (self._dir / name).unlink()
                    self._log.warning("%s, as asked", name)
                    self._hang(name)

    def _hang(self, name):
        if name == "hang-loop":
            time.sleep(FOR_EVER_SECONDS)  # on the event loop: this is the fault to be healed
        else:
            connection = getattr(self._index(), CONNECTIONS[name])
            self._held.append(asyncio.ensure_future(connection._execute(time.sleep, FOR_EVER_SECONDS)))

    def _index(self):
        (found,) = [each for each in gc.get_objects() if type(each).__module__ == "ralnode_storage_sqlite.index"
                    and type(each).__name__ == "Index"]  # fmt: skip
        return found

    async def stop(self):
        pass


@hookimpl
def provide_discovery():
    return Provider("hang", lambda context, options: Hang(context))
