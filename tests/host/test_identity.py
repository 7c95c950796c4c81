from __future__ import annotations

import hmac
import os
import ssl
import stat
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from ralnode.api import ConfigError, LocalError, PeerError
from ralnode.host import certificate, secretfile
from ralnode.host.identity import KEY_FILE, SECRET_FILE, NodeIdentity, open_identity, store_secret
from ralnode.testing.fake_identity import FakeIdentity

SECRET = bytes(range(32))
OTHER_SECRET = bytes(32)


def test_first_start_makes_a_key_and_founds_a_cluster_and_later_starts_keep_both(tmp_path: Path) -> None:
    first = open_identity(tmp_path / "new" / "folder")
    again = open_identity(tmp_path / "new" / "folder")
    assert first.id == again.id
    assert first.derive("x") == again.derive("x")
    for name in (KEY_FILE, SECRET_FILE):
        assert stat.S_IMODE((tmp_path / "new" / "folder" / name).stat().st_mode) == 0o600
    assert len(list((tmp_path / "new" / "folder").iterdir())) == 2, "no temporary file is left behind"


def test_a_secret_that_was_given_is_not_written_to_disk(tmp_path: Path) -> None:
    open_identity(tmp_path, SECRET)
    assert not (tmp_path / SECRET_FILE).exists()


def test_joining_stores_the_secret_and_may_be_repeated(tmp_path: Path) -> None:
    store_secret(tmp_path, SECRET)
    store_secret(tmp_path, SECRET)
    assert open_identity(tmp_path).cluster_secret == SECRET


def test_a_node_of_one_cluster_cannot_slip_into_another(tmp_path: Path) -> None:
    store_secret(tmp_path, SECRET)
    with pytest.raises(ConfigError, match="another cluster"):
        open_identity(tmp_path, OTHER_SECRET)
    with pytest.raises(ConfigError, match="another cluster"):
        store_secret(tmp_path, OTHER_SECRET)
    assert (tmp_path / SECRET_FILE).read_bytes() == SECRET


@pytest.mark.parametrize("size", [0, 31, 33, 5000])
@pytest.mark.parametrize("name", [KEY_FILE, SECRET_FILE])
def test_a_damaged_key_file_is_reported_and_never_replaced(tmp_path: Path, name: str, size: int) -> None:
    path = tmp_path / name
    path.write_bytes(bytes(size))
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=f"{name}: found .*bytes"):
        open_identity(tmp_path)
    assert path.read_bytes() == bytes(size)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    open_identity(tmp_path)
    (tmp_path / KEY_FILE).chmod(mode)
    with pytest.raises(ConfigError, match=f"mode {mode:04o}.*chmod 600"):
        open_identity(tmp_path)


def test_a_secret_of_the_wrong_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="5 bytes"):
        open_identity(tmp_path, b"short")
    with pytest.raises(ConfigError, match="5 bytes"):
        store_secret(tmp_path, b"short")


def test_a_data_directory_that_is_a_file_is_an_error_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LocalError, match="cannot"):
        open_identity(tmp_path / "file")


def test_of_two_processes_that_start_at_once_one_key_wins(tmp_path: Path) -> None:
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(open_identity(tmp_path).id)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_signatures_fit_one_author_and_one_text(tmp_path: Path) -> None:
    real, fake = open_identity(tmp_path, SECRET), FakeIdentity("a")
    for one, other in ((real, FakeIdentity("b").id), (fake, FakeIdentity("b").id)):
        signature = one.sign(b"text")
        assert len(signature) == 64
        assert one.verify(one.id, signature, b"text")
        assert not one.verify(one.id, signature, b"texT")
        assert not one.verify(other, signature, b"text")
        for bad in (b"", signature[:-1], bytes(64)):
            assert not one.verify(one.id, bad, b"text")
        for bad in (b"", bytes(31), bytes(33)):
            assert not one.verify(bad, signature, b"text")


def test_derived_keys_differ_by_cluster_label_and_salt(tmp_path: Path) -> None:
    for here, there in (
        (open_identity(tmp_path / "a", SECRET), open_identity(tmp_path / "b", OTHER_SECRET)),
        (FakeIdentity("a"), FakeIdentity("b", b"other")),
    ):
        keys = [here.derive("x"), here.derive("y"), here.derive("x", b"salt"), there.derive("x")]
        assert len(set(keys)) == 4
        assert here.derive("x", length=7) == here.derive("x", length=7)
        assert len(here.derive("x", length=100)) == 100


