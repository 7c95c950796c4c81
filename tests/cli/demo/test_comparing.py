"""The demo's proof can fail: every kind of difference is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from ralnode.cli.demo.comparing import DifferenceError, compare
from ralnode.host.frames import Entry, Frame, Tag


@pytest.fixture
def original(tmp_path: Path) -> Path:
    top = tmp_path / "top"
    (top / "in").mkdir(parents=True)
    (top / "in" / "a").write_bytes(b"abc")
    (top / "empty").write_bytes(b"")
    (top / "link").symlink_to("in/a")
    (top / ".hidden").write_bytes(b"not seeded")
    return top


def stream(a: bytes = b"abc", target: str = "in/a", without: str = "", extra: str = "") -> list[Frame]:
    parts = {
        "": [Entry("", "directory").encode()],
        "empty": [Entry("empty", "file").encode(), Frame(Tag.FILE_END)],
        "in": [Entry("in", "directory").encode()],
        "in/a": [Entry("in/a", "file").encode(), *([Frame(Tag.DATA, a)] if a else []), Frame(Tag.FILE_END)],
        "link": [Entry("link", "symlink", target=target).encode()],
    }
    if extra:
        parts["extra"] = [Entry(extra, "file").encode(), Frame(Tag.FILE_END)]
    return [frame for name, part in parts.items() if name != without or not without for frame in part]


def test_equal_trees_are_equal(original: Path) -> None:
    assert compare(stream(), original) == 3


@pytest.mark.parametrize(
    ("frames", "says"),
    [
        (stream(a=b"abd"), "differs"),
        (stream(a=b"ab"), "only up to"),
        (stream(a=b"abcd"), "differs"),
        (stream(a=b""), "only up to"),
        (stream(target="elsewhere"), "points to"),
        (stream(without="empty"), "did not come"),
        (stream(without="in/a"), "did not come"),
        (stream(extra="new"), "not seeded"),
        (stream(extra=".hidden"), "not seeded"),
        (stream(extra="empty"), "twice"),
        ([Entry("", "file").encode()], "came as a file"),
        ([], "did not come"),
    ],
)
def test_every_difference_is_found(original: Path, frames: list[Frame], says: str) -> None:
    with pytest.raises(DifferenceError, match=says):
        compare(frames, original)
