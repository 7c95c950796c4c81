from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ralnode.api import UsageError
from ralnode.host import frames
from ralnode.host.frames import Entry, Frame, FrameReader, Tag

SAMPLE = [
    Entry("", "directory").encode(),
    Entry("a b/ü", "file", 3, mtime_ns=5).encode(),
    Frame(Tag.DATA, b"abc"),
    Frame(Tag.FILE_END),
    Frame(Tag.END),
]


@given(st.lists(st.integers(1, 40), max_size=60))
def test_frames_come_out_whole_however_the_bytes_are_cut(cuts: list[int]) -> None:
    data = b"".join(map(frames.encode, SAMPLE))
    reader, found, at = FrameReader(), [], 0
    for cut in [*cuts, len(data)]:
        found += list(reader.feed(data[at : at + cut]))
        at += cut
    assert found == SAMPLE
    assert reader.ended


@given(st.binary(max_size=200))
def test_any_bytes_give_frames_or_a_usage_error(data: bytes) -> None:
    try:
        for frame in FrameReader().feed(data):
            if frame.tag == Tag.ENTRY:
                Entry.decode(frame.payload)
    except UsageError:
        pass


@pytest.mark.parametrize(
    "data",
    [
        b"\x09\0\0\0\0",
        frames.head(Tag.DATA, frames.FRAME_BYTES_MAX + 1),
        frames.encode(Frame(Tag.END)) + frames.encode(Frame(Tag.END)),
    ],
    ids=["unknown tag", "too long", "after the end"],
)
def test_a_malformed_stream_is_refused_before_its_payload_is_kept(data: bytes) -> None:
    with pytest.raises(UsageError):
        list(FrameReader().feed(data))


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x", "a/../../x", "a//b", ".", "..", "a/.", "x\0y", "a/" * 300 + "b", "x" * 5000]
)
def test_a_path_that_leads_out_is_refused(path: str) -> None:
    with pytest.raises(UsageError):
        Entry.decode(json.dumps({"path": path, "kind": "file", "size_bytes": 1}).encode())


@pytest.mark.parametrize(
    "table",
    [
        {"path": "a"}, {"path": "a", "kind": "device"}, {"path": "a", "kind": "file", "size_bytes": -1},
        {"path": "a", "kind": "file", "size_bytes": True}, {"path": 3, "kind": "file"}, ["file"], "x", {"kind": "file"},
        {"path": "a", "kind": "file", "mtime_ns": 0.5},
    ],
)  # fmt: skip
def test_a_malformed_entry_is_refused(table: object) -> None:
    with pytest.raises(UsageError):
        Entry.decode(json.dumps(table).encode())


def test_an_entry_survives_the_way_even_with_a_name_that_is_not_utf8() -> None:
    entry = Entry("f\udcff/Grüße", "symlink", target="../\udcfe", mtime_ns=7)
    assert Entry.decode(entry.encode().payload) == entry
