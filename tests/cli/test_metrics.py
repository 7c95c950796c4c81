"""/metrics of a real node: every documented name is there, in a form that Prometheus' own parser takes."""

from __future__ import annotations

import shutil
import subprocess
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ralnode.host.metering.table import SPECS

HIDDEN = {"ralnode_service_up", "ralnode_service_restarts_total"}
"""Only there when an optional service runs, which a frozen executable may not have."""


@pytest.fixture
def page(node) -> str:
    url = next(each["page_url"] for each in node.ask("nodes")["nodes"])
    with urllib.request.urlopen(url.split("/dashboard")[0] + "/metrics", timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return answer.read().decode()


def test_every_documented_metric_is_told_by_a_node_with_its_kind_labels_and_help(page: str, node, tmp_path) -> None:
    (tmp_path / "file").write_bytes(bytes(300_000))
    node.cli.ok("add", tmp_path / "file")
    families = {each.name: each for each in text_string_to_metric_families(page)}
    found = {family.name + ("_total" if family.type == "counter" else ""): family for family in families.values()}
    assert set(found) >= set(SPECS) - HIDDEN
    assert set(found) <= set(SPECS)
    for name, family in found.items():
        spec = SPECS[name]
        assert (family.type, family.documentation) == (spec.kind, spec.help)
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(spec.labels), sample
    values = {sample.name: sample.value for family in families.values() for sample in family.samples}
    assert values["process_resident_memory_bytes"] > 1e7 and values["ralnode_uptime_seconds"] > 0


def test_a_scrape_stays_small(page: str) -> None:
    assert len(page) < 60_000 and page.count("\n") < 600


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")
def test_promtool_takes_the_page(page: str) -> None:
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done.stdout + done.stderr
