"""Fuzzes a decoder with atheris (coverage-guided), on demand: `python tests/fuzz/fuzz.py car 60`.

    pip install atheris
    python tests/fuzz/fuzz.py {varint,cid,dag-pb,unixfs,car,dag-cbor,dag-json} [SECONDS] [CORPUS_FOLDER]

What must hold is in ralnode/testing/decoders.py, where it begins too; hypothesis asks the same of it in tests/dag/test_fuzz.py.
A crash leaves its input beside, and ends with code 77.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ralnode.dag"]):
    from ralnode.testing.decoders import CHECKS, seeds


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in CHECKS:
        sys.exit(__doc__)
    name, seconds = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "60"
    with tempfile.TemporaryDirectory() as scratch:
        corpus = Path(sys.argv[3] if len(sys.argv) > 3 else scratch)
        corpus.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds()[name]):
            (corpus / f"seed-{number}").write_bytes(seed)
        bounds = [f"-max_total_time={seconds}", "-max_len=8192", "-timeout=20", "-rss_limit_mb=1024"]
        atheris.Setup([sys.argv[0], *bounds, str(corpus)], CHECKS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
