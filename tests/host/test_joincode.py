from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ralnode.api import Address, UsageError
from ralnode.host.joincode import JoinCode

SECRET = bytes(range(32))
ADDRESSES = (Address("192.168.1.20", 10090), Address("fd00::1", 65535), Address("attic.local", 1))

hosts = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
    st.from_regex(r"[a-z][a-z0-9-]{0,20}[a-z]\.(local|home|lan)", fullmatch=True).filter(lambda host: "--" not in host),
)
addresses = st.lists(st.builds(Address, hosts, st.integers(1, 65535)), max_size=8).map(tuple)


@given(st.binary(min_size=32, max_size=32), addresses)
def test_what_is_encoded_comes_back(secret: bytes, where: tuple[Address, ...]) -> None:
    code = JoinCode(secret, where)
    assert JoinCode.decode(code.encode()) == code


def test_the_code_is_one_short_word_without_punctuation() -> None:
    text = JoinCode(SECRET, ADDRESSES[:1]).encode()
    assert text.startswith("ral1")
    assert len(text) <= 80
    assert set(text) <= set(string.ascii_lowercase + string.digits)


def test_the_format_is_pinned() -> None:
    """A code printed by this version must be readable for ever."""
    text = "ral1aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypqjqfiaekco2qg7uaaaaaaaaaaaaaaaaaaaaaaah776aalmf2hi2ldfzwg6y3bnqaac6vlepxa"
    assert JoinCode(SECRET, ADDRESSES).encode() == text
    assert JoinCode.decode(text) == JoinCode(SECRET, ADDRESSES)


def test_capitals_spaces_and_line_breaks_from_a_mail_do_no_harm() -> None:
    text = JoinCode(SECRET, ADDRESSES).encode()
    mangled = "  " + "\n".join(text[i : i + 20].upper() for i in range(0, len(text), 20)) + " \r\n"
    assert JoinCode.decode(mangled).secret == SECRET


def test_every_single_wrong_character_is_noticed() -> None:
    text = JoinCode(SECRET, ADDRESSES[:1]).encode()
    for at in range(len(text)):
        for wrong in "aq7":
            if text[at] != wrong:
                with pytest.raises(UsageError, match="join code"):
                    JoinCode.decode(text[:at] + wrong + text[at + 1 :])


def test_swapped_neighbours_are_noticed() -> None:
    text = JoinCode(SECRET, ADDRESSES[:1]).encode()
    for at in range(len(text) - 1):
        if text[at] != text[at + 1]:
            with pytest.raises(UsageError):
                JoinCode.decode(text[:at] + text[at + 1] + text[at] + text[at + 2 :])


@pytest.mark.parametrize("cut", [0, 1, 3, 4, 5, 40, 70, -1, -2, -8])
def test_a_code_that_is_cut_off_is_noticed(cut: int) -> None:
    with pytest.raises(UsageError, match="join code"):
        JoinCode.decode(JoinCode(SECRET, ADDRESSES).encode()[:cut])


@given(st.text(max_size=200))
def test_any_other_text_is_refused_in_one_clear_way(text: str) -> None:
    with pytest.raises(UsageError, match="Nothing was changed"):
        JoinCode.decode(text)


def test_a_newer_version_is_told_apart_from_a_typo() -> None:
    with pytest.raises(UsageError, match="upgrade ralnode"):
        JoinCode.decode("ral2" + JoinCode(SECRET).encode()[4:])


def test_a_huge_text_is_refused_before_it_is_worked_on() -> None:
    with pytest.raises(UsageError, match="characters long"):
        JoinCode.decode("ral1" + "a" * 1_000_000)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="secret has 3 bytes"):
        JoinCode(b"abc").encode()
    with pytest.raises(UsageError, match="9 addresses"):
        JoinCode(SECRET, (Address("10.0.0.1", 1),) * 9).encode()
    for host in ("", "a" * 300 + ".local", "a..b"):
        with pytest.raises(UsageError, match="host name"):
            JoinCode(SECRET, (Address(host, 1),)).encode()


def test_the_secret_is_not_shown_when_a_code_is_printed_in_a_log() -> None:
    assert repr(SECRET) not in repr(JoinCode(SECRET))
    assert "secret" not in repr(JoinCode(SECRET))
