"""Ends every run with the count of skipped tests and why each was skipped. No example of hypothesis is judged by its time."""

import signal
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, settings

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # in the background of a script; every program started here would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else str(report.longrepr)
        for report in terminalreporter.stats.get("skipped", [])
    )
    terminalreporter.section("skipped")
    if not reasons:
        terminalreporter.line("no test was skipped")
    for reason, count in reasons.most_common():
        terminalreporter.line(f"{count} skipped: {reason}")
