"""The application factory."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import orjson
from flask import Flask

import api as api_package
from api import logs
from api.accounts import cli as account_commands
from api.accounts import tasks as account_tasks
from api.accounts.routes import blp as accounts
from api.api_keys import tokens as api_key_tokens
from api.api_keys.cli import api_keys as api_key_commands
from api.api_keys.routes import blp as api_keys
from api.audit import denials
from api.audit.routes import blp as audit
from api.auth import tokens
from api.auth.cli import keys, sessions
from api.auth.routes import blp as auth
from api.auth.routes import well_known
from api.config import Settings
from api.core import gate
from api.core.connections import LeanCursor, WatchedPool
from api.core.vault import Vault
from api.core.waiting import WaitingRoom
from api.counts.cli import count
from api.counts.routes import blp as counts
from api.demo.cli import demo
from api.events import service as event_feed
from api.events import tasks as event_tasks
from api.events.cli import events as event_commands
from api.events.routes import blp as events
from api.extensions import cors, db, limiter, migrate
from api.health.routes import blp as health
from api.items.cli import items as item_commands
from api.items.routes import blp as items
from api.jobs import tasks as housekeeping
from api.jobs.cli import jobs as job_commands
from api.jobs.cli import worker
from api.jobs.routes import blp as jobs
from api.locations.routes import blp as locations
from api.mail import tasks as mail_tasks
from api.metrics.routes import blp as metrics
from api.notifications import tasks as notification_tasks
from api.notifications.routes import blp as notifications
from api.oidc import tokens as provider_tokens
from api.orders.cli import orders as order_commands
from api.orders.routes import blp as orders
from api.orders.service import Currency
from api.payments.routes import blp as payments
from api.reservations import tasks as reservation_tasks
from api.reservations.cli import reservations as reservation_commands
from api.reservations.routes import blp as reservations
from api.rest import docs, limits, problems, requests
from api.rest.cli import spec
from api.rest.smorest import Api
from api.rest.strict_json import StrictJSONProvider
from api.returns.routes import blp as returns
from api.second_factor.cli import second_factor_off
from api.second_factor.routes import blp as second_factor
from api.shipments.cli import ship
from api.shipments.routes import blp as shipments
from api.stock import tasks as stock_tasks
from api.stock.cli import stock as stock_commands
from api.stock.routes import availability_blp as availability
from api.stock.routes import blp as stock
from api.transfers.cli import transfer
from api.transfers.cli import transfers as transfer_commands
from api.transfers.routes import blp as transfers
from api.users.cli import users as user_commands
from api.users.routes import blp as users
from api.webhooks import tasks as webhook_tasks
from api.webhooks.routes import blp as webhooks

if TYPE_CHECKING:
    from collections.abc import Callable

    from api.rest.smorest import Blueprint

RESOURCES: tuple[Blueprint, ...] = (
    auth,
    second_factor,
    accounts,
    api_keys,
    users,
    items,
    availability,
    locations,
    stock,
    transfers,
    counts,
    reservations,
    orders,
    shipments,
    returns,
    payments,
    events,
    webhooks,
    notifications,
    jobs,
    audit,
)
EXPOSED_HEADERS = [
    "ETag",
    "Idempotency-Replayed",
    "Link",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-ID",
]
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
"""Names a health check on the same machine uses."""

REDIS_TIMEOUTS = {"socket_connect_timeout": 0.15, "socket_timeout": 0.15}
TASKS = (
    housekeeping,
    event_tasks,
    mail_tasks,
    account_tasks,
    stock_tasks,
    reservation_tasks,
    webhook_tasks,
    notification_tasks,
)
"""Modules whose import declares background tasks."""

COMMANDS = (
    worker,
    job_commands,
    keys,
    sessions,
    api_key_commands,
    demo,
    event_commands,
    item_commands,
    order_commands,
    reservation_commands,
    spec,
    stock_commands,
    user_commands,
)


class Application(Flask):
    """A Flask without coroutines, which need not be looked for in front of every function it calls."""

    def ensure_sync[**P, Result](self, func: Callable[P, Result]) -> Callable[P, Result]:
        """Call it as it is."""
        return func


def create_app(settings: Settings | None = None) -> Flask:
    """Build the application from its settings, or from the environment."""
    settings = settings or Settings.load()
    logs.configure(settings)
    app = Application(__name__)
    configure(app, settings)
    bind_extensions(app, settings)
    register_hooks(app)
    mount_resources(app, settings)
    register_commands(app)
    return app


def configure(app: Flask, settings: Settings) -> None:
    """Put the settings where Flask and its extensions look for them."""
    app.json = StrictJSONProvider(app)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.extensions["stockroom"] = settings
    app.extensions["vault"] = Vault(settings.signing_secret)
    app.extensions["waiting_room"] = WaitingRoom(settings.event_waiters)
    app.extensions["currency"] = Currency(settings.currency, settings.currency_places)
    app.config.from_mapping(flask_config(settings))


def bind_extensions(app: Flask, settings: Settings) -> None:
    """Bind every extension to the application."""
    db.init_app(app)
    migrate.init_app(app, db)
    api_key_tokens.init_app(app)
    provider_tokens.init_app(app, settings)
    tokens.init_app(app, settings)
    limiter.init_app(app)
    if settings.cors_origins:
        cors.init_app(app, origins=list(settings.cors_origins), expose_headers=EXPOSED_HEADERS, max_age=600)


def register_hooks(app: Flask) -> None:
    """Give every request its id, its log line and its headers, and every failure the envelope."""
    requests.init_app(app)
    limits.init_app(app)
    problems.init_app(app)
    denials.init_app(app)


def mount_resources(app: Flask, settings: Settings) -> None:
    """Register every blueprint, and the pages that document them."""
    api = Api(app)
    for resource in RESOURCES:
        api.mount(resource)
    api.register_blueprint(health)
    api.register_blueprint(metrics)
    api.register_blueprint(well_known)
    docs.init_app(app, api, pages=settings.docs_enabled)


def register_commands(app: Flask) -> None:
    """Register every `flask` command but `up`, which needs no application."""
    for command in COMMANDS:
        app.cli.add_command(command)
    for command in (*account_commands.commands, second_factor_off):
        user_commands.add_command(command)
    for command in (transfer, transfer_commands, count):
        stock_commands.add_command(command)
    order_commands.add_command(ship)


def flask_config(settings: Settings) -> dict[str, Any]:
    """Translate the settings into the names Flask and its extensions use."""
    timeouts = {
        "statement_timeout": settings.database_statement_timeout_ms,
        "lock_timeout": settings.database_lock_timeout_ms,
        "idle_in_transaction_session_timeout": settings.database_idle_timeout_ms,
    }
    return {
        "API_TITLE": "Stockroom",
        "API_VERSION": "v1",
        "API_SPEC_OPTIONS": {
            "info": {"description": api_manual(), "license": {"name": "MIT"}},
            "webhooks": event_feed.openapi_webhooks(),
        },
        "OPENAPI_VERSION": "3.1.0",
        "MAX_CONTENT_LENGTH": settings.max_request_bytes,
        "MAX_FORM_MEMORY_SIZE": settings.max_request_bytes,
        "TRUSTED_HOSTS": [*settings.trusted_hosts, *LOOPBACK] if settings.trusted_hosts else None,
        "SQLALCHEMY_DATABASE_URI": settings.sqlalchemy_url,
        "SQLALCHEMY_ENGINE_OPTIONS": {
            "pool_size": settings.database_pool_size,
            "max_overflow": 0,
            "pool_timeout": settings.database_pool_timeout_seconds,
            "poolclass": WatchedPool,
            "json_deserializer": orjson.loads,
            "hide_parameters": True,
            "execution_options": {gate.PATIENCE: settings.database_pool_timeout_seconds},
            "connect_args": {
                "connect_timeout": 3,
                "keepalives_idle": 30,
                "keepalives_interval": 10,
                "keepalives_count": 3,
                "application_name": "stockroom",
                "cursor_factory": LeanCursor,
                "options": " ".join(f"-c {name}={value}" for name, value in timeouts.items()) + " -c timezone=UTC",
            },
        },
        "RATELIMIT_STORAGE_URI": settings.redis_url or "memory://",
        "RATELIMIT_STORAGE_OPTIONS": REDIS_TIMEOUTS if settings.redis_url else {},
        "RATELIMIT_IN_MEMORY_FALLBACK_ENABLED": settings.redis_url is not None,
        "RATELIMIT_IN_MEMORY_FALLBACK": [],
    }


def api_manual() -> str:
    """The package's docstring, which opens the API documentation."""
    return inspect.getdoc(api_package) or ""
