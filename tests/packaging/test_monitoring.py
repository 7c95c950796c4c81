"""The dashboard, the alerts and the page about metrics say nothing that a node does not tell."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ralnode.api import Health, Liveness
from ralnode.host.metering import table, tally
from ralnode.host.metering.timed import CHANGES

PACKAGING = Path(__file__).parents[2] / "packaging"
ALERTS = yaml.safe_load((PACKAGING / "prometheus-alerts.yml").read_text())
DASHBOARD = json.loads((PACKAGING / "grafana-dashboard.json").read_text())
SCRAPED = {"job", "instance"}
"""Labels that Prometheus adds itself."""

VALUES = {
    "state": {each.value for each in Health},
    "health": {each.value for each in Health},
    "liveness": {each.value for each in Liveness},
    "outcome": {*tally.OUTCOMES, *(outcome for _, outcome in tally.SYNCS), "made"},
    "change": set(CHANGES),
}


def rules() -> list[dict[str, Any]]:
    return [rule for group in ALERTS["groups"] for rule in group["rules"]]


def targets() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel, target


EXPRESSIONS = [*(rule["expr"] for rule in rules()), *(target["expr"] for _, target in targets())]


def spec_of(name: str) -> table.Spec | None:
    for end in ("_bucket", "_sum", "_count"):
        found = table.SPECS.get(name.removesuffix(end))
        if name.endswith(end) and found is not None and found.kind == "histogram":
            return found
    found = table.SPECS.get(name)
    return None if found is None or found.kind == "histogram" else found


def used(expression: str) -> list[tuple[table.Spec, str]]:
    """The metrics of an expression with their matchers. Fails for one that does not exist."""
    found = []
    for name, matchers in re.findall(r"\b((?:ralnode|process)_[a-z_]+)(\{[^}]*\})?", expression):
        spec = spec_of(name)
        assert spec is not None, f"there is no metric {name}: {expression}"
        found.append((spec, matchers))
    return found


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_metric_and_label_that_is_asked_for_exists(expression: str) -> None:
    found = used(expression)
    assert found or expression.startswith("up{"), f"{expression} asks for nothing of ours"
    known = {"le", *SCRAPED, *(label for spec, _ in found for label in spec.labels)}
    for grouping in re.findall(r"\b(?:by|without) \(([^)]*)\)", expression):
        assert set(re.split(r",\s*", grouping)) <= known, expression
    for spec, matchers in found:
        for label, operator, value in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', matchers):
            assert label in {*spec.labels, *SCRAPED}, f"{spec.name} has no label {label}"
            if label in VALUES and operator in ("=", "!="):
                assert value in VALUES[label], f"{label} is never {value!r}"


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_counters_are_asked_for_their_rate_and_gauges_are_not(expression: str) -> None:
    for spec, _ in used(expression):
        rated = re.search(rf"\b(?:rate|increase)\({spec.name}", expression)
        assert bool(rated) == (spec.kind != "gauge"), f"{spec.name} is a {spec.kind}: {expression}"


def test_legends_and_texts_name_labels_that_the_expression_leaves() -> None:
    texts = [(target["expr"], target["legendFormat"]) for _, target in targets()]
    texts = [(expression, re.findall(r"\{\{(\w+)\}\}", legend)) for expression, legend in texts]
    for rule in rules():
        texts.append((rule["expr"], re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"]))))
    for expression, labels in texts:
        grouping = re.search(r"\bby \(([^)]*)\)", expression)
        own = {label for spec, _ in used(expression) for label in spec.labels} | SCRAPED
        left = set(re.split(r",\s*", grouping[1])) if grouping else own
        assert set(labels) <= left, (expression, labels)


def test_the_dashboard_has_the_shape_that_grafana_wants() -> None:
    assert DASHBOARD["schemaVersion"] >= 36 and DASHBOARD["title"] == "ralnode"
    assert DASHBOARD["id"] is None, "an id of its own would collide in another Grafana"
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    variables = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource" and variables["datasource"]["query"] == "prometheus"
    for panel, target in targets():
        for each in (panel, target):
            assert each["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]
        used_variables = set(re.findall(r"\$(?!__)(\w+)", target["expr"]))
        assert used_variables <= set(variables)
        assert {"job", "instance"} <= used_variables, "every panel follows the choice of nodes"


def test_panels_lie_side_by_side_and_never_on_each_other() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] >= 0 and place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[(x, y)]}"
                taken[(x, y)] = panel["title"]


def test_every_alert_says_what_happened_and_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) and len(names) >= 10
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}


def test_the_page_about_metrics_is_made_from_the_table() -> None:
    remedy = "run: python -m ralnode.host.metering.table > packaging/METRICS.md"
    assert (PACKAGING / "METRICS.md").read_text() == table.markdown(), remedy


def test_the_scrape_of_the_readme_is_one() -> None:
    text = (PACKAGING.parent / "README.md").read_text()
    found = re.search(r"```yaml\n(scrape_configs:.*?)```", text, re.DOTALL)
    assert found is not None
    (job,) = yaml.safe_load(found[1])["scrape_configs"]
    assert job["job_name"] == "ralnode" and job["static_configs"][0]["targets"] == ["127.0.0.1:9080"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")
def test_promtool_takes_the_alerts() -> None:
    done = subprocess.run(
        ["promtool", "check", "rules", PACKAGING / "prometheus-alerts.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
