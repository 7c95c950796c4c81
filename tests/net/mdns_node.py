"""One machine's mDNS discovery, for test_mdns.py: prints hints as JSON lines until SIGTERM, then how it closed and what it cost.

Arguments: name, cluster secret, port, seconds between announcements.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import time

from ralnode.testing.fake_identity import FakeIdentity
from ralnode.testing.gossip_lab import make_context
from ralnode_discovery_mdns import MdnsDiscovery, MdnsOptions


def say(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


async def main(name: str, secret: str, port: str, announce_seconds: str) -> None:
    context = make_context(FakeIdentity(name, secret.encode()), 1, random.Random(name), name)
    discovery = MdnsDiscovery(context, MdnsOptions(announce_seconds=float(announce_seconds)))
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await discovery.start(
        lambda hint: say(host=hint.address.host, port=hint.address.port, origin=hint.origin), int(port)
    )
    service = asyncio.create_task(discovery.wait())
    began, spent = time.monotonic(), time.process_time()
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait([service, stopped], return_when=asyncio.FIRST_COMPLETED)
    if service.done() and (error := service.exception()) is not None:
        say(failed=str(error))
    cost = {"seconds": time.monotonic() - began, "cpu_seconds": time.process_time() - spent}
    service.cancel()
    stopped.cancel()
    await asyncio.wait([service, stopped])
    await discovery.stop()
    say(closed=True, tasks=len(asyncio.all_tasks()), **cost)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
