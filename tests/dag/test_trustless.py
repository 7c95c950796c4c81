from __future__ import annotations

import pytest

from ralnode.dag import cid as cids
from ralnode.dag.trustless import (
    CAR_TYPE,
    RAW_TYPE,
    ByteRange,
    Format,
    GatewayError,
    GatewayRequest,
    Scope,
    parse_request,
)

CID = cids.make(cids.RAW, b"hello")
TEXT = cids.to_text(CID)
V0 = cids.make_v0(b"")


def ask(path: str = f"/ipfs/{TEXT}", accept: str = "", **query: str) -> GatewayRequest:
    named = {key.replace("_", "-"): value for key, value in query.items()}
    return parse_request(path, named, {"accept": accept} if accept else {})


def test_the_query_says_the_format_and_beats_the_accept_header() -> None:
    assert ask(format="raw").format is Format.RAW
    assert ask(format="car").format is Format.CAR
    assert ask(accept=CAR_TYPE, format="raw").format is Format.RAW
    assert ask(accept=RAW_TYPE).format is Format.RAW
    assert ask(accept=f"{CAR_TYPE}; version=1; order=dfs; dups=y").allows_duplicates


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (f"{RAW_TYPE};q=0.5, {CAR_TYPE};q=0.9", Format.CAR),
        (f"text/html, {RAW_TYPE}, */*;q=0.1", Format.RAW),
        (f"{CAR_TYPE};q=0, {RAW_TYPE};q=0.1", Format.RAW),
        (f"{RAW_TYPE.upper()}", Format.RAW),
    ],
)
def test_the_best_format_of_an_accept_header_is_taken(accept: str, expected: Format) -> None:
    assert ask(accept=accept).format is expected


@pytest.mark.parametrize(
    ("status", "path", "accept", "query"),
    [
        (400, f"/ipfs/{TEXT}", "", {}),
        (400, f"/ipfs/{TEXT}", "text/html,*/*;q=0.8", {}),
        (400, f"/ipfs/{TEXT}", f"{RAW_TYPE};q=nonsense", {}),
        (406, f"/ipfs/{TEXT}", "application/vnd.ipfs.ipns-record", {}),
        (406, f"/ipfs/{TEXT}", RAW_TYPE, {"format": "tar"}),
        (400, "/ipfs/", "", {"format": "raw"}),
        (400, "/ipfs/nonsense", "", {"format": "raw"}),
        (400, f"/ipns/{TEXT}", "", {"format": "raw"}),
        (400, f"/ipfs/{TEXT}/file", "", {"format": "raw"}),
        (400, f"/ipfs/{TEXT}/../..", "", {"format": "car"}),
        (400, "/ipfs/b" + "a" * 100_000, "", {"format": "raw"}),
        (400, f"/ipfs/{TEXT}", "", {"format": "car", "dag-scope": "some"}),
        (400, f"/ipfs/{TEXT}", "", {"format": "car", "car-version": "2"}),
        (400, f"/ipfs/{TEXT}", "", {"format": "car", "car-order": "bfs"}),
        (400, f"/ipfs/{TEXT}", "", {"format": "car", "car-dups": "perhaps"}),
        (400, f"/ipfs/{TEXT}", f"{CAR_TYPE}; version=2", {}),
        *((400, f"/ipfs/{TEXT}", "", {"format": "car", "entity-bytes": text}) for text in
          ("", "1", "a:b", "5:3", "-1:-3", "1:", ":1", "1:2:3", "*:1", "1:" + "9" * 30, "٣:٤")),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_refused_with_its_status(
    status: int, path: str, accept: str, query: dict[str, str]
) -> None:
    with pytest.raises(GatewayError) as caught:
        parse_request(path, query, {"accept": accept})
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0:*", ByteRange(0, None)),
        ("5:10", ByteRange(5, 10)),
        ("-5:*", ByteRange(-5, None)),
        ("3:-1", ByteRange(3, -1)),
        ("7:7", ByteRange(7, 7)),
    ],
)
def test_entity_bytes_imply_the_entity_scope(text: str, expected: ByteRange) -> None:
    request = ask(format="car", entity_bytes=text)
    assert (request.range, request.scope) == (expected, Scope.ENTITY)


def test_the_path_below_the_root_is_split() -> None:
    assert ask(f"/ipfs/{TEXT}/a b/./c/../d", format="car").path == [b"a b", b"d"]


def test_a_version_0_cid_keeps_its_form_and_gets_a_key_of_version_1() -> None:
    request = ask(f"/ipfs/{cids.to_text(V0)}", format="raw")
    assert request.cid == V0
    assert request.key == cids.to_key(V0)
    assert "Qm" in request.headers()["content-disposition"]


def test_headers_of_a_raw_block_are_those_of_the_specification() -> None:
    headers = ask(format="raw").headers()
    assert headers["content-type"] == "application/vnd.ipld.raw"
    assert headers["content-disposition"] == f'attachment; filename="{TEXT}.bin"'
    assert headers["etag"] == f'"{TEXT}.raw"'
    assert headers["cache-control"] == "public, max-age=29030400, immutable"
    assert headers["x-content-type-options"] == "nosniff"


def test_headers_of_a_car_say_what_was_made() -> None:
    headers = ask(format="car", car_dups="y").headers()
    assert headers["content-type"] == "application/vnd.ipld.car; version=1; order=dfs; dups=y"
    assert headers["content-disposition"] == f'attachment; filename="{TEXT}.car"'
    assert headers["accept-ranges"] == "none"


@pytest.mark.parametrize(("accept", "wants_duplicates"), [
    (f"{CAR_TYPE};order=new, {CAR_TYPE};order=dfs;dups=y;q=0.5", True),
    (f"{CAR_TYPE};dups=y;q=0.1, {CAR_TYPE};dups=n", False),
    (f"{CAR_TYPE};version=2;dups=y, {CAR_TYPE}", False),
])  # fmt: skip
def test_of_several_wishes_the_first_that_can_be_made_is(accept: str, wants_duplicates: bool) -> None:
    assert ask(accept=accept).allows_duplicates == wants_duplicates


def test_headers_stay_under_what_kubo_reads() -> None:
    longest = bytes((1, cids.RAW, 0, 127)) + bytes(127)
    request = ask(f"/ipfs/{cids.to_text(longest)}/" + "x/" * 2000, accept=CAR_TYPE)
    assert sum(len(name) + len(value) + 4 for name, value in request.headers().items()) < 1024


def test_every_parameter_of_a_car_gives_another_etag() -> None:
    requests = [
        ask(format="raw"),
        ask(format="car"),
        ask(format="car", dag_scope="block"),
        ask(format="car", dag_scope="entity"),
        ask(format="car", entity_bytes="0:1"),
        ask(format="car", entity_bytes="0:*"),
        ask(format="car", car_dups="y"),
        ask(f"/ipfs/{TEXT}/a", format="car"),
    ]
    assert len({request.etag for request in requests}) == len(requests)


@pytest.mark.parametrize("sent", ['"{}.raw"', 'W/"{}.raw"', '"other", "{}.raw"', "*"])
def test_a_client_that_has_it_is_told_so(sent: str) -> None:
    request = parse_request(f"/ipfs/{TEXT}", {"format": "raw"}, {"if-none-match": sent.format(TEXT)})
    assert request.is_not_modified


@pytest.mark.parametrize("sent", ["", '"other"', '"{}.car"'])
def test_a_client_that_has_something_else_is_answered(sent: str) -> None:
    request = parse_request(f"/ipfs/{TEXT}", {"format": "raw"}, {"if-none-match": sent.format(TEXT)})
    assert not request.is_not_modified
