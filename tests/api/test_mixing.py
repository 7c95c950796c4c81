"""The hashing that every node must compute alike, for ever: pinned numbers, and one implementation against the other."""

import math

import numpy as np
import pytest

from ralnode.api import mixing

ROOT = bytes.fromhex("01551220") + bytes(range(32))
NODE = bytes(range(100, 132))


def keys_of(root: bytes, count: int) -> mixing.Keys:
    return mixing.block_keys(np.uint64(mixing.hash64(root)), np.arange(count, dtype=np.uint64))


def test_golden_hashes() -> None:
    assert mixing.hash64(b"") == 13020603013274838756
    assert mixing.hash64(ROOT) == 1111165410141679156
    assert mixing.node_salt(NODE) == 15725111058132399363


def test_golden_keys() -> None:
    assert [mixing.block_key(ROOT, index) for index in (0, 1, 99_999_999)] == [
        14856186940099321038,
        14341766640629326875,
        3450793564273677947,
    ]


def test_golden_draws_and_distances() -> None:
    key, salt = mixing.block_key(ROOT, 7), mixing.node_salt(NODE)
    assert mixing.draw(key, salt) == 5000081860499011514
    assert mixing.distance(key, salt, 1).hex() == "0x1.43c20e3fc87e3p-2"
    assert mixing.distance(key, salt, 3 << 40).hex() == "0x1.afad68550b52ep-44"


def test_mix64_is_splitmix64() -> None:
    """The first outputs of the reference generator seeded with 1234567."""
    step = 0x9E3779B97F4A7C15
    outputs = [mixing.mix64(1234567 + (number + 1) * step) for number in range(3)]
    assert outputs == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_arrays_and_single_numbers_agree() -> None:
    keys = keys_of(ROOT, 500)
    assert keys.tolist() == [mixing.block_key(ROOT, index) for index in range(500)]
    salts = [mixing.node_salt(bytes([number])) for number in range(5)]
    weights = (1, 3, 10**12, 2**62, 7)
    drawn = mixing.draws(keys, np.array(salts, dtype=np.uint64))
    far = mixing.distances(keys, np.array(salts, dtype=np.uint64), mixing.scales(weights))
    for node, (salt, weight) in enumerate(zip(salts, weights, strict=True)):
        assert drawn[node].tolist() == [mixing.draw(key, salt) for key in keys.tolist()]
        assert far[node].tolist() == [mixing.distance(key, salt, weight) for key in keys.tolist()]


def test_one_salt_may_be_a_plain_number() -> None:
    keys = keys_of(ROOT, 50)
    assert mixing.draws(keys, np.uint64(5)).tolist() == mixing.draws(keys, np.array([5], dtype=np.uint64))[0].tolist()


@pytest.mark.parametrize(("part", "error"), [(0.5, 0.0002), (0.9, 0.0005), (0.99, 0.003)])
def test_distance_is_nearly_the_logarithm(part: float, error: float) -> None:
    for key in range(0, 40_000, 7):
        drawn = mixing.draw(mixing.mix64(key), 9) / 2**64
        if drawn < part:
            assert mixing.distance(mixing.mix64(key), 9, 2) == pytest.approx(-math.log1p(-drawn) / 2, rel=error)


def test_distance_grows_with_the_draw() -> None:
    """So a node orders blocks by draw and by distance alike; also across the steps of the table."""
    pairs = sorted((mixing.draw(key, 3), mixing.distance(key, 3, 11)) for key in keys_of(ROOT, 30_000).tolist())
    distances = [far for _, far in pairs]
    assert distances == sorted(distances)
    assert len(set(distances)) == len(distances)


def test_a_share_is_in_proportion_to_the_weight() -> None:
    weights = (1, 2, 5, 12)
    salts = np.array([mixing.node_salt(bytes([number])) for number in range(4)], dtype=np.uint64)
    nearest = mixing.distances(keys_of(ROOT, 200_000), salts, mixing.scales(weights)).argmin(axis=0)
    for node, weight in enumerate(weights):
        expected = 200_000 * weight / 20
        assert (nearest == node).sum() == pytest.approx(expected, abs=5 * expected**0.5)


def test_draws_of_different_nodes_are_independent() -> None:
    salts = np.array([mixing.node_salt(bytes([number])) for number in range(6)], dtype=np.uint64)
    drawn = mixing.draws(keys_of(ROOT, 100_000), salts) / 2**64
    correlation = np.corrcoef(drawn)
    assert np.abs(correlation - np.eye(6)).max() < 0.015
