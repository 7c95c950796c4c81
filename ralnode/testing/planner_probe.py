"""Plans in a fresh process, for `PlannerContract`: `python -m ralnode.testing.planner_probe FILE CLASS` loads a test file,
makes its planner, and prints one fingerprint for all its plans. With another PYTHONHASHSEED it must print the same.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from ralnode.api import BlockSet, Plan, Planner, Root
from ralnode.testing.planner_views import NamedView, all_views


def fingerprint(planner: Planner, views: Iterable[NamedView]) -> str:
    """Of everything that the plans say, in hex."""
    digest = hashlib.blake2b(digest_size=16)
    for named in views:
        digest.update(described(planner.plan(named.view)))
    return digest.hexdigest()


def described(plan: Plan) -> bytes:
    """A plan as bytes, whatever the order of its mappings."""
    return repr([_listed(plan.want), _listed(plan.urgent), plan.digest.hex()]).encode()


def _listed(blocks: Mapping[Root, BlockSet]) -> list[tuple[str, str]]:
    return sorted((root.hex(), f"{chosen.bits:x}") for root, chosen in blocks.items() if chosen)


def _planner_of(file: Path, class_name: str) -> Planner:
    spec = importlib.util.spec_from_file_location("planner_under_test", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    planner: Planner = getattr(module, class_name)().build()
    return planner


def main(file: str, class_name: str) -> int:
    sys.stdout.write(fingerprint(_planner_of(Path(file), class_name), all_views()) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:3]))
