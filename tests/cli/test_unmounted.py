"""A node whose disk is not mounted: with a real mount, in a mount namespace of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Cli
else:
    Cli = Any

SCRIPT = """
set -eu
mount -t tmpfs none /mnt
mkdir /mnt/disk
node() { timeout -s INT "$1" "$PROGRAM" $ARGUMENTS run --data /mnt/disk/ralnode --listen 127.0.0.1 --port 0 --gossip-port 0 \
  --page-port 0 --capacity 20MB >"$2" 2>&1 & }
mount -t tmpfs none /mnt/disk
node 60 first
until [ -S /mnt/disk/ralnode/control.sock ] || grep -q 'is running' first; do sleep 0.05; kill -0 $! ; done
kill -INT $!; wait $! || true
cp /mnt/disk/ralnode/identity.key key
umount /mnt/disk
node 60 second
wait $! && exit 91
echo "left: $(ls -A /mnt/disk)" >>second
"""


def can_mount() -> bool:
    asked = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    try:
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def test_without_its_disk_the_node_does_not_start_and_makes_nothing(cli: Cli, tmp_path: Path) -> None:
    if not can_mount():
        pytest.skip("no mount namespaces here")
    program, *arguments = cli.program
    environment = {**cli.environment(), "PROGRAM": program, "ARGUMENTS": " ".join(arguments)}
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", SCRIPT],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    second = (tmp_path / "second").read_text() if (tmp_path / "second").exists() else ""
    assert done.returncode == 0, (done, (tmp_path / "first").read_text(), second)
    assert len((tmp_path / "key").read_bytes()) == 32
    assert "Is that disk not mounted?" in second
    assert "mounted at /mnt/disk," in second
    assert second.endswith("left: \n")
