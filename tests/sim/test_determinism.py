"""One seed, one trace: in one process, in two, and whatever order hashes have."""

import os
import subprocess
import sys
from pathlib import Path
from random import Random

from ralnode.testing.faultplay import FaultPlay
from ralnode.testing.simulation import cluster
from ralnode.testing.world import Parts

ROOT = Path(__file__).parents[2]
SCRIPT = """
import importlib.util, random
spec = importlib.util.spec_from_file_location("conftest", "tests/sim/conftest.py")
conftest = importlib.util.module_from_spec(spec)
spec.loader.exec_module(conftest)
from ralnode.testing.faultplay import FaultPlay
from ralnode.testing.simulation import cluster
c = cluster(11, 4, conftest.default_parts())
FaultPlay(c, random.Random(11)).play(12)
print(c.trace)
"""


def played(seed: int, parts: Parts) -> tuple[int, int, int]:
    c = cluster(seed, 4, parts)
    FaultPlay(c, Random(seed)).play(12)
    return c.trace


def test_two_runs_of_a_seed_are_the_same_event_for_event(parts: Parts) -> None:
    first, second, other = played(11, parts), played(11, parts), played(12, parts)
    assert first == second
    assert first[0] > 500
    assert first != other


def test_the_order_of_hashes_decides_nothing(parts: Parts) -> None:
    """Sets and dictionaries of bytes are ordered otherwise in each process."""
    expected = str(played(11, parts))
    for hash_seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
        assert run.stdout.strip() == expected
