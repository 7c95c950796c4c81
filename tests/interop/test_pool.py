"""The ground that the other tests stand on."""

from __future__ import annotations

import urllib.request

from interop_content import Content
from interop_pool import Pool


def test_no_single_node_holds_the_whole_film(pool: Pool, made: Content) -> None:
    """Yet any node's gateway gives all of it."""
    film = next(source for source in pool.status()["sources"] if source["name"] == "film.bin")
    for node in pool.status()["nodes"]:
        assert set(film["stored"].get(node["id"], "")) != {"9"}
        assert node["used_bytes"] < made.film.stat().st_size
    for gateway in pool.gateways:
        with urllib.request.urlopen(f"{gateway}/ipfs/{film['root']}") as answer:
            assert answer.read() == made.film.read_bytes()
