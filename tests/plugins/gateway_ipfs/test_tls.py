"""The certificate of the gateway, and its second port: own and given ones, renewal, trouble."""

import asyncio
import hashlib
import logging
import os
import socket
import ssl
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from ralnode.api import LocalError
from ralnode_gateway_ipfs.certificate import FILE_NAME, load_given, now_utc, read_own, self_signed, server_context
from ralnode_gateway_ipfs.options import IpfsOptions

NOW = now_utc()


@pytest.fixture
def options() -> IpfsOptions:
    return IpfsOptions(port=0, tls_port=0)


def given(folder: Path, name: str = "nas") -> Path:
    """A certificate of the user's, with its key in the same file."""
    folder.mkdir()
    return self_signed(folder, name, [], NOW).path


def in_two_files(both: Path) -> tuple[Path, Path]:
    text = both.read_text()
    at = text.index("-----BEGIN PRIVATE KEY")
    (both.parent / "c.pem").write_text(text[:at])
    (both.parent / "k.pem").write_text(text[at:])
    return both.parent / "c.pem", both.parent / "k.pem"


class TestOwn:
    def test_its_key_is_for_the_owner_alone(self, tmp_path) -> None:
        made = self_signed(tmp_path / "data", "attic", ["192.168.1.10"], NOW)
        assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
        assert made.path == tmp_path / "data" / FILE_NAME
        assert [path.name for path in (tmp_path / "data").iterdir()] == [FILE_NAME]

    def test_it_is_for_all_names_and_addresses_of_the_machine_and_lasts_no_longer_than_browsers_accept(
        self, tmp_path
    ) -> None:
        hosts = ["192.168.1.10", "fd00::1", "nas.example.org", "not a name", ""]
        found = x509.load_pem_x509_certificate(self_signed(tmp_path, "attic", hosts, NOW).path.read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["localhost", "attic", "nas.example.org"]
        addresses = ["127.0.0.1", "::1", "192.168.1.10", "fd00::1"]
        assert list(map(str, names.get_values_for_type(x509.IPAddress))) == addresses
        assert found.not_valid_after_utc - found.not_valid_before_utc <= timedelta(days=397)
        assert found.not_valid_before_utc < NOW < found.not_valid_after_utc

    def test_it_stays_the_same_until_30_days_before_its_end(self, tmp_path) -> None:
        first = self_signed(tmp_path, "attic", [], NOW)
        assert self_signed(tmp_path, "attic", ["10.0.0.1"], NOW + timedelta(days=365)) == first
        second = self_signed(tmp_path, "attic", [], NOW + timedelta(days=367))
        assert second.fingerprint != first.fingerprint
        assert second.ends > first.ends + timedelta(days=360)
        assert read_own(tmp_path) == second

    @pytest.mark.parametrize("damage", [
        lambda path: path.chmod(0o644),
        lambda path: path.write_text("junk"),
        lambda path: path.write_text(path.read_text().split("-----BEGIN PRIVATE")[0]),
        lambda path: path.unlink(),
    ], ids=["readable by others", "junk", "without its key", "gone"])  # fmt: skip
    def test_one_that_cannot_be_trusted_or_used_is_made_anew(self, tmp_path, damage) -> None:
        first = self_signed(tmp_path, "attic", [], NOW)
        damage(first.path)
        second = self_signed(tmp_path, "attic", [], NOW)
        assert second.fingerprint != first.fingerprint
        assert stat.S_IMODE(second.path.stat().st_mode) == 0o600

    def test_a_folder_that_cannot_be_written_is_told(self, tmp_path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(LocalError, match="cannot write the gateway's certificate"):
            self_signed(tmp_path / "file", "attic", [], NOW)
        assert read_own(tmp_path / "nowhere") is None

    @pytest.mark.parametrize("name", ["x" * 300, "Ä\u202e\n", ""])
    def test_any_name_of_a_node_makes_one(self, tmp_path, name) -> None:
        server_context(self_signed(tmp_path, name, [], NOW))


class TestGiven:
    def test_one_file_or_two(self, tmp_path) -> None:
        both = given(tmp_path / "mine")
        single, double = load_given(both, None), load_given(*in_two_files(both))
        assert single.fingerprint == double.fingerprint
        assert not single.is_own

    def test_what_cannot_be_used_is_told(self, tmp_path) -> None:
        both, other = given(tmp_path / "mine"), given(tmp_path / "other")
        certificate, _ = in_two_files(both)
        _, foreign_key = in_two_files(other)
        (tmp_path / "junk").write_text("junk")
        for path, key in (
            (tmp_path / "gone", None),
            (certificate, None),
            (certificate, foreign_key),
            (tmp_path / "junk", None),
        ):
            with pytest.raises(LocalError, match="cannot use the certificate"):
                load_given(path, key)


def fingerprint(der: bytes) -> str:
    return hashlib.sha256(der).digest().hex(":").upper()


async def served(http2) -> str:
    def work() -> str:
        with http2() as client:
            return fingerprint(client.certificate)

    return await asyncio.to_thread(work)


class TestGateway:
    async def test_it_says_the_fingerprint_that_clients_see(self, gateway, http2, tmp_path) -> None:
        found = gateway.listening()
        assert found.fingerprint == await served(http2)
        assert read_own(tmp_path).fingerprint == found.fingerprint
        assert (found.host, found.port > 0, found.tls_port > 0) == ("127.0.0.1", True, True)

    async def test_a_restart_keeps_it(self, gateway, http2) -> None:
        before = gateway.listening().fingerprint
        await gateway.stop()
        assert (gateway.listening().port, gateway.listening().tls_port) == (0, 0)
        await gateway.start()
        assert await served(http2) == before

    async def test_it_is_renewed_while_it_runs(self, gateway, http2, monkeypatch) -> None:
        before = gateway.listening().fingerprint
        monkeypatch.setattr("ralnode_gateway_ipfs.tls.now_utc", lambda: NOW + timedelta(days=380))
        await gateway._tls.look_after()
        assert before != gateway.listening().fingerprint == await served(http2)

    async def test_one_of_the_users_is_served_and_read_again_when_it_changes(self, again, tmp_path) -> None:
        both = given(tmp_path / "mine")
        made = again(IpfsOptions(port=0, tls_port=0, tls_certificate=str(both)))
        await made.start()
        try:
            first = load_given(both, None).fingerprint
            assert made.listening().fingerprint == first
            await made._tls.look_after()
            assert made.listening().fingerprint == first
            both.write_bytes(given(tmp_path / "renewed").read_bytes())
            os.utime(both, ns=(1, 1))
            await made._tls.look_after()
            assert made.listening().fingerprint == load_given(both, None).fingerprint != first
            both.write_text("half of a fi")
            os.utime(both, ns=(2, 2))
            with pytest.raises(LocalError):
                await made._tls.look_after()
            assert made.listening().tls_port, "the one before stays in use"
        finally:
            await made.stop()
        assert not (tmp_path / FILE_NAME).exists()

    async def test_trouble_with_tls_leaves_the_plain_port_alone_and_is_told_once(
        self, again, client, gateway, caplog
    ) -> None:
        caplog.set_level(logging.WARNING)
        for options in (
            IpfsOptions(port=0, tls_port=gateway.listening().tls_port),
            IpfsOptions(port=0, tls_port=0, tls_certificate="/nowhere.pem"),
        ):
            caplog.clear()
            made = again(options)
            await made.start()
            try:
                assert (made.listening().port > 0, made.listening().tls_port) == (True, 0)
                await made._tend_tls(made._tls)
                assert [record.message[:41] for record in caplog.records] == [
                    "the IPFS gateway does without TLS, and tr"
                ]
            finally:
                await made.stop()

    async def test_tls_comes_up_when_its_port_becomes_free(self, again, gateway) -> None:
        made = again(IpfsOptions(port=0, tls_port=gateway.listening().tls_port))
        await made.start()
        try:
            await gateway.stop()
            await made._tend_tls(made._tls)
            assert made.listening().tls_port
        finally:
            await made.stop()

    async def test_without_tls_there_is_no_certificate(self, again, tmp_path) -> None:
        made = again(IpfsOptions(port=0, tls=False))
        await made.start()
        assert made.listening().tls_port == 0
        await made.stop()
        assert not (tmp_path / FILE_NAME).exists()

    async def test_connections_beyond_the_bound_are_closed(self, again) -> None:
        made = again(IpfsOptions(port=0, tls_port=0, connections_max=2))
        await made.start()
        try:
            found = await asyncio.to_thread(_open, made.listening().tls_port, 4)
        finally:
            await made.stop()
        assert found == [True, True, False, False]


def _open(port: int, count: int) -> list[bool]:
    """Whether each of so many connections is spoken with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    made, found = [], []
    for _ in range(count):
        tls = context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=30))
        made.append(tls)
        try:
            found.append(bool(tls.recv(9)))
        except OSError:
            found.append(False)
    for tls in made:
        tls.close()
    return found
