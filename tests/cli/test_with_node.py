"""The command line with a real node behind it: files in and out, what is shown, errors, exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from ralnode.api import ClusterStatus
from ralnode.host.answers import CapacityAnswer, PlanAnswer
from ralnode.host.jsonable import from_jsonable

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, NodeProcess
else:
    Cli = NodeProcess = Any

MIB = 1 << 20


@pytest.fixture
def here(node: NodeProcess, tmp_path: Path) -> Cli:
    """The command line in an empty folder, talking to the node of this file."""
    return type(node.cli)(node.cli.program, tmp_path, node.socket)


def tree(folder: Path, salt: str) -> Path:
    """A folder of several kinds of entries, with content that no other test has."""
    (folder / "in" / "ner").mkdir(parents=True)
    (folder / "in" / "ner" / "large").write_bytes(Random(salt).randbytes(3 * MIB + 17))
    (folder / "in" / "empty").write_bytes(b"")
    (folder / "Grüße – 海.txt").write_text(salt)
    (folder / "link").symlink_to("in/empty")
    return folder


def same(one: Path, other: Path) -> bool:
    return subprocess.run(["diff", "-r", "--no-dereference", one, other], check=False).returncode == 0


def test_a_folder_goes_in_and_comes_out_the_same(here: Cli) -> None:
    top = tree(here.home / "trip", "trip")
    root = here.ok("cid", "trip").out.strip()
    assert root in here.ok("add", "trip").out
    here.ok("get", "trip", "-o", "back")
    assert same(top, here.home / "back")
    here.ok("get", f"{root}/in/ner", "-o", "part")
    assert same(top / "in/ner", here.home / "part")
    (here.home / "into").mkdir()
    assert here.ok("get", "trip/in/ner/large", "-o", "into", "--json").json["size_bytes"] == 3 * MIB + 17
    assert (here.home / "into/large").read_bytes() == (top / "in/ner/large").read_bytes()


def test_what_exists_is_not_overwritten(here: Cli) -> None:
    (here.home / "note").write_text("first")
    here.ok("add", "note", "--name", "note-1")
    (here.home / "note-1").write_text("mine")
    result = here("get", "note-1")
    assert (result.code, (here.home / "note-1").read_text()) == (64, "mine")
    assert "--force" in result.err
    here.ok("get", "note-1", "--force")
    assert (here.home / "note-1").read_text() == "first"
    assert sorted(path.name for path in here.home.iterdir()) == ["note", "note-1"]


def test_a_range_of_a_file_is_written_to_standard_output(here: Cli) -> None:
    (here.home / "numbers").write_text("".join(f"{n:07}\n" for n in range(300_000)))
    here.ok("add", "numbers")
    whole = (here.home / "numbers").read_text()
    assert here.ok("cat", "numbers").out == whole
    assert here.ok("cat", "numbers", "--offset", "1048570", "--length", "20").out == whole[1048570:1048590]
    assert here.ok("cat", "numbers", "--length", "0").out == ""
    assert here.ok("cat", "numbers", "--offset", "99999999").out == ""


def test_cat_ends_quietly_when_nobody_reads_on(here: Cli) -> None:
    (here.home / "long").write_bytes(Random("long").randbytes(20 * MIB))
    here.ok("add", "long")
    writer = here.start("cat", "long")
    assert writer.stdout and writer.stderr
    writer.stdout.buffer.read(10)
    writer.stdout.close()
    assert (writer.wait(100), writer.stderr.read()) == (141, "")
    writer.stderr.close()


def test_a_file_is_added_by_reference_and_removing_it_leaves_it_alone(here: Cli) -> None:
    (here.home / "film").write_bytes(Random("film").randbytes(2 * MIB))
    answer = here.ok("add", "film", "--link", "--copies", "1", "--json").json
    assert (answer["is_linked"], answer["copies"]) == (True, 1)
    here.ok("get", "film", "-o", "again")
    assert same(here.home / "film", here.home / "again")
    here.ok("rm", "--yes", "film")
    assert here("get", "film", "-o", "third").code == 66
    assert (here.home / "film").stat().st_size == 2 * MIB


def test_removing_asks_first(here: Cli) -> None:
    (here.home / "kept").write_text("kept")
    here.ok("add", "kept")
    result = here("rm", "kept")
    assert (result.code, "--yes" in result.err) == (64, True)
    assert "kept" in here.ok("ls").out
    assert here("rm", "--yes", "no-such-thing").code == 66


def test_options_of_an_add_reach_the_catalogue(here: Cli) -> None:
    (here.home / "p").write_bytes(Random("p").randbytes(600_000))
    cut = ["--profile", "unixfs-v0-2015"]
    here.ok("add", "p", "--name", "other name", "--copies", "3", "--priority", "7", *cut)
    shown = here.ok("sources", "show", "other name", "--json").json
    assert (shown["status"]["copies"], shown["priority"]) == (3, 7)
    assert shown["status"]["root"] == here.ok("cid", "p", *cut).out.strip()
    assert "other name" in here.ok("sources", "show", shown["status"]["root"]).out


def test_hidden_files_are_added_only_on_request(here: Cli) -> None:
    (here.home / "d").mkdir()
    (here.home / "d/.secret").write_text("x")
    (here.home / "d/seen").write_text("seen by all")
    here.ok("add", "d")
    assert [line["path"] for line in here.ok("ls", "d", "--json").json["entries"]] == ["seen"]
    here.ok("add", "d", "--hidden", "--name", "d-all")
    assert [line["path"] for line in here.ok("ls", "d-all", "--json").json["entries"]] == [".secret", "seen"]


def test_what_cannot_be_added_is_named_and_nothing_is_published(here: Cli) -> None:
    before = here.ok("ls", "--json").json
    assert here("add", "nowhere").code == 66
    (here.home / "d").mkdir()
    subprocess.run(["mkfifo", here.home / "d" / "pipe"], check=True)
    result = here("add", "d")
    assert result.code == 64 and "pipe" in result.err
    assert here.ok("ls", "--json").json == before


def test_more_than_fits_is_refused_with_the_ways_out(here: Cli) -> None:
    before = here.ok("capacity", "--json").json["used_bytes"]
    with (here.home / "huge").open("wb") as file:
        file.truncate(2_000_000_000)
    result = here("add", "huge")
    assert result.code == 74
    assert all(word in result.err for word in ("--link", "ralnode capacity", "ralnode rm", "Nothing was stored"))
    assert here.ok("capacity", "--json").json["used_bytes"] - before < MIB


def test_an_interrupted_add_goes_on_where_it_stopped(here: Cli, node: NodeProcess) -> None:
    top = here.home / "big"
    with top.open("wb") as file:
        for number in range(30):
            file.write(Random(f"big {number}").randbytes(10 * MIB))
    used = node.ask("capacity")["used_bytes"]
    adding = here.start("add", "big")
    node.wait_for(lambda: node.ask("capacity")["used_bytes"] - used > 160 * MIB)
    adding.send_signal(signal.SIGINT)
    out, err = adding.communicate(timeout=100)
    assert (adding.returncode, out) == (130, ""), err
    assert "big" not in here.ok("ls").out
    answer = here.ok("add", "big", "--json").json
    assert answer["reused_bytes"] >= 64 * MIB
    assert answer["root"] == here.ok("cid", "big").out.strip()
    here.ok("rm", "--yes", "big")


def test_a_source_survives_as_a_car_file(here: Cli) -> None:
    top = tree(here.home / "box", "box")
    root = here.ok("add", "box", "--json").json["root"]
    here.ok("export", "box")
    here.ok("rm", "--yes", "box")
    assert here.ok("import", "box.car", "--json").json == {
        "root": root, "name": "box", "size_bytes": 3 * MIB + 17 + 3, "leaf_count": 7, "copies": 2, "is_directory": True,
        "is_linked": False, "reused_bytes": 0,
    }  # fmt: skip
    here.ok("get", "box", "-o", "back")
    assert same(top, here.home / "back")
    assert here("export", "box").code == 64


def test_a_car_file_goes_through_a_pipe(here: Cli) -> None:
    (here.home / "f").write_bytes(Random("pipe").randbytes(2 * MIB))
    here.ok("add", "f", "--name", "piped")
    program = " ".join(here.program)
    line = f"{program} export piped -o - | {program} import - --name piped-again --json"
    done = subprocess.run(
        line, shell=True, cwd=here.home, env=here.environment(), capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["name"] == "piped-again"


def test_a_damaged_car_file_is_refused_before_anything_is_sent(here: Cli) -> None:
    (here.home / "f").write_bytes(Random("damaged").randbytes(300_000))
    here.ok("add", "f", "--name", "to-damage")
    here.ok("export", "to-damage", "-o", "f.car")
    data = bytearray((here.home / "f.car").read_bytes())
    data[-5] ^= 1
    (here.home / "f.car").write_bytes(data)
    result = here("import", "f.car")
    assert result.code == 64 and "Nothing was sent" in result.err
    assert here("import", "nowhere.car").code == 66


def test_a_sources_json_brings_exactly_what_it_lists(here: Cli) -> None:
    folder = here.home / "sources"
    folder.mkdir()
    for name, profile in (
        ("new", "unixfs-v1-2025"),
        ("tool", "poc-256k"),
        ("node", "poc-128k"),
        ("old", "unixfs-v0-2015"),
    ):
        (folder / name).write_bytes(Random(f"listed {name}").randbytes(700_000))
        here.ok("sources", "generate", "sources", "--profile", profile, "-o", f"{name}.json")
    lines = [
        line
        for name in ("new", "tool", "node", "old")
        for line in (here.home / f"{name}.json").read_text().split("\n")
        if json.loads(line)["Name"] == name
    ]
    (here.home / "sources.json").write_text("\n".join(lines))
    states = [each["state"] for each in here.ok("sources", "import", "--json").json["sources"]]
    assert states == ["added"] * 4
    roots = {source["root"] for source in here.ok("sources", "--json").json["sources"]}
    assert roots >= {json.loads(line)["Cid"] for line in lines}
    assert [each["state"] for each in here.ok("sources", "import", "--json").json["sources"]] == ["already there"] * 4


def test_a_sources_json_that_does_not_fit_its_files_is_told(here: Cli) -> None:
    (here.home / "a").write_text("a changed file")
    wrong = {"Name": "a", "Cid": "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", "Size": 14}
    missing = {"Name": "b", "Cid": "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e", "Size": 11}
    (here.home / "sources.json").write_text(f"{json.dumps(wrong)}\n{json.dumps(missing)}\n")
    result = here("sources", "import", "--json")
    assert (result.code, [each["state"] for each in result.json["sources"]]) == (1, ["failed", "missing"])
    (here.home / "sources.json").write_text('{"Name": "../x", "Cid": "bafkqaaa", "Size": 0}')
    result = here("sources", "import")
    assert result.code == 64 and "line 1" in result.err


def test_the_status_for_people_and_for_programs_is_one(here: Cli) -> None:
    status = from_jsonable(ClusterStatus, here.ok("status", "--json").json)
    shown = here.ok("status").out
    assert status.sentence in shown
    assert "attic" in shown and status.nodes[0].page_url in shown
    assert "attic" in here.ok("nodes").out
    assert here.ok("nodes", "--json").json["nodes"][0]["name"] == "attic"


def test_watching_shows_changes_until_it_is_stopped(here: Cli) -> None:
    watcher = here.start("status", "--watch", "--json")
    assert watcher.stdout and watcher.stderr
    first = from_jsonable(ClusterStatus, json.loads(watcher.stdout.readline()))
    (here.home / "seen").write_text("seen while watching")
    here.ok("add", "seen")
    for line in watcher.stdout:
        if len(from_jsonable(ClusterStatus, json.loads(line)).sources) > len(first.sources):
            break
    watcher.send_signal(signal.SIGINT)
    watcher.communicate(timeout=100)
    assert watcher.returncode == 130


def test_the_plan_is_shown_and_a_block_explained(here: Cli) -> None:
    (here.home / "w").write_bytes(Random("w").randbytes(2 * MIB))
    here.ok("add", "w", "--name", "why")
    here.ok("status")
    plan = from_jsonable(PlanAnswer, here.ok("plan", "--json").json)
    assert plan.node == "attic"
    assert "attic" in here.ok("plan").out
    lines = here.ok("plan", "--why", "why", "1").out
    assert "Block 1 of 2 of why" in lines and "attic" in lines
    assert here("plan", "--why", "why", "2").code == 64
    assert here("plan", "--why", "no-such", "0").code == 66


def test_capacity_is_shown_and_changed_but_never_below_what_is_used(here: Cli) -> None:
    before = from_jsonable(CapacityAnswer, here.ok("capacity", "--json").json)
    assert here("capacity", "1kB").code == 77
    grown = from_jsonable(CapacityAnswer, here.ok("capacity", "1GB", "--json").json)
    assert (grown.capacity_bytes, grown.before_bytes) == (10**9, before.capacity_bytes)
    assert "1.0 GB" in here.ok("capacity").out
    assert here("capacity", "lots").code == 64
    here.ok("capacity", str(before.capacity_bytes // 1000) + "kB")


def test_plugins_and_the_join_code_come_from_the_node(here: Cli) -> None:
    active = {(line["role"], line["active"]) for line in here.ok("plugins", "--json").json["plugins"]}
    assert ("storage", True) in active
    assert here.ok("invite").out.startswith("ral1")
    assert here.ok("join", here.ok("invite").out.strip()).out.startswith("this node is a member already")


def test_doctor_looks_at_the_running_node(here: Cli) -> None:
    result = here("doctor", "--json")
    assert result.json["is_running"] is True
    rows = {row["key"]: row for row in result.json["config"]}
    assert rows["node.name"]["origin"] == "flag --name"


def test_an_unknown_node_is_refused_with_those_there_are(here: Cli) -> None:
    result = here("capacity", "--node", "atic")
    assert result.code == 66 and "attic" in result.err
    assert here("status", "--node", "attic").code == 0
    assert here("add", "x", "--node", "attic").code in (66, 77)


def test_verify_finds_a_flipped_bit_and_ends_with_1(new_node: Callable[..., NodeProcess]) -> None:
    node = new_node("--name", "shed", "--capacity", "200MB")
    (node.folder / "f").write_bytes(Random("flip").randbytes(5 * MIB))
    node.cli.ok("add", "f")
    assert "all good" in node.cli.ok("verify").out
    segment = next((node.folder / "data" / "segments").glob("*.car"))
    with segment.open("r+b") as file:
        file.seek(2 * MIB)
        byte = file.read(1)
        file.seek(2 * MIB)
        file.write(bytes([byte[0] ^ 4]))
    result = node.cli("verify", "--json")
    assert (result.code, result.json["state"], result.json["bad_count"]) == (1, "done", 1)


def test_the_index_is_made_anew_while_the_node_is_stopped(new_node: Callable[..., NodeProcess]) -> None:
    node = new_node("--name", "desk", "--capacity", "200MB")
    (node.folder / "f").write_bytes(Random("index").randbytes(5 * MIB))
    node.cli.ok("add", "f")
    node.cli.env["RALNODE_DATA_DIR"] = str(node.folder / "data")
    assert node.cli("rebuild-index").code in (69, 74)
    assert "desk stopped" in node.cli.ok("stop").out
    assert node.end() == 0
    for path in (node.folder / "data").glob("index.db*"):
        path.unlink()
    assert node.cli.ok("rebuild-index", "--json").json["block_count"] >= 5
    del node.cli.env["RALNODE_DATA_DIR"]
    node.start()
    assert node.cli.ok("verify", "--json").json["checked_count"] >= 5


def test_a_second_node_on_the_same_data_is_refused(node: NodeProcess, here: Cli) -> None:
    result = here("run", "--data", node.folder / "data", "--port", "0", "--gossip-port", "0", "--page-port", "0")
    assert result.code in (69, 74)
    assert "another" in result.err


def test_stop_returns_when_the_node_has_gone(new_node: Callable[..., NodeProcess]) -> None:
    node = new_node("--name", "closet", "--capacity", "50MB")
    stopped = node.cli.ok("stop", "--away", "5", "--json").json
    assert (stopped["node"], stopped["away_seconds"]) == ("closet", 300.0)
    assert node.process and node.process.poll() == 0
    assert not node.socket.exists()
    assert node.cli("status").code == 69


def test_two_nodes_command_each_other(new_node: Callable[..., NodeProcess]) -> None:
    one = new_node("--name", "garage", "--capacity", "100MB")
    code = one.cli.ok("invite").out.strip()
    two = new_node("--name", "cellar", "--capacity", "100MB", "--join", code)
    two.wait_for(lambda: len(two.ask("nodes")["nodes"]) == 2)
    one.wait_for(lambda: len(one.ask("nodes")["nodes"]) == 2)
    assert one.cli.ok("capacity", "120MB", "--node", "cellar", "--json").json["capacity_bytes"] == 120_000_000
    assert two.cli.ok("capacity", "--json").json["capacity_bytes"] == 120_000_000
    refused = one.cli("capacity", "1kB", "--node", "cellar")
    assert refused.code == 77 and "cellar" in refused.err
    assert one.cli("invite", "--node", "cellar").code == 77
    (one.folder / "f").write_bytes(Random("two").randbytes(3 * MIB))
    one.cli.ok("add", "f")
    two.wait_for(lambda: bool(two.ask("sources")["sources"]))
    two.cli.ok("get", "f", "-o", "g")
    assert same(one.folder / "f", two.folder / "g")
    assert "is stopping" in one.cli.ok("stop", "--node", "cellar").out
    assert two.process and two.process.wait(60) == 0


def test_a_node_that_stands_alone_leaves_its_empty_cluster_to_join_another(
    new_node: Callable[..., NodeProcess],
) -> None:
    one = new_node("--name", "first", "--capacity", "100MB")
    two = new_node("--name", "second", "--capacity", "100MB")
    two.cli.env["RALNODE_DATA_DIR"] = str(two.folder / "data")
    assert "Start the node: ralnode run" in two.cli.ok("join", one.cli.ok("invite").out.strip()).out
    assert two.process and two.process.poll() == 0
    two.start()
    two.wait_for(lambda: len(two.ask("nodes")["nodes"]) == 2)
    (two.folder / "f").write_text("no longer empty")
    two.cli.ok("add", "f")
    three = new_node("--name", "third", "--capacity", "100MB")
    refused = two.cli("join", three.cli.ok("invite").out.strip())
    assert refused.code == 77 and "2 nodes and 1 sources" in refused.err
    assert len(two.ask("nodes")["nodes"]) == 2
