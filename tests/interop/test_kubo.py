"""Stock Kubo reads from us over HTTP, makes the CIDs that we make, and exchanges CAR files with us."""

from __future__ import annotations

import hashlib
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import interop_content
import pytest
from interop_content import Content
from interop_kubo import Kubo
from interop_pool import Pool, SingleNode, our_cids
from interop_recipes import filled, recipe
from interop_tools import tool

PROFILES = ("unixfs-v1-2025", "unixfs-v0-2015")


@pytest.fixture(scope="session")
def ipfs() -> Path:
    return tool("ipfs")


@pytest.fixture(scope="module")
def kubo(ipfs: Path, pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubo]:
    """It knows one node only, which announces the others."""
    with Kubo(ipfs, tmp_path_factory.mktemp("kubo"), [pool.gateways[0]]) as daemon:
        yield daemon


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_file_that_no_single_node_holds_is_read_whole(kubo: Kubo, pool: Pool, made: Content) -> None:
    assert sha256(kubo.bytes("cat", pool.roots["film.bin"])) == sha256(made.film.read_bytes())


def test_a_range_is_read(kubo: Kubo, pool: Pool, made: Content) -> None:
    found = kubo.bytes("cat", "--offset", "41234567", "--length", "3000001", pool.roots["film.bin"])
    assert found == made.film.read_bytes()[41_234_567 : 41_234_567 + 3_000_001]


def test_a_sharded_folder_of_5000_files_is_listed_and_read(kubo: Kubo, pool: Pool, made: Content) -> None:
    root = pool.roots["many"]
    listed = kubo("ls", "--size=false", "--resolve-type=false", root).splitlines()
    assert len(listed) == interop_content.MANY
    for number in (0, 77, 4999):
        name = interop_content.many_name(number)
        assert kubo.bytes("cat", f"{root}/{name}") == (made.folder / "many" / name).read_bytes()


def test_kubo_names_our_nodes_as_providers(kubo: Kubo, pool: Pool) -> None:
    found = set(kubo("routing", "findprovs", pool.roots["film.bin"]).split())
    assert found == {node["id"] for node in pool.status()["nodes"] if node["liveness"] == "alive"}


def awkward(folder: Path) -> list[Path]:
    """200 files and folders whose shape has tripped some tool: on the borders of chunks, of links and of shards."""
    dice = Random(7)
    sizes = [0, 1, 2, 255, 4096]
    for border in (256 << 10, 1 << 20):
        sizes += [border - 1, border, border + 1, 2 * border, 2 * border + 1, 3 * border - 1]
    sizes += [174 * 256 * 1024 + 1, 175 * 256 * 1024]
    paths = []
    for number in range(170):
        size = sizes[number] if number < len(sizes) else dice.randrange(dice.choice([10, 3000, 600_000, 2_500_000]))
        path = folder / f"file {number}"
        path.write_bytes(dice.randbytes(size) if number % 5 else bytes(size))
        paths.append(path)
    for number in range(30):
        path = folder / f"folder {number}"
        path.mkdir()
        count = [0, 1, 2, 40, 173, 174, 175, 300][number] if number < 8 else dice.randrange(60)
        for entry in range(count):
            place = path / "x" / "y" if entry % 9 == 8 else path
            place.mkdir(parents=True, exist_ok=True)
            (place / f"ä ~%20{entry}{'n' * (entry % 50)}").write_bytes(dice.randbytes(entry % 3))
        if number % 4 == 3:
            (path / "link").symlink_to("../elsewhere")
        paths.append(path)
    wide = folder / "folder 29"
    for entry in range(4200):
        (wide / f"{entry:060}").touch()
    return paths


