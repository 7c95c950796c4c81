"""`ralnode leftovers` with a real node: what a broken import and a broken pull have left."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from ralnode.dag import car, cid
from ralnode.testing.content import build_file

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, NodeProcess
else:
    Cli = NodeProcess = Any

MIB = 1 << 20


@pytest.fixture
def here(new_node: Callable[..., NodeProcess], tmp_path: Path) -> Cli:
    """The command line in an empty folder, with a node of its own that keeps one file."""
    node = new_node("--name", "attic", "--capacity", "200MB")
    cli: Cli = type(node.cli)(node.cli.program, tmp_path, node.socket)
    (tmp_path / "kept").write_bytes(Random("kept").randbytes(3 * MIB))
    cli.ok("add", "kept")
    return cli


class _Gateway(BaseHTTPRequestHandler):
    blocks: dict[bytes, bytes]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        key = cid.to_key(cid.parse(self.path.partition("?")[0].rsplit("/", 1)[1]))
        data = self.blocks.get(key) if "format=raw" in self.path else None
        self.send_response(200 if data is not None else 404)
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        self.wfile.write(data or b"")


@pytest.fixture
def half_a_gateway() -> Iterator[tuple[str, str]]:
    """(its address, a CID of which it lacks the last blocks)."""
    blocks: dict[bytes, bytes] = {}
    root = build_file(blocks, Random("film").randbytes(6 * MIB)).cid
    for key in [key for key in blocks if cid.codec_of(key) == cid.RAW][3:]:
        del blocks[key]
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Gateway", (_Gateway,), {"blocks": blocks}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", cid.to_text(root)
    server.shutdown()
    server.server_close()


def test_what_a_broken_import_has_left_goes_only_with_all_and_after_a_question(here: Cli) -> None:
    assert "no leftovers" in here.ok("leftovers").out
    blocks: dict[bytes, bytes] = {}
    root = build_file(blocks, Random("film").randbytes(9 * MIB)).cid
    sections = [car.encode_section(key, data) for key, data in blocks.items()]
    (here.home / "lacking.car").write_bytes(b"".join([car.encode_header([root]), *sections[1:]]))
    assert here("import", "lacking.car").code != 0
    found = here.ok("leftovers", "--json").json
    assert found["block_count"] == found["other_count"] > 2
    assert "--all" in here.ok("leftovers", "--delete").out
    asked = here("leftovers", "--delete", "--all")
    assert (asked.code, "--yes" in asked.err) == (64, True)
    assert here.ok("leftovers", "--json").json["block_count"] == found["block_count"]
    gone = here.ok("leftovers", "--delete", "--all", "--yes", "--json").json
    assert (gone["deleted_count"], gone["block_count"]) == (found["block_count"], 0)
    here.ok("get", "kept", "-o", "back")
    assert (here.home / "back").read_bytes() == (here.home / "kept").read_bytes()


def test_what_a_broken_pull_has_left_is_told_by_name_and_kept_while_it_is_young(
    here: Cli, half_a_gateway: tuple[str, str]
) -> None:
    url, root = half_a_gateway
    assert here("add", "--from", url, root, "--name", "film").code != 0
    (work,) = here.ok("leftovers", "--json").json["works"]
    assert (work["kind"], work["name"], work["origin"]) == ("pull", "film", root)
    assert f"pull of film ({root})" in here.ok("leftovers").out
    refused = here.ok("leftovers", "--delete", "--yes")
    assert "too recent" in refused.out
    assert here.ok("leftovers", "--json").json["works"][0]["block_count"] == work["block_count"]
    (here.home / "film").write_bytes(Random("film").randbytes(6 * MIB))
    here.ok("add", "film")
    assert here.ok("leftovers", "--json").json["block_count"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--older-than", "0"), "ten minutes"), (("--all",), "--delete")],
    ids=lambda each: str(each),
)
def test_what_makes_no_sense_is_refused_without_a_node(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    refused = cli("leftovers", *arguments)
    assert refused.code == 64
    assert said in refused.err
