"""The 14 CID vectors of IPIP-499 (https://specs.ipfs.tech/ipips/ipip-0499/) and the well-known CIDs of the UnixFS specification."""

from __future__ import annotations

import pytest

from ralnode.api.limits import GIB, KIB, MIB
from ralnode.dag import cid as cids
from ralnode.dag.build import FileBuilder, make_leaf, make_symlink
from ralnode.dag.directory import build_directory
from ralnode.dag.pb import Link
from ralnode.dag.profile import POC_TOOL, V0_2015, V1_2025, Profile
from ralnode.testing.content import build_file, build_tree, content, key_stream

_ALPHABET = b"abcdefghijklmnopqrstuvwxyz01234567890-_"

FILES = [
    (V0_2015, "chunk-v0-seed", 256 * KIB, "QmWmRj3dFDZdb6ABvbmKhEL6TmPbAfBZ1t5BxsEyJrcZhE"),
    (V0_2015, "chunk-v0-seed", 256 * KIB + 1, "QmYyLxtzZyW22zpoVAtKANLRHpDjZtNeDjQdJrcQNWoRkJ"),
    (V0_2015, "v0-seed", 174 * 256 * KIB, "QmUbBALi174SnogsUzLpYbD4xPiBSFANF4iztWCsHbMKh2"),
    (V0_2015, "v0-seed", 174 * 256 * KIB + 1, "QmV81WL765sC8DXsRhE5fJv2rwhS4icHRaf3J9Zk5FdRnW"),
    (V0_2015, "v0-seed", 175 * 256 * KIB, "QmepeWtdmS1hHXx1oZXsPUv6bMrfRRKfZcoPPU4eEfjnbf"),
    (V1_2025, "chunk-v1-seed", MIB, "bafkreiacndfy443ter6qr2tmbbdhadvxxheowwf75s6zehscklu6ezxmta"),
    (V1_2025, "chunk-v1-seed", MIB + 1, "bafybeigmix7t42i6jacydtquhet7srwvgpizfg7gjbq7627d35mjomtu64"),
    (V1_2025, "v1-2025-seed", GIB, "bafybeihmf37wcuvtx4hpu7he5zl5qaf2ineo2lqlfrapokkm5zzw7zyhvm"),
    (V1_2025, "v1-2025-seed", GIB + 1, "bafybeibdsi225ugbkmpbdohnxioyab6jsqrmkts3twhpvfnzp77xtzpyhe"),
]
DIRECTORIES = [
    (V0_2015, "hamt-unixfs-v0-2015", 4096, 30, 30, "QmX5GtRk3TSSEHtdrykgqm4eqMEn3n2XhfkFAis5fjyZmN"),
    (V0_2015, "hamt-unixfs-v0-2015", 4033, 31, 31, "QmeMiJzmhpJAUgynAcxTQYek5PPKgdv3qEvFsdV3XpVnvP"),
    (V1_2025, "hamt-unixfs-v1-2025", 4766, 11, 21, "bafybeic3h7rwruealwxkacabdy45jivq2crwz6bufb5ljwupn36gicplx4"),
    (V1_2025, "hamt-unixfs-v1-2025", 4766, 11, 22, "bafybeiegvuterwurhdtkikfhbxcldohmxp566vpjdofhzmnhv6o4freidu"),
]


@pytest.mark.parametrize(("profile", "seed", "size", "expected"), FILES)
def test_file_has_the_cid_of_the_vector(profile: Profile, seed: str, size: int, expected: str) -> None:
    builder = FileBuilder(profile)
    for chunk in key_stream(seed, size, profile.chunk_bytes):
        builder.add(make_leaf(profile, chunk)[0])
    assert cids.to_text(builder.finish()[0].cid) == expected


@pytest.mark.parametrize(("profile", "seed", "count", "chars", "last_chars", "expected"), DIRECTORIES)
def test_directory_has_the_cid_of_the_vector(
    profile: Profile, seed: str, count: int, chars: int, last_chars: int, expected: str
) -> None:
    noise = content(seed, chars * (count - 1) + last_chars)
    leaf, _ = make_leaf(profile, b"x")
    names = [noise[i * chars : i * chars + (last_chars if i == count - 1 else chars)] for i in range(count)]
    entries = [Link(leaf.cid, bytes(_ALPHABET[byte % 39] for byte in name), leaf.stored_bytes) for name in names]
    built, _ = build_directory(profile, entries, count)
    assert cids.to_text(built.cid) == expected


@pytest.mark.parametrize(
    ("profile", "data", "expected"),
    [
        (V0_2015, b"hello world", "Qmf412jQZiuVUtdgnB36FXFX7xg5V6KEbSJ4dpQuhkLyfD"),
        (V1_2025, b"hello world", "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"),
        (V0_2015, b"", "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH"),
        (V1_2025, b"", "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"),
        (V1_2025, b"hello world\n", "bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4"),
    ],
)
def test_small_file_has_its_well_known_cid(profile: Profile, data: bytes, expected: str) -> None:
    assert cids.to_text(build_file({}, data, profile).cid) == expected


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (V0_2015, "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"),
        (V1_2025, "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"),
    ],
)
def test_empty_directory_has_its_well_known_cid(profile: Profile, expected: str) -> None:
    assert cids.to_text(build_tree({}, {}, profile).cid) == expected


def test_symlink_has_the_cid_of_the_specification() -> None:
    assert cids.to_text(make_symlink(V0_2015, b"foo")[0].cid) == "QmTB8BaCJdCH5H3k7GrxJsxgDNmNYGGR71C58ERkivXoj5"


def test_folder_with_symlink_has_the_cid_of_the_specification() -> None:
    built = build_tree({}, {"foo": b"content\n", "bar@": b"foo"}, V0_2015)
    assert cids.to_text(built.cid) == "QmWvY6FaqFMS89YAQ9NAPjVP4WZKA1qbHbicc9HeSKQTgt"


def test_nested_folder_has_the_cid_of_the_specification() -> None:
    tree = {"subdir/ascii.txt": b"hello application/vnd.ipld.car\n", "subdir/hello.txt": b"hello world\n"}
    assert cids.to_text(build_tree({}, tree).cid) == "bafybeietjm63oynimmv5yyqay33nui4y4wx6u3peezwetxgiwvfmelutzu"


def test_proof_of_concept_cuts_at_256_kib_with_raw_leaves_under_cid_v1() -> None:
    blocks: dict[bytes, bytes] = {}
    build_file(blocks, content("poc", 256 * KIB * 175), POC_TOOL)
    raw = [data for key, data in blocks.items() if cids.codec_of(key) == cids.RAW]
    assert len(raw) == 175
    assert {len(data) for data in raw} == {256 * KIB}
    assert len(blocks) - len(raw) == 3
