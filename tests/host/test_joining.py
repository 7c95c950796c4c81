"""Which cluster a node was told to belong to."""

from dataclasses import replace
from pathlib import Path

import pytest

from ralnode.api import Address, ConfigError, LocalError
from ralnode.host.founding import settings_of
from ralnode.host.joincode import JoinCode
from ralnode.host.joining import find_join_code
from ralnode.host.node_options import KnownPeer, NodeOptions

CODE = JoinCode(bytes(range(32)), (Address("192.0.2.1", 10090),))
OTHER = JoinCode(bytes(range(1, 33)))


def test_nothing_told_founds_a_cluster() -> None:
    assert find_join_code(NodeOptions(), {}) is None


def test_a_join_code_in_the_configuration_tells_secret_and_addresses() -> None:
    assert find_join_code(NodeOptions(join_code=f" {CODE.encode()} "), {}) == CODE


@pytest.mark.parametrize("content", [CODE.secret, CODE.encode().encode() + b"\n"])
def test_a_file_holds_the_bare_secret_or_a_join_code(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)
    found = find_join_code(NodeOptions(secret_file=tmp_path / "secret"), {})
    assert found is not None
    assert found.secret == CODE.secret


def test_systemds_credential_wins_over_file_and_configuration(tmp_path: Path) -> None:
    (tmp_path / "cluster-key").write_bytes(CODE.secret)
    (tmp_path / "secret").write_bytes(OTHER.secret)
    options = NodeOptions(secret_file=tmp_path / "secret", join_code=OTHER.encode())
    found = find_join_code(options, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert found == JoinCode(CODE.secret)
    assert find_join_code(options, {"CREDENTIALS_DIRECTORY": str(tmp_path / "none")}) == JoinCode(OTHER.secret)


def test_a_mistyped_code_names_where_it_stands(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[node\] join_code: this is not a usable join code"):
        find_join_code(NodeOptions(join_code="ral1nonsense"), {})
    (tmp_path / "secret").write_text("short")
    with pytest.raises(ConfigError, match="secret: this is not a usable join code"):
        find_join_code(NodeOptions(secret_file=tmp_path / "secret"), {})


def test_a_file_that_cannot_be_read_is_no_reason_to_found_another_cluster(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="cannot read the cluster secret"):
        find_join_code(NodeOptions(secret_file=tmp_path / "none"), {})


def test_the_addresses_of_the_join_code_are_known_peers(tmp_path: Path) -> None:
    options = replace(NodeOptions(name="n"), known_peers=(KnownPeer("a", 1), KnownPeer("192.0.2.1", 10090)))
    settings = settings_of(options, tmp_path, 5, CODE.addresses)
    assert settings.known_peers == (Address("a", 1), Address("192.0.2.1", 10090))
    assert all(type(peer) is Address for peer in settings.known_peers)
    assert settings.capacity_bytes == 5
