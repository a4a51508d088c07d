"""Whatever comes in, what goes out is a success or the documented envelope, never a crash."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.rest.envelope import assert_envelope

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from tests.factories import Factory

BOUNDED = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, 1, -1, 10**6, 10**6 + 1, 2**31, 2**63, 10**30]),
    st.floats(),
    st.text(st.characters(), max_size=30),  # lone surrogates and NUL included
    st.sampled_from(["", "1.00", "each", "NEW", "0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45", "\x00", "\ud800", "1e9"]),
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=15,
)


def _object_with(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Objects of documented and undocumented members, each with any value."""
    return st.dictionaries(st.sampled_from(names) | st.text(max_size=5), DOCUMENTS, max_size=len(names))


ITEMS = _object_with("sku", "name", "unit_price", "description", "unit", "is_stocked", "id", "version")
LINES = st.lists(_object_with("item_id", "sku", "quantity", "unit_price"), max_size=4)
ORDERS = st.builds(
    lambda order, lines: order | {"lines": lines},
    _object_with("location_id", "reference", "note", "metadata", "status"),
    LINES,
)
PLAUSIBLE_LINES = st.lists(
    st.fixed_dictionaries(
        {"quantity": st.integers(0, 3) | SCALARS},
        optional={"sku": st.sampled_from(["STOCKED", "stocked", "NONE", ""]), "unit_price": SCALARS},
    ),
    max_size=5,
)
PLAUSIBLE_ORDERS = st.fixed_dictionaries(
    {"lines": PLAUSIBLE_LINES},
    optional={"note": SCALARS, "reference": SCALARS, "metadata": st.dictionaries(st.text(max_size=3), SCALARS)},
)


@BOUNDED
@given(body=DOCUMENTS | ITEMS)
def test_no_item_crashes_the_catalogue(client: FlaskClient, admin: dict[str, str], body: object) -> None:
    check(client.post("/api/v1/items", data=written(body), headers=admin, content_type="application/json"))


@BOUNDED
@given(body=DOCUMENTS | ORDERS | PLAUSIBLE_ORDERS)
def test_no_order_crashes_the_shop(client: FlaskClient, admin: dict[str, str], shelf: str, body: object) -> None:
    response = client.post("/api/v1/orders", data=written(body), headers=admin, content_type="application/json")

    check(response)
    assert shelf == "STOCKED"


@BOUNDED
@given(raw=st.binary(max_size=200))
def test_no_bytes_crash_anything(client: FlaskClient, admin: dict[str, str], raw: bytes) -> None:
    check(client.post("/api/v1/orders", data=raw, headers=admin, content_type="application/json"))


@BOUNDED
@given(
    query=st.dictionaries(
        st.sampled_from(["limit", "cursor", "q", "sku", "status", "placed_from", "reference"]) | st.text(max_size=5),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.integers().map(str),
        max_size=4,
    ),
    path=st.sampled_from(["/api/v1/items", "/api/v1/orders", "/api/v1/stock/movements", "/api/v1/users"]),
)
def test_no_query_crashes_a_list(client: FlaskClient, admin: dict[str, str], query: dict[str, str], path: str) -> None:
    check(client.get(path, query_string=query, headers=admin))


@BOUNDED
@given(
    headers=st.dictionaries(
        st.sampled_from(
            ["If-Match", "If-None-Match", "Idempotency-Key", "X-Request-ID", "Accept", "Content-Type", "Authorization"]
        ),
        st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=40),
    )
)
def test_no_header_crashes_a_change(
    client: FlaskClient, admin: dict[str, str], item_path: str, headers: dict[str, str]
) -> None:
    check(client.patch(item_path, data=b'{"name":"New"}', headers=admin | headers))


def written(body: object) -> bytes:
    """Write JSON as carelessly as clients do: NaN and lone surrogates included."""
    return json.dumps(body).encode()


def check(response: TestResponse) -> None:
    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        assert_envelope(response)


@pytest.fixture
def shelf(make: Factory) -> str:
    """Something that can really be ordered."""
    return make.item(sku="STOCKED", stock=50).sku


@pytest.fixture
def item_path(make: Factory) -> str:
    """Where an item lives."""
    return f"/api/v1/items/{make.item().id}"
