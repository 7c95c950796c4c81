"""What comes from the cluster is written beside its place first, and can never leave it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ralnode.api import LocalError, PeerError, RalnodeError, UnavailableError, UsageError
from ralnode.cli.unpacking import unpack
from ralnode.host.frames import Entry, Frame, Tag


def file(path: str, data: bytes = b"") -> list[Frame]:
    pieces = [Frame(Tag.DATA, data)] if data else []
    return [Entry(path, "file", len(data)).encode(), *pieces, Frame(Tag.FILE_END)]


def folder(path: str) -> list[Frame]:
    return [Entry(path, "directory").encode()]


def link(path: str, target: str) -> list[Frame]:
    return [Entry(path, "symlink", target=target).encode()]


TREE = [
    *folder(""),
    *file("a.txt", b"aa"),
    *folder("b"),
    *folder("b/c"),
    *file("b/c/d", b"d"),
    *file("b/e"),
    *link("f", "a.txt"),
]


def names(place: Path) -> list[str]:
    return sorted(str(each.relative_to(place)) for each in place.rglob("*"))


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    told: list[int] = []
    unpack(file("", b"hello"), tmp_path / "x", told.append)
    assert (tmp_path / "x").read_bytes() == b"hello"
    assert (names(tmp_path), sum(told)) == (["x"], 5)


def test_a_folder_is_written_with_all_that_is_in_it(tmp_path: Path) -> None:
    top = unpack(TREE, tmp_path / "t", lambda _: None)
    assert top.kind == "directory"
    assert names(tmp_path / "t") == ["a.txt", "b", "b/c", "b/c/d", "b/e", "f"]
    assert (tmp_path / "t/b/c/d").read_bytes() == b"d"
    assert (tmp_path / "t/f").readlink() == Path("a.txt")


def test_files_get_the_rights_that_the_user_gives_new_files(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        unpack(TREE, tmp_path / "t", lambda _: None)
    finally:
        os.umask(before)
    assert (tmp_path / "t/a.txt").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("cut", range(len(TREE)))
def test_nothing_is_left_when_the_stream_breaks_off_anywhere(tmp_path: Path, cut: int) -> None:
    def broken() -> Iterator[Frame]:
        yield from TREE[:cut]
        raise UnavailableError("the node went away")

    with pytest.raises(UnavailableError):
        unpack(broken(), tmp_path / "t", lambda _: None)
    assert names(tmp_path) == []


def test_nothing_is_left_after_ctrl_c(tmp_path: Path) -> None:
    def interrupted() -> Iterator[Frame]:
        yield from TREE[:3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(interrupted(), tmp_path / "t", lambda _: None)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "frames",
    [
        [],
        file("")[:1],
        [*folder(""), *file("b/x")],
        [*folder(""), *link("b", "/etc"), *file("b/x", b"!")],
        [*folder(""), *file("b"), *file("b/x", b"!")],
        [*folder(""), *folder("b"), *file("c"), *file("b/x", b"!")],
        [*folder(""), *folder("")],
        [*file("a")],
        [*file(""), *file("b")],
        [*folder(""), Frame(Tag.DATA, b"x")],
        [*folder(""), Frame(Tag.FILE_END)],
        [*folder(""), *file("x")[:1], *file("y")],
    ],
    ids=[
        "nothing", "no end of a file", "no parent", "through a link", "below a file", "back into a left folder",
        "two tops", "no top", "two files", "data without a file", "end without a file", "file in a file",
    ],
)  # fmt: skip
def test_a_stream_that_makes_no_sense_is_refused_and_leaves_nothing(tmp_path: Path, frames: list[Frame]) -> None:
    with pytest.raises(PeerError):
        unpack(frames, tmp_path / "t", lambda _: None)
    assert names(tmp_path) == []


def test_a_name_that_comes_twice_overwrites_nothing(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="Nothing was left"):
        unpack([*folder(""), *link("a", "../out"), *file("a", b"x")], tmp_path / "t", lambda _: None)
    assert names(tmp_path) == []


def test_what_exists_is_not_replaced_unless_asked(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")
    with pytest.raises(UsageError, match="--force"):
        unpack(file("", b"new"), tmp_path / "x", lambda _: None)
    assert (tmp_path / "x").read_text() == "old"
    unpack(file("", b"new"), tmp_path / "x", lambda _: None, force=True)
    assert (tmp_path / "x").read_text() == "new"


def test_a_folder_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    for frames in (TREE, file("", b"new")):
        with pytest.raises(UsageError):
            unpack(frames, tmp_path / "t", lambda _: None, force=True)
    (tmp_path / "x").write_text("old")
    with pytest.raises(UsageError):
        unpack(TREE, tmp_path / "x", lambda _: None, force=True)
    assert names(tmp_path) == ["t", "x"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(RalnodeError, match="there is no folder"):
        unpack(file(""), tmp_path / "no" / "x", lambda _: None)


def test_a_deep_tree_keeps_few_files_open(tmp_path: Path) -> None:
    paths = ["/".join("d" * depth) for depth in range(1, 120)]
    unpack([*folder(""), *(frame for path in paths for frame in folder(path))], tmp_path / "t", lambda _: None)
    assert len(names(tmp_path / "t")) == 119
