"""`ralnode backup` and `restore`, from making the file to a node that is back with all its blocks."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ralnode.host.backup.sealing import is_sealed
from ralnode.testing.content import content

SMALL = ["--capacity", "300MB"]


@pytest.fixture
def pair(new_node: Callable[..., object]):
    """Two nodes of one cluster; the second may die."""
    first = new_node("--name", "cellar", *SMALL)
    code = json.loads(first.cli.ok("invite", "--json").out)["code"]
    return first, new_node("--name", "attic", "--join", code, *SMALL)


def whole(node, count: int) -> bool:
    """Whether the node sees so many sources, all of them with all copies, its own among them."""
    status = node.ask("status")
    return len(status["sources"]) == count and status["health"] == "healthy" and status["deficit_bytes"] == 0


def me(node) -> dict:
    return next(each for each in node.ask("nodes")["nodes"] if each["is_me"])


def test_a_lost_node_comes_back_under_its_own_identity_with_its_blocks(pair, tmp_path: Path) -> None:
    cellar, attic = pair
    files = {f"file{number}": content(str(number), 1_500_000) for number in range(3)}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    attic.cli.ok("add", tmp_path / "file0")
    cellar.cli.ok("add", tmp_path / "file1")
    (tmp_path / "gone").write_bytes(b"removed after the backup")
    attic.cli.ok("add", tmp_path / "gone")
    attic.wait_for(lambda: whole(attic, 3) and whole(cellar, 3), 100)
    before = me(attic)
    made = attic.cli.ok("backup", "-o", tmp_path / "attic.tar", "--json").json
    assert (made["node"], made["source_count"], made["was_running"]) == (before["id"], 3, True)
    assert (tmp_path / "attic.tar").stat().st_mode & 0o777 == 0o600

    attic.cli.ok("add", tmp_path / "file2")
    attic.cli.ok("rm", "gone", "--yes")
    attic.wait_for(lambda: whole(attic, 3) and whole(cellar, 3), 100)
    assert attic.process is not None
    attic.process.kill()
    attic.process.wait(60)
    shutil.rmtree(attic.folder / "data")

    done = attic.cli.ok("restore", tmp_path / "attic.tar", "--data", attic.folder / "data", "--json").json
    assert (done["node"], done["moved_to"]) == (before["id"], "")
    assert attic.cli("restore", tmp_path / "attic.tar", "--data", attic.folder / "data").code == 77
    attic.start()
    attic.wait_for(lambda: whole(attic, 3) and whole(cellar, 3), 100)
    now = me(attic)
    assert (now["id"], now["name"], now["capacity_bytes"]) == (before["id"], "attic", before["capacity_bytes"])
    assert now["stored_count"] >= 3, "its blocks came back"
    assert len(cellar.ask("nodes")["nodes"]) == 2, "it did not come as a stranger"
    assert cellar.end() == 0
    (tmp_path / "out").mkdir()
    for name, data in files.items():
        attic.cli.ok("get", name, "-o", tmp_path / "out" / name)
        assert (tmp_path / "out" / name).read_bytes() == data
    assert "gone" not in attic.cli.ok("ls").out


def test_a_node_that_does_not_run_is_backed_up_from_its_folder_and_moved_aside_only_when_asked(
    new_node, cli, tmp_path: Path
) -> None:
    node = new_node("--name", "shed", *SMALL)
    (tmp_path / "file").write_bytes(bytes(100))
    node.cli.ok("add", tmp_path / "file")
    shed, data = me(node)["id"], node.folder / "data"
    assert cli("restore", __file__, "--data", data).code == 64
    assert node.end() == 0
    (tmp_path / "phrase").write_text("correct horse\n")
    sealed = tmp_path / "shed.sealed"
    made = cli.ok("backup", "--data", data, "-o", sealed, "--passphrase-file", tmp_path / "phrase", "--json").json
    assert (made["node"], made["was_running"], made["is_sealed"]) == (shed, False, True)
    assert is_sealed(sealed.read_bytes())

    refused = cli("backup", "--data", data, "-o", sealed)
    assert refused.code == 64 and "exists. Nothing was written" in refused.err
    assert "no terminal" in cli("restore", sealed, "--data", tmp_path / "new").err
    (tmp_path / "wrong").write_text("wrong")
    wrong = cli("restore", sealed, "--data", tmp_path / "new", "--passphrase-file", tmp_path / "wrong")
    assert wrong.code == 64 and "passphrase is wrong" in wrong.err
    assert not (tmp_path / "new").exists()

    phrase = ["--passphrase-file", tmp_path / "phrase"]
    refused = cli("restore", sealed, "--data", data, *phrase)
    assert refused.code == 77 and "a node lies in" in refused.err
    done = cli.ok("restore", sealed, "--data", data, "--force", *phrase, "--json").json
    aside = Path(done["moved_to"])
    assert aside.parent == data and (aside / "identity.key").exists() and list((aside / "segments").iterdir())
    node.start()
    assert me(node)["id"] == shed
    assert [each["name"] for each in node.ask("sources")["sources"]] == ["file"]
    living = cli("restore", sealed, "--data", data, "--force", *phrase)
    assert living.code == 69 and "another ralnode" in living.err


def test_what_cannot_be_done_is_said(cli, tmp_path: Path) -> None:
    assert cli("backup", "--data", tmp_path / "nothing").code == 66
    assert "no file" in cli("restore", tmp_path / "nothing").err
    (tmp_path / "empty").write_bytes(b"")
    damaged = cli("restore", tmp_path / "empty", "--data", tmp_path / "new")
    assert damaged.code == 64 and "no backup of a ralnode" in damaged.err
    assert not (tmp_path / "new").exists()
    other = cli("restore", tmp_path / "empty", "--node", "attic")
    assert other.code == 77


def test_the_words_for_people_tell_what_comes_next(node, tmp_path: Path) -> None:
    told = node.cli.ok("backup", "-o", tmp_path)
    assert "keep it like a password" in told.out
    (made,) = tmp_path.glob("ralnode-attic-*.tar")
    with tarfile.open(made) as tar:
        assert {"data/identity.key", "data/cluster.secret", "data/node.json", "state"} <= set(tar.getnames())
    restored = node.cli.ok("restore", made, "--data", tmp_path / "new")
    for words in ("is back in", "fetches its blocks again", "never run the old machine beside it"):
        assert words in restored.out
    assert "was 'attic' and would be" in restored.out
    assert (tmp_path / "new" / "identity.key").stat().st_mode & 0o777 == 0o600
