"""Documents from codec to codec: values and their one encoding, the refusal of what is malformed, and 406 unless allowed."""

import json

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ralnode.dag import cid as cids
from ralnode.dag import pb
from ralnode.dag.cid import DAG_CBOR as CBOR
from ralnode.dag.cid import DAG_JSON as JSON
from ralnode.dag.errors import DagError
from ralnode_gateway_ipfs.codecs import convert
from ralnode_gateway_ipfs.options import IpfsOptions

LEAF = cids.make(cids.RAW, b"leaf")
TEXT = cids.to_text(LEAF)
PAIRS = [
    (b"\xa0", b"{}"),
    (b"\xf6", b"null"),
    (b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff", b"18446744073709551615"),
    (b"\x38\x63", b"-100"),
    (b"\xfb\x3f\xf8\x00\x00\x00\x00\x00\x00", b"1.5"),
    (b"\x83\xf5\xf4\x62\xc3\xa4", '[true,false,"ä"]'.encode()),
    (b"\x43abc", b'{"/":{"bytes":"YWJj"}}'),
    (b"\xd8\x2a\x58\x25\x00" + LEAF, f'{{"/":"{TEXT}"}}'.encode()),
    (b"\xa2\x61b\x01\x62aa\x02", b'{"aa":2,"b":1}'),
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 64), (1 << 64) - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4).filter(lambda k: k != "/"), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@pytest.mark.parametrize(("cbor", "text"), PAIRS)
def test_a_document_has_one_form_in_each_codec(cbor: bytes, text: bytes) -> None:
    assert convert(CBOR, cbor, JSON) == text
    assert convert(JSON, text, CBOR) == cbor


@given(VALUES)
def test_what_goes_to_json_comes_back_the_same(value: object) -> None:
    cbor = convert(CBOR, cbor2.dumps(value), CBOR)
    assert convert(JSON, convert(CBOR, cbor, JSON), CBOR) == cbor


def test_a_node_of_a_folder_is_shown_by_its_links() -> None:
    block = pb.encode([pb.Link(LEAF, b"name", 4)], b"\x08\x01")
    assert json.loads(convert(cids.DAG_PB, block, JSON)) == {
        "Data": {"/": {"bytes": "CAE"}}, "Links": [{"Hash": {"/": TEXT}, "Name": "name", "Tsize": 4}],
    }  # fmt: skip
    assert convert(cids.RAW, b"abc", JSON) == b'{"/":{"bytes":"YWJj"}}'


@pytest.mark.parametrize(("codec", "block"), [
    (CBOR, b""), (CBOR, b"\xa1"), (CBOR, b"\xa1\x01\x02"), (CBOR, b"\xc0\x64date"), (CBOR, b"\xd8\x2a\x41\x01"),
    (CBOR, b"\xd8\x1c\x81\xd8\x1d\x00"), (CBOR, b"\x81" * 300 + b"\xf6"), (CBOR, b"\xf9\x7e\x00"), (CBOR, b"\xc2\x49" + b"\xff" * 9),
    (CBOR, b"\xf7"), (CBOR, b"\xd8\x2a\x58\x26\x00" + LEAF + b"x"), (JSON, b"{"), (JSON, b"NaN"), (JSON, b"[" * 100_000),
    (JSON, b'{"/":1}'), (JSON, b'{"/":"nonsense"}'), (JSON, b'{"/":{"bytes":"!"}}'), (JSON, b"1e999"), (JSON, b"9" * 30),
    (0x0200, b"{}"), (cids.DAG_PB, b"\xff"),
])  # fmt: skip
def test_what_is_malformed_or_no_ipld_is_refused(codec: int, block: bytes) -> None:
    with pytest.raises(DagError):
        convert(codec, block, JSON)


@given(st.binary(max_size=60))
def test_any_bytes_are_converted_or_refused(block: bytes) -> None:
    for codec in (CBOR, JSON, cids.DAG_PB):
        for target in (CBOR, JSON):
            try:
                convert(codec, block, target)
            except DagError:
                continue


class TestGateway:
    @pytest.fixture
    def options(self) -> IpfsOptions:
        return IpfsOptions(port=0, tls=False, convert=True)

    @pytest.mark.parametrize(
        "asked", [{"target": "?format=dag-json"}, {"target": "", "Accept": "application/vnd.ipld.dag-json"}]
    )
    async def test_a_document_comes_in_the_codec_asked_for(self, client, node, asked) -> None:
        block = PAIRS[-1][0]
        key = cids.make(cids.DAG_CBOR, block)
        node.here[key] = block
        text = cids.to_text(key)
        headers = {name: value for name, value in asked.items() if name != "target"}
        answer = await client.ask(f"/ipfs/{text}{asked['target']}", **headers)
        assert (answer.status, answer.body) == (200, PAIRS[-1][1])
        assert answer.headers["content-type"] == "application/vnd.ipld.dag-json"
        assert answer.headers["etag"] == f'"{text}.dag-json"'
        assert answer.headers["content-disposition"].startswith("inline;")
        again = await client.ask(f"/ipfs/{text}{asked['target']}", **headers, If_None_Match=answer.headers["etag"])
        assert again.status == 304
        same = await client.ask(f"/ipfs/{text}?format=dag-cbor")
        assert (same.body, same.headers["content-disposition"][:11]) == (block, "attachment;")

    async def test_a_malformed_document_is_422_and_one_that_nobody_has_404(self, client, node) -> None:
        key = cids.make(cids.DAG_CBOR, b"\xa1")
        node.here[key] = b"\xa1"
        assert (await client.ask(f"/ipfs/{cids.to_text(key)}?format=dag-json")).status == 422
        gone = cids.to_text(cids.make(cids.DAG_CBOR, b"\xa0"))
        assert (await client.ask(f"/ipfs/{gone}?format=dag-json")).status == 404
