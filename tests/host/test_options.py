"""TOML tables become frozen dataclasses, strictly."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import pytest

from ralnode.api import Address, ConfigError
from ralnode.host.options import convert_text, parse


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


@dataclass(frozen=True)
class Inner:
    depth: int = 1


@dataclass(frozen=True)
class Options:
    count: int = 1
    ratio: float = 0.5
    name: str = "x"
    flag: bool = False
    folder: Path | None = None
    size_bytes: int = 0
    wait_seconds: float = 1.0
    whole_seconds: int = 1
    peers: tuple[Address, ...] = ()
    words: list[str] = field(default_factory=list)
    colour: Colour = Colour.RED
    mode: Literal["a", "b"] = "a"
    inner: Inner = field(default_factory=Inner)
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.count > 100:
            raise ValueError("count must be at most 100")


GOOD: list[tuple[dict[str, Any], Options]] = [
    ({}, Options()),
    ({"count": 3, "ratio": 2, "name": "", "flag": True}, Options(count=3, ratio=2.0, name="", flag=True)),
    ({"size_bytes": "500 GB"}, Options(size_bytes=500 * 10**9)),
    ({"size_bytes": 1000}, Options(size_bytes=1000)),
    ({"size": "1 KiB"}, Options(size_bytes=1024)),
    ({"wait_seconds": "10min"}, Options(wait_seconds=600.0)),
    ({"wait": "500ms"}, Options(wait_seconds=0.5)),
    ({"wait_seconds": 3}, Options(wait_seconds=3.0)),
    ({"whole_seconds": "2min"}, Options(whole_seconds=120)),
    ({"peers": ["a:1", "[::1]:2"]}, Options(peers=(Address("a", 1), Address("::1", 2)))),
    ({"words": ["a", "b"]}, Options(words=["a", "b"])),
    ({"colour": "green", "mode": "b"}, Options(colour=Colour.GREEN, mode="b")),
    ({"inner": {"depth": 7}}, Options(inner=Inner(7))),
    ({"limit": 5}, Options(limit=5)),
    ({"folder": "/a/b"}, Options(folder=Path("/a/b"))),
]

BAD: list[tuple[dict[str, Any], str]] = [
    ({"cuont": 1}, "unknown key 'cuont'; did you mean 'count'"),
    ({"zzz": 1}, "unknown key 'zzz'; there are: colour, count"),
    ({"size": 1000}, "unknown key 'size'"),
    ({"count": "3"}, "count = '3': must be a whole number, not a text"),
    ({"count": 1.5}, "count = 1.5: must be a whole number, not a number"),
    ({"count": True}, "count = True: must be a whole number, not true or false"),
    ({"count": 101}, "count must be at most 100"),
    ({"ratio": "1"}, "ratio = '1': must be a number, not a text"),
    ({"ratio": float("nan")}, "ratio = nan: must be finite"),
    ({"name": 1}, "name = 1: must be a text, not a whole number"),
    ({"flag": 1}, "flag = 1: must be true or false"),
    ({"size_bytes": "many"}, "size_bytes = 'many': 'many' is not a size"),
    ({"size_bytes": -1}, "size_bytes = -1: must not be negative"),
    ({"size_bytes": 0.5}, "size_bytes = 0.5: must be a whole number"),
    ({"size_bytes": 1, "size": "1 B"}, "'size_bytes' is given twice"),
    ({"wait_seconds": "long"}, "is not a duration"),
    ({"wait_seconds": -2.5}, "must not be negative"),
    ({"whole_seconds": "500ms"}, "must be whole seconds"),
    ({"count": "10min"}, "must be a whole number"),
    ({"peers": "a:1"}, "must be a list, not a text"),
    ({"peers": ["a"]}, "'a' is not host:port"),
    ({"words": [1]}, "must be a text"),
    ({"colour": "blue"}, "must be one of 'red', 'green'"),
    ({"mode": "c"}, "must be one of 'a', 'b'"),
    ({"inner": 3}, "must be a table, not a whole number"),
    ({"inner": {"deep": 3}}, "inner: unknown key 'deep'; did you mean 'depth'"),
    ({"limit": "5"}, "limit = '5'"),
]


@pytest.mark.parametrize(("table", "made"), GOOD)
def test_a_right_table_becomes_the_dataclass(table: dict[str, Any], made: Options) -> None:
    assert parse(Options, table, "[t]") == made


@pytest.mark.parametrize(("table", "message"), BAD)
def test_a_wrong_table_is_refused_with_key_and_value(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(Options, table, "[planner.x] in f.toml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("[planner.x] in f.toml")
    assert caught.value.exit_code == 78


TEXTS: list[tuple[str, Any, str, Any]] = [
    ("3", int, "count", 3),
    ("0.25", float, "ratio", 0.25),
    ("yes", bool, "flag", True),
    ("0", bool, "flag", False),
    ("2 GB", int | None, "size_bytes", 2 * 10**9),
    ("2000", int | None, "size_bytes", 2000),
    ("a:1, b:2,", tuple[Address, ...], "peers", (Address("a", 1), Address("b", 2))),
    ("1,2", list[int], "numbers", [1, 2]),
    ("/x", Path, "folder", Path("/x")),
]


@pytest.mark.parametrize(("text", "annotation", "name", "value"), TEXTS)
def test_text_of_a_variable_or_flag_becomes_the_type(text: str, annotation: Any, name: str, value: Any) -> None:
    assert convert_text(text, annotation, name, "environment X") == value


@pytest.mark.parametrize(
    ("text", "annotation", "name"), [("3.5", int, "count"), ("maybe", bool, "flag"), ("x", float, "r")]
)
def test_wrong_text_is_refused_with_its_variable(text: str, annotation: Any, name: str) -> None:
    with pytest.raises(ConfigError, match=f"environment X: {name} = "):
        convert_text(text, annotation, name, "environment X")
