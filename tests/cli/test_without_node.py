"""What the command line does alone: help, errors, CIDs, plugins' words, doctor, join."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ralnode.cli.main import main
from ralnode.cli.words import WORDS, Word
from ralnode.host.joincode import JoinCode

if TYPE_CHECKING:
    from tests.cli.conftest import Cli
else:
    Cli = Any

HEAVY = ["numpy", "cryptography", "starlette", "uvicorn", "rich", "aiosqlite", "sqlite3", "zeroconf", "jinja2", "asyncio",
         "multiformats", "pluggy", "watchfiles", "ralnode.api", "ralnode.host", "http.client"]  # fmt: skip


def test_help_lists_every_word_with_its_summary(cli: Cli) -> None:
    result = cli.ok("--help")
    for word in WORDS:
        assert f"  {word.name} " in result.out
    assert cli.ok("-h").out == cli.ok().out == result.out


@pytest.mark.parametrize(("line", "needed"), [(["--help"], []), (["--version"], ["sqlite3"]), ([], [])])
def test_help_imports_nothing_heavy(line: list[str], needed: list[str], tmp_path: Path) -> None:
    script = f"import sys; from ralnode.cli.main import main; main({line!r}); print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={"HOME": str(tmp_path)}
    )
    assert done.stdout.splitlines()[-1] == str(needed)


@pytest.mark.parametrize("word", WORDS, ids=lambda word: word.name)
def test_help_of_each_word_teaches_with_an_example(word: Word, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word.name, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"Usage: ralnode {word.name}" in out
    assert f"ralnode {word.name}" in out.split("Example", 1)[1]


def test_the_version_is_told(cli: Cli) -> None:
    first, second = cli.ok("--version").out.splitlines()
    versions = cli.ok("version", "--json").json
    assert first == f"ralnode {versions['ralnode']}"
    assert all(versions[each] and versions[each] in second for each in ("python", "sqlite", "glibc"))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["frobnicate"], "frobnicate"),
        (["statsu"], "Did you mean 'status'?"),
        (["get"], "ralnode get --help"),
        (["get", "--frob", "x"], "--frob"),
        (["cat", "x", "--offset", "-1"], "offset"),
        (["demo", "--nodes", "2"], "nodes"),
        (["demo", "--size", "lots"], "--size"),
        (["add", "a", "b", "--name", "c"], "--name"),
        (["cid", "--profile", "none", "."], "unixfs-v1-2025"),
        (["join", "nonsense"], "join code"),
        (["plan", "--why", "x"], "why"),
        (["cat", "x", "--json"], "--json"),
        (["sources", "frob"], "frob"),
    ],
)
def test_a_wrong_line_is_answered_with_one_line_and_64(cli: Cli, line: list[str], says: str) -> None:
    result = cli(*line)
    assert (result.code, result.out) == (64, "")
    assert result.err.count("\n") == 1
    assert result.err.startswith("ralnode: ") or line[-1] == "--json"
    assert says in result.err


@pytest.mark.parametrize("word", ["status", "ls", "nodes", "plan", "capacity", "stop", "invite", "verify", "sources"])
def test_without_a_node_every_command_says_how_to_start_one(cli: Cli, word: str) -> None:
    result = cli(word)
    assert (result.code, result.out) == (69, "")
    assert "ralnode run" in result.err and result.err.count("\n") == 1


def test_an_error_can_be_had_as_json(cli: Cli) -> None:
    result = cli("status", "--json")
    table = json.loads(result.err)
    assert (result.code, table["exit_code"], table["class"]) == (69, 69, "UnavailableError")


def test_a_traceback_is_shown_only_on_request(cli: Cli) -> None:
    assert "Traceback" not in cli("status").err
    assert "Traceback" in cli("--debug", "status").err


def test_a_socket_path_that_is_too_long_is_named(cli: Cli) -> None:
    result = cli("status", "--socket", "/run/" + "x" * 120)
    assert result.code == 78
    assert "too long" in result.err


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        (b"", [], "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"),
        (b"hello world", ["--profile", "unixfs-v0-2015"], "Qmf412jQZiuVUtdgnB36FXFX7xg5V6KEbSJ4dpQuhkLyfD"),
        (b"hello world", [], "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"),
    ],
)
def test_cids_are_those_of_other_tools(cli: Cli, content: bytes, options: list[str], expected: str) -> None:
    (cli.home / "f").write_bytes(content)
    assert cli.ok("cid", "f", *options).out == expected + "\n"


def test_an_empty_folder_has_the_cid_that_everybody_knows(cli: Cli) -> None:
    (cli.home / "d").mkdir()
    assert cli.ok("cid", "d", "--profile", "unixfs-v0-2015").out == "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn\n"


def test_hidden_files_count_only_on_request(cli: Cli) -> None:
    (cli.home / "d").mkdir()
    (cli.home / "d/a").write_bytes(b"a")
    without = cli.ok("cid", "d").out
    (cli.home / "d/.b").write_bytes(b"b")
    assert cli.ok("cid", "d").out == without
    assert cli.ok("cid", "d", "--hidden").out != without


def test_the_chunk_size_decides_the_cid(cli: Cli) -> None:
    (cli.home / "f").write_bytes(bytes(300_000))
    found = {
        cli.ok("cid", "f", *options).out for options in ([], ["--chunk-size", "128KiB"], ["--profile", "poc-256k"])
    }
    assert len(found) == 3
    assert (
        cli.ok("cid", "f", "--profile", "poc-128k").out
        == cli.ok("cid", "f", "--profile", "poc-256k", "--chunk-size", "128k").out
    )


def test_a_missing_path_is_named(cli: Cli) -> None:
    result = cli("cid", "nowhere")
    assert result.code == 66 and "nowhere" in result.err


def test_sources_json_is_written_as_the_proof_of_concept_did(cli: Cli) -> None:
    folder = cli.home / "sources"
    (folder / "sub").mkdir(parents=True)
    (folder / "b.txt").write_bytes(b"hello world")
    (folder / "A.txt").write_bytes(b"")
    (folder / ".hidden").write_bytes(b"h")
    cli.ok("sources", "generate", "sources")
    lines = (cli.home / "sources.json").read_text().split("\n")
    assert [json.loads(line)["Name"] for line in lines] == [".hidden", "A.txt", "b.txt"]
    assert lines[2] == '{"Name":"b.txt","Cid":"bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e","Size":11}'
    listed = cli.ok("sources", "generate", "sources", "--folders", "-o", "-").out
    assert '"Name":"sub"' in listed


WORD_PLUGIN = '''
"""Adds words."""
import typer
from ralnode.api import hookimpl

@hookimpl
def register_commands(app):
    @app.command("greet")
    def greet(name: str) -> None:
        """Say hello."""
        typer.echo(f"hello {name}")

    @app.command("status")
    def status() -> None:
        """Not the real one."""
        typer.echo("hijacked")
'''


@pytest.fixture
def plugins(cli: Cli) -> Path:
    folder = cli.home / "plugins"
    folder.mkdir(mode=0o755)
    cli.env["RALNODE_PLUGINS_DIR"] = str(folder)
    return folder


def test_a_plugin_adds_a_word(cli: Cli, plugins: Path) -> None:
    (plugins / "ralnode_words.py").write_text(WORD_PLUGIN)
    assert cli.ok("greet", "you").out == "hello you\n"
    assert "Say hello." in cli.ok("--help").out
    assert cli.ok("greet", "--help").out.startswith("Usage: ralnode greet")


def test_a_plugin_cannot_take_over_a_built_in_word(cli: Cli, plugins: Path) -> None:
    (plugins / "ralnode_words.py").write_text(WORD_PLUGIN)
    assert cli("status").code == 69
    assert "built in" in cli.ok("greet", "you").err


def test_a_broken_plugin_is_named_and_harms_no_other_word(cli: Cli, plugins: Path) -> None:
    (plugins / "ralnode_words.py").write_text(WORD_PLUGIN)
    (plugins / "ralnode_broken.py").write_text("raise SystemExit('no')")
    result = cli.ok("greet", "you")
    assert result.out == "hello you\n"
    assert "broken" in result.err
    assert cli.ok("version").err == ""


def test_plugins_are_listed_without_a_node(cli: Cli, plugins: Path) -> None:
    (plugins / "ralnode_broken.py").write_text("1 / 0")
    table = cli.ok("plugins", "--json").json
    roles = {line["role"] for line in table["plugins"] if line["active"]}
    assert {"storage", "transport", "gossip", "planner"} <= roles
    assert any(line["name"] == "broken" and "ZeroDivisionError" in line["reason"] for line in table["refused"])
    assert "broken" in cli.ok("plugins").out


def config(cli: Cli, text: str) -> None:
    (cli.home / "c.toml").write_text(text)
    cli.env["RALNODE_CONFIG"] = str(cli.home / "c.toml")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_doctor_shows_what_is_set_and_where_it_came_from(cli: Cli) -> None:
    config(cli, f'[node]\ndata_dir = "{cli.home}/d"\ntransport_port = 0\ngossip_port = 0\npage_port = 0\n')
    cli.env["RALNODE_ZONE"] = "cellar"
    cli.env["XNODE_NAME"] = "old-name"
    result = cli("doctor", "--json")
    rows = {row["key"]: (row["value"], row["origin"]) for row in result.json["config"]}
    assert rows["node.zone"] == ("cellar", "environment RALNODE_ZONE")
    assert rows["node.name"] == ("old-name", "environment XNODE_NAME")
    assert rows["node.data_dir"][1].endswith("c.toml")
    assert rows["node.copies"] == ("2", "default")
    assert result.code == 0, result
    assert not (cli.home / "d").exists()


def test_doctor_finds_what_is_bad_and_ends_with_1(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config(
            cli,
            f'[node]\ndata_dir = "/proc/x"\nlisten_host = "127.0.0.1"\ntransport_port = {port}\nsources_dir = "/no"\n',
        )
        result = cli("doctor", "--json")
    bad = {finding["about"]: finding for finding in result.json["findings"] if finding["level"] == "bad"}
    assert result.code == 1
    assert set(bad) >= {"data folder", "ports", "sources"}
    assert all(finding["remedy"] for finding in bad.values())
    assert "→" in cli("doctor").out


def test_doctor_tells_a_broken_configuration(cli: Cli) -> None:
    config(cli, "[node]\ncapacty = '1GB'\n")
    result = cli("doctor")
    assert result.code == 1
    assert "capacity" in result.out
    assert cli("status").code == 78


def test_join_stores_the_secret_and_where_the_peers_are(cli: Cli) -> None:
    code = JoinCode(bytes(range(32)), ()).encode()
    config(cli, f'[node]\ndata_dir = "{cli.home}/d"\n')
    assert "ralnode run" in cli.ok("join", code).out
    secret = cli.home / "d" / "cluster.secret"
    assert (secret.read_bytes(), secret.stat().st_mode & 0o777) == (bytes(range(32)), 0o600)
    cli.ok("join", code.upper())
    result = cli("join", JoinCode(bytes(32), ()).encode())
    assert result.code == 78 and "another" in result.err
    assert secret.read_bytes() == bytes(range(32))


def test_rebuilding_the_index_of_nothing_is_refused(cli: Cli) -> None:
    config(cli, f'[node]\ndata_dir = "{cli.home}/d"\n')
    assert cli("rebuild-index").code == 66
    assert not (cli.home / "d").exists()


def test_run_refuses_a_wrong_option_before_anything_is_made(cli: Cli) -> None:
    result = cli("run", "--data", cli.home / "d", "--capacity", "much")
    assert (result.code, result.err.count("\n")) == (78, 1)
    assert "capacity" in result.err
    assert not (cli.home / "d").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_offered(cli: Cli, shell: str) -> None:
    cli.env["_RALNODE_COMPLETE"] = f"complete_{shell}"
    cli.env |= {"COMP_WORDS": "ralnode sta", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "ralnode sta",
                "_TYPER_COMPLETE_FISH_ACTION": "get-args"}  # fmt: skip
    assert "status" in cli("sta").out
