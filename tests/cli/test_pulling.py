"""`ralnode add --from`: one node reads from the gateway of another that is not of its cluster, as it would from a Kubo's."""

import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ralnode.dag import cid


@pytest.fixture
def origin(new_node: Callable[..., Any], tmp_path: Path) -> tuple[Any, str]:
    """A node, and the address of its gateway."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = tmp_path / "origin.toml"
    config.write_text(f'[use]\ngateway = ["ipfs"]\n[gateway.ipfs]\nport = {port}\ntls = false\n')
    return new_node("--config", str(config), "--name", "cellar", "--capacity", "100MB"), f"http://127.0.0.1:{port}"


def test_two_sources_come_from_another_cluster_at_once(node: Any, origin: tuple[Any, str], tmp_path: Path) -> None:
    there, url = origin
    (there.folder / "film").write_bytes(film := random.Random(5).randbytes(5_000_000))
    (there.folder / "photos").mkdir()
    for number in range(20):
        (there.folder / "photos" / f"{number}.raw").write_bytes(random.Random(number).randbytes(10_000 * number))
    roots = [there.cli.ok("add", name, "--json").json["root"] for name in ("film", "photos")]

    result = node.cli.ok("add", "--from", url, *roots)
    assert all(root in result.out for root in roots)
    assert {roots[0], roots[1]} <= {source["root"] for source in node.cli.ok("ls", "--json").json["sources"]}
    node.cli.ok("get", roots[0], "-o", tmp_path / "film")
    assert (tmp_path / "film").read_bytes() == film
    for root in roots:
        for each in (node, there):
            each.cli.ok("export", root, "-o", tmp_path / f"{each.folder.name}.car", "--force")
        cars = [(tmp_path / f"{each.folder.name}.car").read_bytes() for each in (node, there)]
        assert cars[0] == cars[1]

    again = node.cli.ok("add", "--from", f"{url}/ipfs/", roots[0], "--name", "a film", "--json").json
    assert (again["name"], again["size_bytes"]) == ("a film", len(film))


@pytest.mark.parametrize(("arguments", "code", "words"), [
    (["--from", "ftp://x", "bafkqaaa"], 64, "is not the address of a gateway"),
    (["--from", "http://x/?a", "bafkqaaa"], 64, "is not the address of a gateway"),
    (["--from", "http://127.0.0.1:1", "nonsense"], 64, "is not a CID"),
    (["--from", "http://127.0.0.1:1", cid.to_text(cid.make(cid.DAG_CBOR, b""))], 64, "only files and folders"),
    (["--from", "http://127.0.0.1:1", cid.to_text(cid.make(cid.RAW, b"x"))], 69, "does not answer"),
    (["--from", "http://127.0.0.1:1", "bafkqaaa", "--link", "--chunk-size", "4096"], 64, "leave --chunk-size, --link out"),
    (["--insecure", "."], 64, "--from only"),
])  # fmt: skip
def test_what_cannot_be_is_told_in_a_line(node: Any, arguments: list[str], code: int, words: str) -> None:
    result = node.cli("add", *arguments)
    assert (result.code, words in " ".join(result.err.split())) == (code, True), result


def test_what_the_gateway_lacks_is_told_and_the_others_come_all_the_same(node: Any, origin: tuple[Any, str]) -> None:
    there, url = origin
    (there.folder / "one").write_text("one")
    here = there.cli.ok("add", "one", "--json").json["root"]
    gone = cid.to_text(cid.make(cid.RAW, b"never heard of"))
    result = node.cli("add", "--from", url, gone, here)
    assert (result.code, here in result.out, "has no such block" in result.err) == (66, True, True), result


def test_everything_goes_into_one_file_and_comes_back(
    origin: tuple[Any, str], new_node: Callable[..., Any], tmp_path: Path
) -> None:
    there, _ = origin
    roots = []
    for name in ("one", "two"):
        (there.folder / name).write_bytes(random.Random(name).randbytes(2_000_000))
        roots.append(there.cli.ok("add", name, "--json").json["root"])
    there.cli.ok("export", "--all", "-o", tmp_path / "all.car")
    assert there.cli("export").code == there.cli("export", "one", "--all").code == 64
    here = new_node("--name", "fresh", "--capacity", "50MB")
    result = here.cli.ok("import", tmp_path / "all.car")
    assert all(root in result.out for root in roots)
    here.cli.ok("get", roots[1], "-o", tmp_path / "two")
    assert (tmp_path / "two").read_bytes() == (there.folder / "two").read_bytes()
