"""Runs the benchmarks one after the other, each in a process of its own, and prints one table (`--json`: one list)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from pairs import Figure, print_table

HERE = Path(__file__).parent


def main() -> int:
    as_json = "--json" in sys.argv
    names = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    scripts = [HERE / f"bench_{name}.py" for name in names] or sorted(HERE.glob("bench_*.py"))
    figures: list[Figure] = []
    failed = False
    for script in scripts:
        print(f"{script.stem} …", file=sys.stderr, flush=True)
        done = subprocess.run([sys.executable, str(script), "--json"], stdout=subprocess.PIPE, text=True)
        try:
            rows = json.loads(done.stdout.splitlines()[-1])
        except (json.JSONDecodeError, IndexError):
            print(f"{script.stem} failed with exit code {done.returncode}", file=sys.stderr)
            failed = True
            continue
        figures += [Figure(**{key: value for key, value in row.items() if key != "holds"}) for row in rows]
    if as_json:
        json.dump([vars(figure) | {"holds": figure.holds} for figure in figures], sys.stdout, indent=1)
        print()
    else:
        print_table(figures)
    return int(failed or not all(figure.holds for figure in figures))


if __name__ == "__main__":
    raise SystemExit(main())
