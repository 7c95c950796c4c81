"""Buffers are kept while there is work, and given back afterwards. Each in a process of its own: it changes the allocator."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ralnode.host.memory import resident_bytes

PRELUDE = """
import resource
from ralnode.host.memory import SpareMemory, keep_buffers, resident_bytes
MIB = 1 << 20
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
"""


def outcome_of(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", PRELUDE + program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


needs_glibc = pytest.mark.skipif(
    sys.platform != "linux" or not resident_bytes(), reason="how memory is kept can only be seen on Linux"
)


@needs_glibc
def test_buffers_of_block_size_are_used_again_without_asking_the_system() -> None:
    program = """
keep_buffers()
for _ in range(3):
    bytes(3 * MIB)
before = faults()
for _ in range(100):
    bytes(3 * MIB)
print(faults() - before)
"""
    assert int(outcome_of(program)) < 100 * 3 * 256 / 10, "or each page of each was asked for anew"


@needs_glibc
def test_what_a_burst_of_work_took_is_given_back() -> None:
    program = """
keep_buffers()
spare = SpareMemory()
spare.give_back()
blocks = [bytes(MIB) + b"x" for _ in range(60)]
kept = blocks[::20]
del blocks
before = resident_bytes()
spare.give_back()
print((before - resident_bytes()) // MIB)
"""
    assert int(outcome_of(program)) >= 30


@needs_glibc
def test_a_process_that_has_not_grown_is_left_alone() -> None:
    program = """
import gc
spare = SpareMemory()
spare.give_back()
before = gc.get_stats()[2]["collections"]
spare.give_back()
print(gc.get_stats()[2]["collections"] - before)
"""
    assert outcome_of(program) == "0"


def test_collections_do_not_look_through_what_was_there_at_the_start() -> None:
    program = """
import gc
from ralnode.host.memory import keep_what_is_made
keep_what_is_made()
kept, looked_through = gc.get_freeze_count(), len(gc.get_objects())
made_since = [[] for _ in range(100)]
gc.collect()
print(kept > 10_000, looked_through < 100, len(gc.get_objects()) < 500)
"""
    assert outcome_of(program) == "True True True"
