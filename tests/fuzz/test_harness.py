"""That the harness for atheris runs. How long it runs is up to who calls it; here a moment for each decoder."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from ralnode.testing.decoders import CHECKS


@pytest.mark.parametrize("name", CHECKS)
def test_a_moment_of_fuzzing_finds_nothing(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed; pip install atheris, where it has a wheel")
    command = [sys.executable, str(Path(__file__).parent / "fuzz.py"), name, "3"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=55)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done" in done.stderr
