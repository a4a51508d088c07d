"""The document and the product say the same: generated requests, good and bad, by people of different roles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig

from tests.conftest import PROJECT
from tests.rest.live import committed

if TYPE_CHECKING:
    from typing import Any

    from flask import Flask

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


@document.parametrize()
@pytest.mark.parametrize("role", ["admin", "customer"])
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
def test_requests_are_answered_as_documented(
    case: AnyCase, live_app: Flask, headers: dict[str, dict[str, str]], role: str
) -> None:
    case.operation.app = case.operation.schema.app = live_app  # the checks send requests of their own

    case.call_and_validate(app=live_app, headers=headers[role])


@pytest.fixture
def headers(live_app: Flask) -> dict[str, dict[str, str]]:
    """A shop with one item on the shelf, and somebody of each role."""
    with committed(live_app) as make:
        make.item(sku="22423", stock=50)
        return {role: make.headers(role=role) for role in ("admin", "customer")}
