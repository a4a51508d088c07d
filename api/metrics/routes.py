"""Metrics over HTTP, in the form Prometheus reads."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from api.extensions import db
from api.metrics import service
from api.rest.smorest import Blueprint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

blp = Blueprint("metrics", __name__, description="Numbers for monitoring.")


class _Now(Collector):
    """What is read at this moment."""

    def collect(self) -> Iterator[Metric]:
        return service.collect(db.session())


@blp.route("/metrics", methods=["GET"])
@blp.requires("metrics:read")
@blp.response(HTTPStatus.OK, {"type": "string"}, content_type="text/plain")  # type: ignore[arg-type]  # written out
def read_metrics() -> Response:
    """Read the metrics

    Background jobs, the feed and webhooks, in the text format of Prometheus. Give it an API key with `metrics:read`.
    """
    registry = CollectorRegistry()
    registry.register(_Now())
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)
