"""Helia, IPFS in JavaScript, reads from us as Kubo does."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from interop_content import Content, many_name
from interop_pool import Pool
from interop_recipes import recipe
from interop_tools import TOOLS, run

MODULES = TOOLS / "helia"


@pytest.fixture(scope="module")
def read(pool: Pool) -> Callable[..., bytes]:
    node = MODULES / "node_modules" / ".bin" / "node"
    if not node.exists():
        pytest.skip("no Helia on this machine: `sh packaging/interop` fetches it and Node 22")
    shutil.copy(Path(__file__).with_name("read.mjs"), MODULES / "read.mjs")  # modules are looked for beside the script

    def call(name: str, path: str = "", offset: int = 0, length: int = 0) -> bytes:
        arguments = [node, MODULES / "read.mjs", pool.gateways[3], pool.roots[name], path, str(offset), str(length)]
        out: bytes = run(arguments, seconds=200).stdout
        return out

    return call


def test_the_page_shows_what_is_run() -> None:
    assert "\n".join(recipe("helia")) in Path(__file__).with_name("read.mjs").read_text()


def test_a_file_that_no_single_node_holds_is_read_whole(read: Callable[..., bytes], made: Content) -> None:
    assert read("film.bin") == made.film.read_bytes()


def test_a_range_is_read(read: Callable[..., bytes], made: Content) -> None:
    assert read("film.bin", offset=41_234_567, length=3_000_001) == made.film.read_bytes()[41_234_567:44_234_568]


def test_a_file_in_a_sharded_folder_is_read(read: Callable[..., bytes], made: Content) -> None:
    name = many_name(4321)
    assert read("many", path=name) == (made.folder / "many" / name).read_bytes()
