"""The Prometheus text format, version 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ralnode.api import Metric

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_HISTOGRAM: Final = ("_bucket", "_sum", "_count")


def exposition(metrics: Iterable[Metric]) -> str:
    """HELP and TYPE once per family, its samples together, in the order of first appearance."""
    families: dict[str, list[Metric]] = {}
    for metric in metrics:
        families.setdefault(_family(metric), []).append(metric)
    lines: list[str] = []
    for name, samples in families.items():
        lines += [f"# HELP {name} {_help(samples[0].help)}", f"# TYPE {name} {samples[0].kind}"]
        lines += [f"{sample.name}{_labels(sample)} {_number(sample.value)}" for sample in samples]
    return "\n".join(lines) + "\n"


def _family(metric: Metric) -> str:
    """A histogram's samples have names of their own."""
    if metric.kind != "histogram":
        return metric.name
    return next(metric.name.removesuffix(end) for end in _HISTOGRAM if metric.name.endswith(end))


def _help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _labels(metric: Metric) -> str:
    if not metric.labels:
        return ""
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in sorted(metric.labels.items()))
    return "{" + inside + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1 << 53 else repr(float(value))
