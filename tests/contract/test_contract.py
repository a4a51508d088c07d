"""The document and the product say the same: generated requests, good and bad, by people of different roles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from psycopg import sql
from schemathesis.config import SchemathesisConfig

from api import create_app
from api.core.scopes import ROLES
from api.extensions import db
from tests.conftest import PROJECT, TEMPLATE, disposing
from tests.live import committed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

    from api.config import Settings
    from api.embedded import Postgres

    type AnyCase = schemathesis.Case[Any]

GOOD_REQUESTS_MAY_GET = ["2xx", "3xx", "400", "401", "403", "404", "409", "412", "422", "428", "429"]
"""400 for a made-up cursor, 404 and 422 for made-up ids, 409 for what is taken, 412 for a made-up version."""

CONFIG = SchemathesisConfig.from_dict(
    {
        "base-url": "http://localhost",
        "generation": {"mode": "all", "database": "none"},
        "checks": {
            "positive_data_acceptance": {"expected-statuses": GOOD_REQUESTS_MAY_GET},
            "missing_required_header": {"expected-statuses": ["400", "401", "403", "406", "415", "422", "428"]},
        },
    }
)
document = schemathesis.openapi.from_path(PROJECT / "docs" / "openapi.json", config=CONFIG)
few = settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))


def is_for_customers(context: Any) -> bool:  # schemathesis keeps its type to itself
    """Tell whether a customer may use an operation; that the others are refused, test_permissions.py shows."""
    needed = context.operation.definition.raw.get("security", [])
    return ROLES["customer"].issuperset(scope for one in needed for scopes in one.values() for scope in scopes)


@document.parametrize()
@pytest.mark.parametrize("role", ["admin"])
@few
def test_requests_are_answered_as_documented(case: AnyCase, shop: Flask, headers: dict[str, str]) -> None:
    ask(case, shop, headers)


@document.include(is_for_customers).parametrize()
@pytest.mark.parametrize("role", ["customer"])
@few
def test_those_of_customers_are_too(case: AnyCase, shop: Flask, headers: dict[str, str]) -> None:
    ask(case, shop, headers)


def ask(case: AnyCase, shop: Flask, headers: dict[str, str]) -> None:
    """Send a request, and check all that can be checked."""
    case.operation.app = case.operation.schema.app = shop  # the checks send requests of their own

    case.call_and_validate(app=shop, headers=headers)


@pytest.fixture(scope="module")
def shop(app: Flask, postgres: Postgres, make_settings: Callable[..., Settings]) -> Iterator[Flask]:
    """One application for all requests, on a copy of the migrated template, with one item on the shelf."""
    with app.app_context():
        db.engine.dispose()  # a template that somebody is connected to cannot be copied
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE contract TEMPLATE {}").format(sql.Identifier(TEMPLATE)))
        patient = {"login_limit": "10000 per minute", "event_waiters": 0}  # nobody waits for news here
        with disposing(create_app(make_settings(postgres.url("contract"), **patient))) as shop:
            with committed(shop) as make:
                make.item(sku="22423", stock=50)
            yield shop
        connection.execute("DROP DATABASE contract WITH (FORCE)")


@pytest.fixture
def headers(shop: Flask, role: str) -> dict[str, str]:
    """Somebody of a role, freshly logged in, because a request may log out."""
    with committed(shop) as make:
        return make.headers(role=role)
