"""Health over HTTP, for load balancers and supervisors."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from flask import current_app

from api.extensions import db, migrate
from api.health import service
from api.health.schemas import HealthSchema, ReadinessSchema
from api.rest.smorest import Blueprint

blp = Blueprint("health", __name__, description="Whether the installation is alive and ready.")


@blp.route("/health", methods=["GET"])
@blp.public
@blp.response(HTTPStatus.OK, HealthSchema)
def health() -> dict[str, str]:
    """Tell that the process is alive

    Asks nothing of the database: a supervisor that restarts on failure must not restart because PostgreSQL is away.
    """
    return {"status": "ok"}


@blp.route("/ready", methods=["GET"])
@blp.public
@blp.response(HTTPStatus.OK, ReadinessSchema)
@blp.alt_response(HTTPStatus.SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE")
def ready() -> dict[str, Any]:
    """Tell that the process can take requests

    Looks at the database, its migrations, and Redis when configured.
    """
    redis_url = current_app.extensions["stockroom"].redis_url
    checks = service.require(db.session(), migrations=migrate.directory, redis_url=redis_url)
    return {"status": "ready", "checks": [check.name for check in checks]}
