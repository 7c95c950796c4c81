"""From the words of the user to a scene, and every refusal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ralnode.api import LocalError, UsageError
from ralnode.cli.simulating.describing import (
    FILE_BYTES_MAX,
    NodeWords,
    SourceWords,
    machines,
    nodes_in,
    present,
    sources,
    sources_in,
)
from ralnode.host.answers import ViewAnswer, ViewNodeLine, ViewSourceLine

GB, TB = 10**9, 10**12


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4TB", [NodeWords(4 * TB)]),
        ("4 TB, 500 GB", [NodeWords(4 * TB), NodeWords(500 * GB)]),
        ("attic=2TB@cellar", [NodeWords(2 * TB, "attic", "cellar")]),
        ("old=1TB*3@shed", [NodeWords(TB, "old", "shed", 3)]),
        ("1.5TiB", [NodeWords(3 << 39)]),
    ],
)
def test_nodes_are_described_by_sizes(text: str, expected: list[NodeWords]) -> None:
    assert nodes_in(text) == (expected, [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2TB", [SourceWords(2 * TB)]), ("films=2TB:3,1GB*40", [SourceWords(2 * TB, "films", 3), SourceWords(GB, count=40)])],
)  # fmt: skip
def test_sources_are_described_by_sizes(text: str, expected: list[SourceWords]) -> None:
    assert sources_in(text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "''"), ("4", "'4'"), ("4TB,,2TB", "''"), ("many", "many"), ("4TB:2", "--sources"), ("4TB*0", "count"),
        ("4TB*5000", "count"), ("0GB", "capacity"), ("-3GB", "-3GB"), ("=4TB", "=4TB"), ("a\x1b=4TB", "printable"),
        ("9999999PB", "capacity"), ("a=b=4TB", "a=b=4TB"), ("x" * 41 + "=1TB", "40 characters"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_of_nodes_is_named(text: str, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        nodes_in(text)
    assert says in str(refused.value)


@pytest.mark.parametrize(("text", "says"), [("2TB@attic", "--nodes"), ("2TB:0", "copies"), ("2TB:99", "copies")])
def test_what_cannot_be_understood_of_sources_is_named(text: str, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        sources_in(text)
    assert says in str(refused.value)


FILE = """
[[nodes]]
name = "attic"
capacity = "4 TB"
zone = "roof"
[[nodes]]
capacity_bytes = 500000000000
count = 2
[[sources]]
size = "2 TB"
copies = 3
"""


@pytest.mark.parametrize("ending", ["toml", "json"])
def test_a_file_describes_nodes_and_sources(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"lab.{ending}"
    table = {
        "nodes": [{"name": "attic", "capacity": "4 TB", "zone": "roof"}, {"capacity_bytes": 500 * GB, "count": 2}],
        "sources": [{"size": "2 TB", "copies": 3}],
    }
    file.write_text(FILE if ending == "toml" else json.dumps(table))
    nodes, held = nodes_in(str(file))
    assert [(m.name, m.capacity_bytes, m.zone) for m in machines(nodes, 0, set())] == [
        ("attic", 4 * TB, "roof"), ("node-2", 500 * GB, ""), ("node-3", 500 * GB, ""),
    ]  # fmt: skip
    (source,) = sources(held, 0)
    assert (source.leaf_bytes, source.copies, source.leaf_count) == (2 * TB, 3, -(-2 * TB // (1 << 20)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[nodes]]\ncapacity = '4 TB'\ncolour = 'red'", "colour"),
        ("[[nodes]]\nname = 'a'", "capacity"),
        ("nodes = 3", "nodes"),
        ("[[nodes", "TOML"),
        ("[[sources]]\nsize = '1 GB'", "no [[nodes]]"),
        ("[[nodes]]\ncapacity = '4 TB'\ncount = 99999", "count"),
    ],
)
def test_a_wrong_file_is_refused_with_the_reason(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "lab.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as refused:
        nodes_in(str(file))
    assert says in str(refused.value)
    assert "lab.toml" in str(refused.value)


def test_a_file_that_is_not_there_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"none\.toml"):
        nodes_in(str(tmp_path / "none.toml"))
    (tmp_path / "big.json").write_bytes(b" " * (FILE_BYTES_MAX + 1))
    with pytest.raises(UsageError, match="larger than 16 MiB"):
        nodes_in(str(tmp_path / "big.json"))
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(UsageError, match="object"):
        nodes_in(str(tmp_path / "list.json"))


def test_too_many_nodes_are_refused() -> None:
    with pytest.raises(UsageError, match="1,000"):
        machines([NodeWords(GB, count=600)] * 2, 0, set())


def test_the_present_cluster_keeps_its_ids_and_tells_equal_names_apart() -> None:
    node = ViewNodeLine("ab" * 32, "attic", 5 * GB, "")
    twin = ViewNodeLine("cd" * 32, "attic", 6 * GB, "roof")
    source = ViewSourceLine("01" * 36, "film", 10, 2, 9, 1, 80, 2, 7)
    scene = present(ViewAnswer("rendezvous/1", (node, twin), (source,)))
    assert [(m.id[:1], m.name, m.zone) for m in scene.machines] == [(b"\xab", "attic", ""), (b"\xcd", "attic'", "roof")]
    assert (scene.sources[0].root, scene.sources[0].priority, scene.sources[0].interior_bytes) == (b"\1" * 36, 7, 80)