@pytest.mark.parametrize("profile", PROFILES)
def test_ipfs_add_gives_our_cids(ipfs: Path, tmp_path: Path, profile: str) -> None:
    (tmp_path / "kubo").mkdir()
    (tmp_path / "made").mkdir()
    kubo = Kubo(ipfs, tmp_path / "kubo", [], profile)
    paths = awkward(tmp_path / "made")
    theirs = {}
    for line in kubo(
        "add", "--progress=false", "--only-hash", "--recursive", "--hidden", *paths, seconds=280
    ).splitlines():
        _, cid, name = line.split(" ", 2)
        if "/" not in name:
            theirs[name] = cid
    ours = dict(zip((path.name for path in paths), our_cids(paths, profile), strict=True))
    assert len(ours) == 200
    assert ours == theirs


def test_what_we_export_kubo_imports(kubo: Kubo, pool: Pool, made: Content, tmp_path: Path) -> None:
    ours, theirs = car_recipe(0, NAME="tree", FILE=tmp_path / "tree")
    pool.run(*ours[1:])
    assert pool.roots["tree"] in kubo(*theirs[1:])
    kubo("get", "-o", tmp_path / "got", pool.roots["tree"])
    assert files_of(tmp_path / "got") == files_of(made.folder / "tree")


def test_what_kubo_exports_we_import(kubo: Kubo, pool: Pool, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    for number in range(20):
        (folder / f"note {number}").write_text(f"note {number}\n" * number)
    root = kubo("add", "--quieter", "--recursive", folder).strip()
    theirs, ours = car_recipe(1, CID=root, OTHER=tmp_path / "theirs")
    assert theirs[-2:] == [">", f"{tmp_path}/theirs.car"]
    (tmp_path / "theirs.car").write_bytes(kubo.bytes(*theirs[1:-2]))
    pool.run(*ours[1:-1], "from kubo")
    pool.run("get", "from kubo", "-o", tmp_path / "back", place=1)
    assert files_of(tmp_path / "back") == files_of(folder)


def test_our_node_pulls_from_kubos_gateway(kubo: Kubo, pool: Pool, tmp_path: Path) -> None:
    (tmp_path / "report").write_bytes(Random(5).randbytes(5_000_000))
    root = kubo("add", "--quieter", tmp_path / "report").strip()
    pool.run("add", "--from", kubo.gateway, root, "--name", "pulled", place=2)
    pool.run("get", "pulled", "-o", tmp_path / "back", place=3)
    assert (tmp_path / "back").read_bytes() == (tmp_path / "report").read_bytes()


def car_recipe(line: int, **words: object) -> list[list[str]]:
    """The two commands of one line of the page."""
    return [shlex.split(part) for part in filled(recipe("car")[line], **words).split(" && ")]


def test_ipfs_pin_remote_to_our_node(kubo: Kubo, tmp_path: Path) -> None:
    """What Kubo alone has is pulled from its gateway, and is readable here."""
    folder = tmp_path / "album"
    folder.mkdir()
    for number in range(12):
        (folder / f"picture {number}").write_bytes(Random(number).randbytes(700_000))
    root = kubo("add", "--quieter", "--recursive", folder).strip()
    with tempfile.TemporaryDirectory(prefix="ral-", dir="/tmp") as place:
        port = int(kubo.gateway.rsplit(":", 1)[1])
        with SingleNode(Path(place), pins_from=port) as node:
            token = (node.data_dir / "pinning.token").read_text().strip()
            words = {"NAS__9097": node.pins.removeprefix("http://"), "TOKEN": token, "CID": root, "NAME": "album"}
            know, add, show, remove = (shlex.split(filled(line, **words))[1:] for line in recipe("pinning"))
            kubo(*know)
            added = kubo(*add)
            assert f"CID:    {root}" in added and "Status: pinned" in added
            assert root in kubo(*show)
            stat = kubo("pin", "remote", "service", "ls", "--stat")
            assert "0/0/1/0" in stat, stat
            node.run("get", "album", "-o", tmp_path / "back")
            assert files_of(tmp_path / "back") == files_of(folder)
            kubo(*remove)
            assert root not in kubo(*show)
            assert not node.status()["sources"]
            kubo("pin", "remote", "service", "rm", "nas")


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
