"""curl, as a person uses it: `ipfs://` addresses, ranges, a resumed download."""

from __future__ import annotations

from pathlib import Path

import pytest
from interop_content import Content
from interop_pool import Pool
from interop_recipes import filled, recipe
from interop_tools import run, tool


@pytest.fixture
def curl() -> Path:
    return tool("curl", "apt-get install curl")


def test_an_ipfs_address_is_read_through_our_gateway(curl: Path, pool: Pool, made: Content, tmp_path: Path) -> None:
    version = run([curl, "--version"]).stdout
    if b"ipfs" not in version:
        pytest.skip(f"this curl is too old for ipfs:// (needs 8.4): {version.split()[1].decode()}")
    (line,) = recipe("curl-ipfs")
    run(["sh", "-c", filled(line, NAS__8080=host(pool), CID=pool.roots["tone.wav"], FILE=tmp_path / "tone")])
    assert (tmp_path / "tone").read_bytes() == (made.folder / "tone.wav").read_bytes()


def test_the_lines_of_the_page(curl: Path, pool: Pool, made: Content, tmp_path: Path) -> None:
    tone = (made.folder / "tone.wav").read_bytes()
    whole, first, resumed = recipe("curl")
    words = {"NAS__8080": host(pool), "CID": pool.roots["tone.wav"], "FILE": tmp_path / "a", "FIRST": tmp_path / "b"}
    run(["sh", "-c", filled(whole, **words)])
    run(["sh", "-c", filled(first, **words)])
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()) == (tone, tone[:1000])
    (tmp_path / "a").write_bytes(tone[:50_000])
    run(["sh", "-c", filled(resumed, **words)])
    assert (tmp_path / "a").read_bytes() == tone


def host(pool: Pool) -> str:
    return pool.gateways[0].removeprefix("http://")


def test_ranges(curl: Path, pool: Pool, made: Content) -> None:
    url, film = f"{pool.gateways[2]}/ipfs/{pool.roots['film.bin']}", made.film.read_bytes()
    assert run([curl, "-sSf", "-r", "70000000-70999999", url]).stdout == film[70_000_000:71_000_000]
    assert run([curl, "-sSf", "-r", "-1000", url]).stdout == film[-1000:]
    several = run([curl, "-sSf", "-r", "0-9,99999990-100000009", url]).stdout
    assert film[:10] in several and film[99_999_990:100_000_010] in several


def test_a_download_is_resumed(curl: Path, pool: Pool, made: Content, tmp_path: Path) -> None:
    film, part = made.film.read_bytes(), tmp_path / "film.bin"
    part.write_bytes(film[:33_333_333])
    run([curl, "-sSf", "-C", "-", "-o", part, f"{pool.gateways[1]}/ipfs/{pool.roots['film.bin']}"])
    assert part.read_bytes() == film


def test_http2_over_tls(curl: Path, pool: Pool, made: Content) -> None:
    """With the certificate that the node has signed itself."""
    url = f"{pool.tls_gateways[0]}/ipfs/{pool.roots['film.bin']}"
    done = run([curl, "-sSfk", "--http2", "-w", "%{stderr}%{http_version}", url])
    assert done.stderr == b"2"
    assert done.stdout == made.film.read_bytes()
