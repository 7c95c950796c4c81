"""The Debian package: its configuration knows every option, its man page every command; and what lies in it when built."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ralnode.cli.words import WORDS
from ralnode.host.config import load as load_config
from ralnode.host.node_options import NodeOptions, UseOptions
from ralnode.host.plugin_find import Where
from ralnode.host.plugins import load as load_plugins

ROOT = Path(__file__).parents[2]
BUILT = sorted((ROOT / "dist").glob("ralnode_*.deb"))


def made(what: str) -> str:
    done = subprocess.run(
        [sys.executable, ROOT / "packaging/make_docs.py", what], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.fixture(scope="module")
def config() -> str:
    return made("config")


def uncommented(text: str) -> dict[str, object]:
    """The tables as they would be if every option were in force."""
    return tomllib.loads(re.sub(r"^#(?=[a-z_]+ = )", "", text, flags=re.MULTILINE))


def test_the_configuration_as_installed_changes_nothing(config: str, tmp_path: Path) -> None:
    file = tmp_path / "ralnode.toml"
    file.write_text(config)
    environ = {"HOME": str(tmp_path)}
    installed = load_config(environ, path=file, hostname="attic", is_root=True)
    (tmp_path / "empty.toml").touch()
    bare = load_config(environ, path=tmp_path / "empty.toml", hostname="attic", is_root=True)
    assert (installed.node, installed.use, installed.warnings) == (bare.node, bare.use, ())


@pytest.mark.parametrize(("section", "cls"), [("node", NodeOptions), ("use", UseOptions)])
def test_every_option_of_the_node_stands_in_the_configuration(section: str, cls: type, config: str) -> None:
    words = uncommented(config)[section]
    assert isinstance(words, dict)
    told = {name for word in words for name in (word, f"{word}_bytes", f"{word}_seconds")}
    assert {field.name for field in dataclasses.fields(cls)} <= told


def test_every_option_of_every_built_in_plugin_stands_in_the_configuration(config: str, tmp_path: Path) -> None:
    tables = uncommented(config)
    offers = load_plugins(Where({"HOME": str(tmp_path)})).offers
    assert len(offers) >= 9
    for offer in offers:
        fields = {field.name for field in dataclasses.fields(offer.provider.options)}
        role = tables.get(offer.role, {})
        assert isinstance(role, dict)
        told = {
            name for word in role.get(offer.provider.name, {}) for name in (word, f"{word}_bytes", f"{word}_seconds")
        }
        assert fields <= told, f"[{offer.role}.{offer.provider.name}]"


def test_the_man_page_has_every_command() -> None:
    page = made("man").replace(r"\-", "-")
    for word in WORDS:
        assert f".SS ralnode {word.name}\n" in page
        assert word.summary in page


@pytest.fixture(scope="module")
def members() -> dict[str, tuple[str, str]]:
    """Path -> (mode, owner) of the package that was built."""
    if not BUILT or not shutil.which("dpkg-deb"):
        pytest.skip("no Debian package to look into: `sh packaging/deb` makes one")
    done = subprocess.run(["dpkg-deb", "--contents", BUILT[-1]], capture_output=True, text=True, check=True)
    rows = [line.split(maxsplit=5) for line in done.stdout.splitlines()]
    return {row[5].split(" -> ")[0].removeprefix("."): (row[0], row[1]) for row in rows}


@pytest.mark.parametrize(
    "path",
    [
        "/usr/lib/ralnode/ralnode", "/usr/bin/ralnode", "/etc/ralnode/ralnode.toml", "/etc/ralnode/plugins/",
        "/lib/systemd/system/ralnode.service", "/lib/systemd/system/ralnode@.service", "/usr/lib/sysusers.d/ralnode.conf",
        "/usr/lib/tmpfiles.d/ralnode.conf", "/usr/share/man/man1/ralnode.1.gz", "/usr/share/doc/ralnode/copyright",
        "/usr/share/bash-completion/completions/ralnode", "/usr/share/zsh/vendor-completions/_ralnode",
        "/usr/share/fish/vendor_completions.d/ralnode.fish",
    ],
)  # fmt: skip
def test_the_package_has(path: str, members: dict[str, tuple[str, str]]) -> None:
    assert path in members


def test_everything_in_the_package_belongs_to_root_and_nobody_else_may_write_it(
    members: dict[str, tuple[str, str]],
) -> None:
    for path, (mode, owner) in members.items():
        assert owner == "root/root", path
        assert mode.startswith("l") or (mode[5], mode[8]) == ("-", "-"), (path, mode)
        assert "s" not in mode[1:], (path, mode)


def test_the_configuration_is_not_overwritten_by_an_upgrade(members: dict[str, tuple[str, str]]) -> None:
    done = subprocess.run(["dpkg-deb", "--info", BUILT[-1], "conffiles"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["/etc/ralnode/ralnode.toml"]
    assert members["/etc/ralnode/ralnode.toml"]


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_the_maintainer_scripts_are_shell(script: str) -> None:
    subprocess.run(["sh", "-n", ROOT / "packaging/debian" / script], check=True)


def test_a_purge_deletes_data_only_when_asked() -> None:
    text = (ROOT / "packaging/debian/postrm").read_text()
    assert text.count("rm -rf") == 2
    assert text.index('"${RALNODE_PURGE_DATA:-}" = yes') < text.index("rm -rf")


@pytest.mark.skipif(not shutil.which("lintian"), reason="no lintian here: apt-get install lintian")
@pytest.mark.timeout(240)
def test_lintian_finds_no_error() -> None:
    if not BUILT:
        pytest.skip("no Debian package to look into: `sh packaging/deb` makes one")
    root = ["--allow-root"] if os.geteuid() == 0 else []
    done = subprocess.run(
        ["lintian", *root, "--fail-on", "error", BUILT[-1]], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
