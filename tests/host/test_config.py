"""File, environment and flags, in this order; and where each value came from."""

from pathlib import Path
from typing import Any

import pytest

from ralnode.api import ConfigError
from ralnode.host import config as module
from ralnode.host.config import Config, load
from ralnode.host.node_options import KnownPeer, NodeOptions


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose /etc is in `tmp_path`."""
    monkeypatch.setattr(module, "SYSTEM_FILE", tmp_path / "etc" / "ralnode.toml")
    (tmp_path / "etc").mkdir()
    (tmp_path / "config" / "ralnode").mkdir(parents=True)
    return tmp_path


def read(home: Path, text: str = "", environ: dict[str, str] | None = None, **flags: Any) -> Config:
    path = home / "test.toml"
    path.write_text(text)
    path.chmod(0o600)
    named = {f"node.{name}": value for name, value in flags.items()}
    return load({"HOME": str(home), **(environ or {})}, named, path, hostname="attic", is_root=False)


def test_defaults_need_no_file(home: Path) -> None:
    config = load({"HOME": str(home)}, hostname="attic", is_root=False)
    assert config.path is None
    assert config.node == NodeOptions(name="attic", data_dir=home / ".local/share/ralnode")
    assert (config.node.transport_port, config.node.gossip_port, config.node.page_port) == (10090, 9090, 9080)
    assert config.provenance["node.name"] == "default: this machine's host name"


def test_flags_win_over_environment_over_aliases_over_file(home: Path) -> None:
    text = '[node]\nname = "f"\nzone = "f"\ngroup = "f"\ntransport_port = 1\n'
    environ = {"RALNODE_ZONE": "e", "RALNODE_GROUP": "e", "XNODE_GROUP_NAME": "x", "XNODE_P2P_PORT": "2"}
    config = read(home, text, environ, group="g")
    assert (config.node.name, config.node.zone, config.node.group, config.node.transport_port) == ("f", "e", "g", 2)
    assert config.provenance["node.name"] == str(home / "test.toml")
    assert config.provenance["node.zone"] == "environment RALNODE_ZONE"
    assert config.provenance["node.group"] == "flag --group"
    assert config.provenance["node.transport_port"] == "environment XNODE_P2P_PORT"


def test_all_variables_of_the_proof_of_concept_are_honoured(home: Path) -> None:
    environ = {
        "XNODE_NAME": "n",
        "XNODE_GROUP_NAME": "g",
        "XNODE_P2P_PORT": "1",
        "XNODE_GOSSIP_PORT": "2",
        "XNODE_HTTP_PORT": "3",
        "XNODE_KNOWN_PEERS": "a:4,192.168.0.9,[fd00::1]:5,fd00::2,b.local",
    }
    node = read(home, environ=environ).node
    assert (node.name, node.group, node.transport_port, node.gossip_port, node.page_port) == ("n", "g", 1, 2, 3)
    assert node.known_peers == (
        KnownPeer("a", 4),
        KnownPeer("192.168.0.9", 10090),
        KnownPeer("fd00::1", 5),
        KnownPeer("fd00::2", 10090),
        KnownPeer("b.local", 10090),
    )


def test_quantities_may_leave_the_unit_out_of_the_key(home: Path) -> None:
    node = read(home, '[node]\ncapacity = "500 GB"\nrepair_grace = "2min"\ndisk_floor = "2 GiB"\n').node
    assert (node.capacity_bytes, node.repair_grace_seconds, node.disk_floor_bytes) == (500 * 10**9, 120.0, 2 * 2**30)
    assert read(home, environ={"RALNODE_CAPACITY": "1 TB"}).node.capacity_bytes == 10**12
    assert read(home, capacity="2 TB").node.capacity_bytes == 2 * 10**12


def test_use_and_provider_tables_are_kept(home: Path) -> None:
    text = '[use]\nplanner = "rarest"\ndiscovery = ["static"]\n[planner.rarest]\nrounds = 3\n'
    config = read(home, text, {"RALNODE_USE_STORAGE": "other", "RALNODE_USE_UI": "web,tty"})
    assert config.use.names("planner") == ("rarest",)
    assert config.use.names("storage") == ("other",)
    assert config.use.names("discovery") == ("static",)
    assert config.use.names("ui") == ("web", "tty")
    assert config.use.names("gossip") is None
    assert config.tables == {"planner": {"rarest": {"rounds": 3}}}


BAD = [
    ("[noed]\nx = 1\n", "unknown section [noed]; did you mean 'node'"),
    ("[node]\nnmae = 'x'\n", "unknown key 'nmae'; did you mean 'name'"),
    ("[node]\ntransport_port = 'x'\n", "transport_port = 'x': must be a whole number"),
    ("[node]\ntransport_port = 70000\n", "ports go from 0"),
    ("[node]\ncopies = 0\n", "from 1 to 16 copies"),
    ('[node]\nname = "a\\u0007b"\n', "must be printable"),
    ('[node]\ngroup = ""\n', "group must not be empty"),
    ('[node]\nlog_level = "loud"\n', "must be one of 'debug'"),
    ('[node]\ncapacity = "1 GB"\ncapacity_bytes = 5\n', "'capacity_bytes' is given twice"),
    ("[use]\nplanner = 1\n", "planner = 1: must be a text"),
    ("[use]\ndiscovery = 'static'\n", "must be a list"),
    ("[planner]\nrounds = 1\n", "'rounds' stands directly in [planner]; it belongs into [planner.PROVIDER]"),
    ("node = 1\n", "node must be a table"),
    ("[node\n", "cannot read the configuration"),
    ('[node]\nknown_peers = ["a:99999"]\n', "'a:99999' is not host:port"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_a_wrong_file_is_refused_by_name(home: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(home, text)
    assert message in str(caught.value)


def test_a_wrong_variable_is_refused_by_name(home: Path) -> None:
    with pytest.raises(ConfigError, match=r"environment XNODE_P2P_PORT: transport_port = 'x'"):
        read(home, environ={"XNODE_P2P_PORT": "x"})


def test_an_unknown_variable_is_only_a_warning(home: Path) -> None:
    config = read(home, environ={"RALNODE_NMAE": "x", "RALNODE_PLUGINS": "", "RALNODE_SOCKET": "/x"})
    assert len(config.warnings) == 1
    assert "RALNODE_NMAE: unknown key 'nmae'; did you mean 'name'" in config.warnings[0]


def test_a_file_that_was_named_must_be_there(home: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load({}, path=home / "no.toml")
    with pytest.raises(ConfigError, match="there is no such file"):
        load({"RALNODE_CONFIG": str(home / "no.toml")})


@pytest.mark.parametrize(("is_root", "name"), [(True, "machine"), (False, "user")])
def test_root_reads_the_machines_file_first_and_others_their_own(home: Path, is_root: bool, name: str) -> None:
    (home / "etc/ralnode.toml").write_text('[node]\nname = "machine"\n')
    (home / "config/ralnode/ralnode.toml").write_text('[node]\nname = "user"\n')
    environ = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / "config")}
    assert load(environ, is_root=is_root).node.name == name


DATA_DIRS = [
    ({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, True, Path("/var/lib/a")),
    ({}, True, Path("/var/lib/ralnode")),
    ({"XDG_DATA_HOME": "/data"}, False, Path("/data/ralnode")),
    ({"XDG_DATA_HOME": "relative"}, False, Path("/home/u/.local/share/ralnode")),
]


@pytest.mark.parametrize(("environ", "is_root", "data_dir"), DATA_DIRS)
def test_the_data_directory_depends_on_who_runs_the_node(
    home: Path, environ: dict[str, str], is_root: bool, data_dir: Path
) -> None:
    assert load({"HOME": "/home/u", **environ}, is_root=is_root).node.data_dir == data_dir


def test_a_join_code_that_everybody_may_read_is_warned_of_and_never_shown(home: Path) -> None:
    path = home / "open.toml"
    path.write_text('[node]\njoin_code = "ral1secret"\n')
    path.chmod(0o644)
    config = load({"HOME": str(home)}, path=path)
    assert "everybody here may read it" in config.warnings[0]
    assert "ral1secret" not in str(config.effective())


def test_provider_options_name_their_table(home: Path) -> None:
    config = read(home, "[planner.x]\ngroup = 1\n")
    with pytest.raises(ConfigError, match=r"\[planner.x\] in .*test.toml: group = 1: must be a text"):
        config.provider_options("planner", "x", NodeOptions)
