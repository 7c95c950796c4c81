"""The file of a backup: what goes in comes out, what is damaged, foreign or hostile is refused."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace

import pytest

from ralnode.api import UsageError
from ralnode.core import catalogue_state, dagcbor
from ralnode.host.backup.archive import About, Contents, pack, unpack
from ralnode.host.backup.sealing import MAGIC, is_sealed, seal, unseal

CONTENTS = Contents(
    About("12D3KooWx", "attic", "home", 1_800_000_000_000, "1.0", 3, 2, "/etc/ralnode/ralnode.toml"),
    {"identity.key": bytes(32), "cluster.secret": b"s" * 32, "node.json": b"{}"},
    {b"catalogue/reserved": b"\x82\x01\x05", b"catalogue/record/x": bytes(300)},
    b"[node]\nname = 'attic'\n",
)


def test_what_goes_in_comes_out() -> None:
    assert unpack(pack(CONTENTS)) == CONTENTS
    assert unpack(pack(replace(CONTENTS, config=b"", state={}))).state == {}
    assert pack(CONTENTS) == pack(CONTENTS)


def test_any_tar_can_list_it_and_nobody_else_may_read_what_it_extracts() -> None:
    with tarfile.open(fileobj=io.BytesIO(pack(CONTENTS))) as tar:
        assert tar.getnames()[0] == "backup.json" and "data/identity.key" in tar.getnames()
        assert {info.mode for info in tar} == {0o600}


@pytest.mark.parametrize("at", [0, 150, 600, 3000, -3000])
def test_a_changed_byte_is_found(at: int) -> None:
    archive = bytearray(pack(CONTENTS))
    archive[at] ^= 1
    try:
        assert unpack(bytes(archive)) == CONTENTS, "a byte of the padding may differ"
    except UsageError as error:
        assert "damaged" in str(error) or "newer" in str(error)


def test_every_truncation_is_refused() -> None:
    archive = pack(CONTENTS)
    end = archive.rstrip(b"\0")
    for length in (0, 1, 511, 512, 1000, len(end) // 2, len(end) - 1):
        with pytest.raises(UsageError, match="damaged"):
            unpack(archive[:length])


def rebuilt(change: Callable[[dict[str, bytes]], None], kind: bytes = tarfile.REGTYPE) -> bytes:
    """An archive with other members, its digests right again."""
    with tarfile.open(fileobj=io.BytesIO(pack(CONTENTS))) as tar:
        members = {info.name: tar.extractfile(info).read() for info in tar}
    change(members)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.type = len(data), kind
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def with_member(name: str, data: bytes) -> bytes:
    def change(members: dict[str, bytes]) -> None:
        about = json.loads(members["backup.json"])
        members[name] = data
        about["sha256"][name] = hashlib.sha256(data).hexdigest()
        members["backup.json"] = json.dumps(about).encode()

    return rebuilt(change)


@pytest.mark.parametrize("name", ["data/../../etc/passwd", "data/a/b", "data/.hidden", "data/", "data/Ü"])
def test_no_member_can_be_written_elsewhere(name: str) -> None:
    with pytest.raises(UsageError, match="unexpected member"):
        unpack(with_member(name, b"x"))


def test_links_and_other_kinds_are_refused() -> None:
    with pytest.raises(UsageError):
        unpack(rebuilt(lambda members: None, tarfile.SYMTYPE))


def test_state_that_is_no_state_is_refused() -> None:
    for state in (b"\xff", dagcbor.encode([["text", b"x"]]), dagcbor.encode([[b"x"]]), dagcbor.encode(7)):
        with pytest.raises(UsageError, match="damaged"):
            unpack(with_member("state", state))


def test_a_newer_format_asks_for_a_newer_program() -> None:
    def change(members: dict[str, bytes]) -> None:
        members["backup.json"] = json.dumps({"format": 2, "version": "9.0"}).encode()

    with pytest.raises(UsageError, match=r"made by ralnode 9\.0; this one knows 1"):
        unpack(rebuilt(change))


# --- sealing ----------------------------------------------------------------------------------------------------------


def test_sealed_bytes_come_back_only_with_the_passphrase() -> None:
    sealed = seal(b"very secret", "correct horse")
    assert is_sealed(sealed) and b"secret" not in sealed.removeprefix(MAGIC) and not is_sealed(b"very secret")
    assert unseal(sealed, "correct horse") == b"very secret"
    with pytest.raises(UsageError, match="passphrase is wrong"):
        unseal(sealed, "correct horsf")
    assert seal(b"very secret", "correct horse") != sealed, "salt and nonce are new"
    with pytest.raises(UsageError, match="empty"):
        seal(b"x", "")


def test_a_sealed_file_cannot_be_changed_anywhere() -> None:
    sealed = seal(b"very secret", "p")
    for at in (len(MAGIC) + 40, len(sealed) - 1, len(sealed) - 20):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(UsageError):
            unseal(bytes(changed), "p")
    with pytest.raises(UsageError):
        unseal(sealed[:-1], "p")


@pytest.mark.parametrize(
    ("key", "value"),
    [("log_n", 40), ("log_n", 2), ("log_n", "16"), ("nonce", "00"), ("salt", ""), ("kdf", "md5"), ("cipher", "rot13")],
)
def test_parameters_that_would_eat_the_machine_or_weaken_the_seal_are_refused(key: str, value: object) -> None:
    header, _, rest = seal(b"x", "p").removeprefix(MAGIC).partition(b"\n")
    table = json.loads(header) | {key: value}
    with pytest.raises(UsageError, match="damaged, or made by a newer"):
        unseal(MAGIC + json.dumps(table).encode() + b"\n" + rest, "p")


# --- the catalogue of a backup ------------------------------------------------------------------------------------------


def test_a_restored_catalogue_numbers_far_above_and_asks_for_its_own_records() -> None:
    me = bytes(31) + b"\x01"
    saved = {
        catalogue_state.RESERVED: catalogue_state.encode_reserved(5000),
        catalogue_state.author_name(me): b"how far I know myself",
        catalogue_state.author_name(bytes(32)): b"how far I know another",
        b"ingest/x": b"not ours",
    }
    found = catalogue_state.restored(saved, me)
    assert catalogue_state.load(found).reserved == 5000 + catalogue_state.RESTORE_STEP
    assert set(found) == {catalogue_state.RESERVED, catalogue_state.author_name(bytes(32))}
    assert catalogue_state.load(catalogue_state.restored({}, me)).reserved == catalogue_state.RESTORE_STEP
