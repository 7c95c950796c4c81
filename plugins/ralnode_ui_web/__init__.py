"""The status page: http://127.0.0.1:9080/dashboard, live, readable without JavaScript; /healthz, /readyz, /metrics, /api/v1/status."""

from __future__ import annotations

from ralnode.api import Context, Provider, Ui, hookimpl
from ralnode_ui_web.options import WebOptions
from ralnode_ui_web.server import WebUi


@hookimpl
def provide_ui() -> Provider[Ui]:
    return Provider("web", _build, WebOptions, "status page, metrics and health checks over HTTP")


def _build(context: Context, options: WebOptions) -> Ui:
    return WebUi(context, options)