def test_derivation_is_rfc_5869() -> None:
    """Computed by hand with HMAC, since the vectors of its appendix have keys of other lengths than ours."""
    node = NodeIdentity(Ed25519PrivateKey.generate(), SECRET, Path())
    pseudo_random_key = hmac.digest(bytes(32), SECRET, "sha256")
    first = hmac.digest(pseudo_random_key, b"label\x01", "sha256")
    second = hmac.digest(pseudo_random_key, first + b"label\x02", "sha256")
    assert node.derive("label", length=40) == (first + second)[:40]


def test_every_member_makes_the_same_ca_certificate(tmp_path: Path) -> None:
    one, two = (open_identity(tmp_path / name, SECRET) for name in "ab")
    keys = [Ed25519PrivateKey.from_private_bytes(node.derive("cluster-ca-v1")) for node in (one, two)]
    assert certificate.make_ca(keys[0]) == certificate.make_ca(keys[1])
    assert one.id != two.id


def test_the_leaf_certificate_names_the_node_and_outlives_any_clock(tmp_path: Path) -> None:
    node = open_identity(tmp_path, SECRET)
    context = node.server_tls()
    (ca,) = context.get_ca_certs()
    assert ca["notAfter"] == "Dec 31 23:59:59 9999 GMT"
    assert ca["notBefore"] == "Jan  1 00:00:00 2020 GMT"
    key = Ed25519PrivateKey.generate()
    leaf = certificate.make_leaf(Ed25519PrivateKey.generate(), key.public_key())
    assert node.node_of_certificate(leaf.public_bytes(Encoding.DER)) == key.public_key().public_bytes_raw()


def test_a_certificate_that_names_no_node_is_refused(tmp_path: Path) -> None:
    node = open_identity(tmp_path, SECRET)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, certificate.NOT_BEFORE, certificate.NOT_AFTER)
    elliptic = builder.sign(key, SHA256())
    for der in (b"", b"\x30\x03\x02\x01\x01", bytes(10_000), elliptic.public_bytes(Encoding.DER)):
        with pytest.raises(PeerError, match="certificate"):
            node.node_of_certificate(der)


def test_contexts_speak_only_tls_1_3_and_demand_a_certificate(tmp_path: Path) -> None:
    node = open_identity(tmp_path, SECRET)
    for context in (node.server_tls(), node.client_tls()):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_3
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert not context.check_hostname


def test_the_private_key_never_lies_in_a_file_while_tls_is_set_up(tmp_path: Path) -> None:
    open_identity(tmp_path, SECRET).server_tls()
    assert list(tmp_path.iterdir()) == [tmp_path / KEY_FILE]


def test_without_anonymous_memory_the_key_lies_in_a_private_file_for_an_instant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "memfd_create")
    with secretfile.readable_path(b"secret", tmp_path) as path:
        assert Path(path).read_bytes() == b"secret"
        assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    assert not list(tmp_path.iterdir())
    open_identity(tmp_path, SECRET).server_tls()
    assert list(tmp_path.iterdir()) == [tmp_path / KEY_FILE]


def test_members_see_each_others_node_id_in_the_handshake(tmp_path: Path) -> None:
    one, two = (open_identity(tmp_path / name, SECRET) for name in "ab")
    seen = _handshake(one, two)
    assert seen == (one.id, two.id)


def test_two_clusters_cannot_talk(tmp_path: Path) -> None:
    one, two = open_identity(tmp_path / "a", SECRET), open_identity(tmp_path / "b", OTHER_SECRET)
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(one, two)


def _handshake(server: NodeIdentity, client: NodeIdentity) -> tuple[bytes, bytes]:
    """Who the client sees, who the server sees; both in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.client_tls().wrap_bio(to_client, to_server)
    theirs = server.server_tls().wrap_bio(to_server, to_client, server_side=True)
    for side in (ours, theirs, ours, theirs):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    certificates = ours.getpeercert(True), theirs.getpeercert(True)
    assert certificates[0]
    assert certificates[1]
    return client.node_of_certificate(certificates[0]), server.node_of_certificate(certificates[1])


def test_fake_identities_are_equal_by_name_and_have_no_tls() -> None:
    assert FakeIdentity("a").id == FakeIdentity("a").id != FakeIdentity("b").id
    with pytest.raises(LocalError):
        FakeIdentity("a").client_tls()


def test_a_member_by_a_secret_from_outside_founds_no_cluster_when_it_is_left_out(tmp_path: Path) -> None:
    secret = b"s" * 32
    me = open_identity(tmp_path, secret).id
    with pytest.raises(ConfigError, match="ralnode join"):
        open_identity(tmp_path)
    assert open_identity(tmp_path, joins=False).id == me, "its store can be looked after"
    assert not (tmp_path / SECRET_FILE).exists()
    assert open_identity(tmp_path, secret).id == me
    store_secret(tmp_path, secret)
    assert open_identity(tmp_path).id == me
