"""Mixed accidents from seeds: those that failed once first, then fixed ones, then fresh ones.

`RALNODE_SIM_SEEDS` says how many fresh ones (default 50). A failure is a finding, whatever was changed: it prints its seed and what was done; put the seed into
regressions.txt. To repeat one: `RALNODE_SIM_FIRST_SEED=<seed> RALNODE_SIM_SEEDS=1`.
"""

import os
import secrets
from pathlib import Path
from random import Random

import pytest

from ralnode.testing.faultplay import FaultPlay
from ralnode.testing.safety import InvariantError
from ralnode.testing.simulation import cluster
from ralnode.testing.world import Parts

REGRESSIONS = Path(__file__).with_name("regressions.txt")
FIXED = range(12)
ACTS = 20
SIZES = (2, 3, 4, 6)
PER_TEST = 5
"""Fresh seeds in one test, so that the report stays short."""


def regressions() -> list[int]:
    lines = (line.partition("#")[0].strip() for line in REGRESSIONS.read_text().splitlines())
    return [int(line) for line in lines if line]


def fresh_seeds() -> list[int]:
    count = int(os.environ.get("RALNODE_SIM_SEEDS", "50"))
    first = int(os.environ.get("RALNODE_SIM_FIRST_SEED") or 100_000 + secrets.randbelow(1_000_000_000))
    return list(range(first, first + count))


def play(seed: int, parts: Parts) -> None:
    """Up to twelve nodes, twenty acts, then all must be well."""
    dice = Random(f"{seed}/play")
    c = cluster(seed, dice.choice(SIZES), parts)
    faults = FaultPlay(c, dice)
    try:
        faults.play(ACTS)
        faults.note("faults stop")
        c.settle()
    except (InvariantError, AssertionError, ValueError, LookupError, TypeError, AttributeError) as error:
        diary = "\n".join(faults.diary)
        raise AssertionError(f"seed {seed} failed: {type(error).__name__}: {error}\n{diary}") from error


@pytest.mark.parametrize("seed", regressions())
def test_seeds_that_failed_once_hold(seed: int, parts: Parts) -> None:
    play(seed, parts)


@pytest.mark.parametrize("seed", FIXED)
def test_fixed_seeds_hold(seed: int, parts: Parts) -> None:
    play(seed, parts)


FRESH = fresh_seeds()


@pytest.mark.parametrize("position", range(0, len(FRESH), PER_TEST))
def test_fresh_seeds_hold(position: int, parts: Parts) -> None:
    for seed in FRESH[position : position + PER_TEST]:
        play(seed, parts)
