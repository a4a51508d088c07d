"""The permission matrix, role by operation, for one's own things and for those of others.

The operations are read from the OpenAPI document; what each row expects is written down here by hand, so that a scope
that is changed by mistake is noticed. An operation without a row fails.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from api.auth import service as auth
from api.core.scopes import LADDER
from api.core.vault import Vault
from api.jobs import service as jobs
from api.returns import service as returns
from api.shipments import service as shipments
from tests.conftest import PROJECT
from tests.factories import LIFETIMES
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from tests.factories import Factory

PUBLIC = "everybody"

LOWEST_ROLE = {
    "POST /api/v1/auth/token": PUBLIC,
    "POST /api/v1/auth/refresh": PUBLIC,
    "POST /api/v1/auth/sign-up": PUBLIC,
    "POST /api/v1/auth/confirm": PUBLIC,
    "POST /api/v1/auth/password/forgot": PUBLIC,
    "POST /api/v1/auth/password/reset": PUBLIC,
    "POST /api/v1/auth/email/verify": PUBLIC,
    "GET /health": PUBLIC,
    "GET /ready": PUBLIC,
    "GET /.well-known/jwks.json": PUBLIC,
    "POST /api/v1/auth/reauthenticate": "customer",
    "POST /api/v1/auth/logout": "customer",
    "GET /api/v1/auth/sessions": "customer",
    "DELETE /api/v1/auth/sessions": "customer",
    "DELETE /api/v1/auth/sessions/{session_id}": "customer",
    "POST /api/v1/auth/password/change": "customer",
    "POST /api/v1/auth/email/change": "customer",
    "POST /api/v1/auth/email/verification": "customer",
    "GET /api/v1/auth/second-factor": "customer",
    "POST /api/v1/auth/second-factor": "customer",
    "DELETE /api/v1/auth/second-factor": "customer",
    "POST /api/v1/auth/second-factor/confirm": "customer",
    "POST /api/v1/auth/second-factor/recovery-codes": "customer",
    "POST /api/v1/auth/invitations": "manager",
    "GET /api/v1/api-keys": "customer",
    "POST /api/v1/api-keys": "customer",
    "GET /api/v1/api-keys/{key_id}": "customer",
    "DELETE /api/v1/api-keys/{key_id}": "customer",
    "POST /api/v1/api-keys/{key_id}/rotate": "customer",
    "GET /api/v1/users/me": "customer",
    "PATCH /api/v1/users/me": "customer",
    "GET /api/v1/users": "manager",
    "POST /api/v1/users": "manager",
    "GET /api/v1/users/{user_id}": "manager",
    "PATCH /api/v1/users/{user_id}": "manager",
    "GET /api/v1/items": "customer",
    "GET /api/v1/items/{item_id}": "customer",
    "GET /api/v1/items/{item_id}/availability": "customer",
    "POST /api/v1/items": "manager",
    "POST /api/v1/items/bulk": "manager",
    "PATCH /api/v1/items/{item_id}": "manager",
    "DELETE /api/v1/items/{item_id}": "manager",
    "POST /api/v1/items/{item_id}/archive": "manager",
    "POST /api/v1/items/{item_id}/restore": "manager",
    "GET /api/v1/locations": "clerk",
    "GET /api/v1/locations/{location_id}": "clerk",
    "POST /api/v1/locations": "manager",
    "PATCH /api/v1/locations/{location_id}": "manager",
    "DELETE /api/v1/locations/{location_id}": "manager",
    "POST /api/v1/locations/{location_id}/archive": "manager",
    "POST /api/v1/locations/{location_id}/restore": "manager",
    "GET /api/v1/stock/levels": "clerk",
    "GET /api/v1/stock/movements": "clerk",
    "GET /api/v1/stock/movements/export": "clerk",
    "GET /api/v1/stock/valuation": "manager",
    "GET /api/v1/stock/verify": "clerk",
    "POST /api/v1/stock/receipts": "clerk",
    "POST /api/v1/stock/adjustments": "clerk",
    "GET /api/v1/stock/transfers": "clerk",
    "POST /api/v1/stock/transfers": "clerk",
    "GET /api/v1/stock/transfers/{transfer_id}": "clerk",
    "POST /api/v1/stock/transfers/{transfer_id}/receive": "clerk",
    "POST /api/v1/stock/transfers/{transfer_id}/cancel": "clerk",
    "POST /api/v1/stock/transfers/{transfer_id}/write-off": "clerk",
    "GET /api/v1/stock/counts": "clerk",
    "POST /api/v1/stock/counts": "clerk",
    "GET /api/v1/stock/counts/{count_id}": "clerk",
    "GET /api/v1/stock/counts/{count_id}/entries": "clerk",
    "POST /api/v1/stock/counts/{count_id}/entries": "clerk",
    "GET /api/v1/stock/counts/{count_id}/lines": "clerk",
    "POST /api/v1/stock/counts/{count_id}/post": "clerk",
    "POST /api/v1/stock/counts/{count_id}/cancel": "clerk",
    "GET /api/v1/orders": "customer",
    "POST /api/v1/orders": "customer",
    "GET /api/v1/orders/{order_id}": "customer",
    "POST /api/v1/orders/{order_id}/cancel": "customer",
    "POST /api/v1/orders/bulk": "customer",
    "PATCH /api/v1/orders/{order_id}": "customer",
    "POST /api/v1/orders/{order_id}/hold": "clerk",
    "POST /api/v1/orders/{order_id}/resume": "clerk",
    "GET /api/v1/orders/{order_id}/timeline": "customer",
    "GET /api/v1/orders/{order_id}/pick-list": "clerk",
    "GET /api/v1/orders/{order_id}/shipments": "customer",
    "POST /api/v1/orders/{order_id}/shipments": "clerk",
    "GET /api/v1/orders/{order_id}/shipments/{shipment_id}": "customer",
    "PATCH /api/v1/orders/{order_id}/shipments/{shipment_id}": "clerk",
    "POST /api/v1/orders/{order_id}/shipments/{shipment_id}/deliver": "clerk",
    "GET /api/v1/orders/{order_id}/shipments/{shipment_id}/packing-slip": "customer",
    "GET /api/v1/orders/{order_id}/returns": "customer",
    "POST /api/v1/orders/{order_id}/returns": "customer",
    "GET /api/v1/orders/{order_id}/returns/{return_id}": "customer",
    "POST /api/v1/orders/{order_id}/returns/{return_id}/receive": "clerk",
    "POST /api/v1/orders/{order_id}/returns/{return_id}/cancel": "customer",
    "GET /api/v1/orders/{order_id}/payments": "customer",
    "POST /api/v1/orders/{order_id}/payments": "clerk",
    "GET /api/v1/shipments": "clerk",
    "GET /api/v1/returns": "clerk",
    "GET /api/v1/reservations": "customer",
    "POST /api/v1/reservations": "customer",
    "GET /api/v1/reservations/{reservation_id}": "customer",
    "POST /api/v1/reservations/{reservation_id}/extend": "customer",
    "POST /api/v1/reservations/{reservation_id}/release": "customer",
    "GET /api/v1/audit": "admin",
    "GET /api/v1/events": "clerk",
    "GET /api/v1/events/types": "clerk",
    "GET /api/v1/events/{event_id}": "clerk",
    "GET /api/v1/webhook-endpoints": "manager",
    "POST /api/v1/webhook-endpoints": "manager",
    "GET /api/v1/webhook-endpoints/{endpoint_id}": "manager",
    "PATCH /api/v1/webhook-endpoints/{endpoint_id}": "manager",
    "DELETE /api/v1/webhook-endpoints/{endpoint_id}": "manager",
    "GET /api/v1/webhook-endpoints/{endpoint_id}/state": "manager",
    "GET /api/v1/webhook-endpoints/{endpoint_id}/secret": "manager",
    "POST /api/v1/webhook-endpoints/{endpoint_id}/rotate-secret": "manager",
    "POST /api/v1/webhook-endpoints/{endpoint_id}/test": "manager",
    "POST /api/v1/webhook-endpoints/{endpoint_id}/redeliver": "manager",
    "GET /api/v1/webhook-endpoints/{endpoint_id}/deliveries": "manager",
    "GET /api/v1/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}": "manager",
    "POST /api/v1/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}/redeliver": "manager",
    "GET /api/v1/jobs": "customer",
    "GET /api/v1/jobs/{job_id}": "customer",
    "POST /api/v1/jobs/{job_id}/retry": "customer",
    "GET /metrics": "admin",
    "GET /api/v1/notifications": "customer",
    "GET /api/v1/notifications/unread-count": "customer",
    "POST /api/v1/notifications/read": "customer",
    "POST /api/v1/notifications/{notification_id}/read": "customer",
    "POST /api/v1/notifications/{notification_id}/unread": "customer",
    "GET /api/v1/notifications/preferences": "customer",
    "PATCH /api/v1/notifications/preferences": "customer",
}

SEES_OTHERS_FROM = {
    "DELETE /api/v1/auth/sessions/{session_id}": "admin",
    "GET /api/v1/api-keys/{key_id}": "admin",
    "DELETE /api/v1/api-keys/{key_id}": "admin",
    "POST /api/v1/api-keys/{key_id}/rotate": None,
    "GET /api/v1/orders/{order_id}": "clerk",
    "POST /api/v1/orders/{order_id}/cancel": "clerk",
    "PATCH /api/v1/orders/{order_id}": "clerk",
    "GET /api/v1/orders/{order_id}/timeline": "clerk",
    "GET /api/v1/orders/{order_id}/shipments": "clerk",
    "GET /api/v1/orders/{order_id}/shipments/{shipment_id}": "clerk",
    "GET /api/v1/orders/{order_id}/shipments/{shipment_id}/packing-slip": "clerk",
    "GET /api/v1/orders/{order_id}/returns": "clerk",
    "POST /api/v1/orders/{order_id}/returns": "clerk",
    "GET /api/v1/orders/{order_id}/returns/{return_id}": "clerk",
    "POST /api/v1/orders/{order_id}/returns/{return_id}/cancel": "clerk",
    "GET /api/v1/orders/{order_id}/payments": "clerk",
    "GET /api/v1/reservations/{reservation_id}": "clerk",
    "POST /api/v1/reservations/{reservation_id}/extend": "clerk",
    "POST /api/v1/reservations/{reservation_id}/release": "clerk",
    "GET /api/v1/jobs/{job_id}": "admin",
    "POST /api/v1/jobs/{job_id}/retry": "admin",
    "POST /api/v1/notifications/{notification_id}/read": None,
    "POST /api/v1/notifications/{notification_id}/unread": None,
}
"""Operations on one thing that belongs to somebody: the lowest role that may do it to a thing of others."""

LISTS_OF_OTHERS_FROM = {
    "GET /api/v1/auth/sessions": "admin",
    "GET /api/v1/api-keys": "admin",
    "GET /api/v1/orders": "clerk",
    "GET /api/v1/reservations": "clerk",
    "GET /api/v1/jobs": "admin",
    "GET /api/v1/notifications": None,
}
"""Lists of things that belong to somebody: the lowest role that sees those of others in them."""

OWNER = {"/api/v1/orders": "customer_id", "/api/v1/reservations": "customer_id"}
"""The query parameter by which a list is narrowed to one owner, where it is not `user_id`."""

UNFILTERED = {"/api/v1/jobs", "/api/v1/notifications"}
"""Lists that cannot be narrowed to one owner."""

NOBODYS = {
    "GET /api/v1/users/{user_id}",
    "PATCH /api/v1/users/{user_id}",
    "GET /api/v1/items/{item_id}",
    "PATCH /api/v1/items/{item_id}",
    "DELETE /api/v1/items/{item_id}",
    "POST /api/v1/items/{item_id}/archive",
    "POST /api/v1/items/{item_id}/restore",
    "GET /api/v1/items/{item_id}/availability",
    "GET /api/v1/locations/{location_id}",
    "PATCH /api/v1/locations/{location_id}",
    "DELETE /api/v1/locations/{location_id}",
    "POST /api/v1/locations/{location_id}/archive",
    "POST /api/v1/locations/{location_id}/restore",
    "GET /api/v1/stock/transfers/{transfer_id}",
    "POST /api/v1/stock/transfers/{transfer_id}/receive",
    "POST /api/v1/stock/transfers/{transfer_id}/cancel",
    "POST /api/v1/stock/transfers/{transfer_id}/write-off",
    "GET /api/v1/stock/counts/{count_id}",
    "GET /api/v1/stock/counts/{count_id}/entries",
    "POST /api/v1/stock/counts/{count_id}/entries",
    "GET /api/v1/stock/counts/{count_id}/lines",
    "POST /api/v1/stock/counts/{count_id}/post",
    "POST /api/v1/stock/counts/{count_id}/cancel",
    "POST /api/v1/orders/{order_id}/hold",
    "POST /api/v1/orders/{order_id}/resume",
    "GET /api/v1/orders/{order_id}/pick-list",
    "POST /api/v1/orders/{order_id}/shipments",
    "PATCH /api/v1/orders/{order_id}/shipments/{shipment_id}",
    "POST /api/v1/orders/{order_id}/shipments/{shipment_id}/deliver",
    "POST /api/v1/orders/{order_id}/returns/{return_id}/receive",
    "POST /api/v1/orders/{order_id}/payments",
    "GET /api/v1/events/{event_id}",
    "GET /api/v1/webhook-endpoints/{endpoint_id}",
    "PATCH /api/v1/webhook-endpoints/{endpoint_id}",
    "DELETE /api/v1/webhook-endpoints/{endpoint_id}",
    "GET /api/v1/webhook-endpoints/{endpoint_id}/state",
    "GET /api/v1/webhook-endpoints/{endpoint_id}/secret",
    "POST /api/v1/webhook-endpoints/{endpoint_id}/rotate-secret",
    "POST /api/v1/webhook-endpoints/{endpoint_id}/test",
    "POST /api/v1/webhook-endpoints/{endpoint_id}/redeliver",
    "GET /api/v1/webhook-endpoints/{endpoint_id}/deliveries",
    "GET /api/v1/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}",
    "POST /api/v1/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}/redeliver",
}
"""Operations on one thing that belongs to the installation: the role alone decides."""

BODIES: dict[str, dict[str, Any]] = {
    "PATCH /api/v1/orders/{order_id}": {"note": "Ring twice."},
    "POST /api/v1/reservations/{reservation_id}/extend": {"ttl_seconds": 3600},
}
"""The smallest body that does something, where an empty one does not."""


def operations() -> Iterator[str]:
    document = json.loads((PROJECT / "docs" / "openapi.json").read_text("utf-8"))
    for path, members in document["paths"].items():
        for method in members:
            if method != "parameters":
                yield f"{method.upper()} {path}"


OPERATIONS = sorted(operations())


def test_every_operation_has_a_row() -> None:
    assert set(OPERATIONS) == set(LOWEST_ROLE)


def test_every_operation_on_one_thing_says_whose_it_is() -> None:
    assert {operation for operation in OPERATIONS if "{" in operation} == set(SEES_OTHERS_FROM) | NOBODYS


@pytest.mark.parametrize("role", LADDER)
def test_a_role_may_do_what_its_row_says_and_nothing_else(
    client: FlaskClient, make_headers: Callable[[str], dict[str, str]], role: str
) -> None:
    for operation in OPERATIONS:
        answer = send(client, operation, make_headers(role))
        if LOWEST_ROLE[operation] == PUBLIC or rank(role) >= rank(LOWEST_ROLE[operation]):
            assert not is_forbidden(answer), (role, operation, answer.text)
        else:
            assert_problem(answer, 403, "forbidden", None)


def test_a_stranger_may_do_what_is_public_and_nothing_else(client: FlaskClient, make: Factory) -> None:
    make.user()
    for operation in OPERATIONS:
        answer = send(client, operation, {})
        if LOWEST_ROLE[operation] == PUBLIC:
            assert answer.get_json().get("error", {}).get("code") != "authentication_required", operation
        else:
            assert_problem(answer, 401, "authentication_required", None)


@pytest.mark.parametrize("operation", sorted(SEES_OTHERS_FROM))
@pytest.mark.parametrize("role", LADDER)
def test_what_belongs_to_somebody_else_is_not_there(
    client: FlaskClient, things: Things, make_headers: Callable[[str], dict[str, str]], role: str, operation: str
) -> None:
    mine, theirs = make_headers(role), make_headers("customer")

    foreign = send(client, operation, mine, things.of(operation, theirs))
    own = send(client, operation, mine, things.of(operation, mine))

    assert own.status_code < 300, own.text
    if may_touch_others(role, SEES_OTHERS_FROM[operation]):
        assert foreign.status_code < 300, foreign.text
    else:
        assert foreign.status_code == 404, foreign.text
        assert foreign.get_json()["error"]["code"].endswith("_not_found")


@pytest.mark.parametrize("operation", sorted(LISTS_OF_OTHERS_FROM))
@pytest.mark.parametrize("role", LADDER)
def test_what_belongs_to_somebody_else_is_in_no_list(
    client: FlaskClient, things: Things, make_headers: Callable[[str], dict[str, str]], role: str, operation: str
) -> None:
    mine, theirs = make_headers(role), make_headers("customer")
    path = operation.removeprefix("GET ")
    member = next(each for each in SEES_OTHERS_FROM if each.split(" ")[1].startswith(f"{path}/{{"))
    my_thing, their_thing = things.of(member, mine), things.of(member, theirs)
    query = f"?{OWNER.get(path, 'user_id')}={things.owner(theirs)}" if path not in UNFILTERED else ""

    plain = {row["id"] for row in client.get(path, headers=mine).get_json()["data"]}
    filtered = {row["id"] for row in client.get(path + query, headers=mine).get_json()["data"]}

    assert set(my_thing.values()) <= plain
    assert (set(their_thing.values()) <= plain | filtered) == may_touch_others(role, LISTS_OF_OTHERS_FROM[operation])


class Things:
    """Makes things that belong to whoever has the headers, through the interface."""

    def __init__(self, client: FlaskClient, make: Factory) -> None:
        self.client, self.make = client, make

    def of(self, operation: str, headers: dict[str, str]) -> dict[str, str]:
        """Make one of the kind an operation is about, and what it is part of; tells their ids."""
        self.operation, self.found = operation, dict[str, str]()
        for kind in re.findall(r"\{(\w+)_id\}", operation):
            self.found[kind] = getattr(self, f"_{kind}")(headers)
        return self.found

    def owner(self, headers: dict[str, str]) -> str:
        """Tell whose headers these are."""
        return str(self.client.get("/api/v1/users/me", headers=headers).get_json()["id"])

    def _session(self, headers: dict[str, str]) -> str:
        user_id = UUID(self.owner(headers))
        login = auth.open_session(
            self.make.session, user_id, lifetimes=LIFETIMES, vault=Vault("unused"), by=self.make.by
        )
        return str(login.session_id)

    def _key(self, headers: dict[str, str]) -> str:
        body = {"name": "till", "scopes": ["items:read"]}
        answer = self.client.post("/api/v1/api-keys", json=body, headers=headers)
        return str(answer.get_json()["id"])

    def _order(self, headers: dict[str, str]) -> str:
        item = self.make.item(stock=5)
        body = {"lines": [{"item_id": str(item.id), "quantity": 1}]}
        order_id = str(self.client.post("/api/v1/orders", json=body, headers=headers).get_json()["id"])
        if "/returns" in self.operation:
            shipments.ship(self.make.session, UUID(order_id), by=self.make.by)
        return order_id

    def _shipment(self, _: dict[str, str]) -> str:
        return str(shipments.ship(self.make.session, UUID(self.found["order"]), by=self.make.by).id)

    def _return(self, _: dict[str, str]) -> str:
        return str(returns.request(self.make.session, UUID(self.found["order"]), by=self.make.by).id)

    def _job(self, headers: dict[str, str]) -> str:
        by = replace(self.make.by, user_id=UUID(self.owner(headers)))
        job = jobs.start(self.make.session, "redeliver_webhooks", by=by)
        self.make.session.execute(text("UPDATE procrastinate_jobs SET status = 'failed'"))
        return str(job.id)

    def _notification(self, headers: dict[str, str]) -> str:
        return str(self.make.notification(UUID(self.owner(headers))).id)

    def _reservation(self, headers: dict[str, str]) -> str:
        body = {"lines": [{"item_id": str(self.make.item(stock=5).id), "quantity": 1}]}
        return str(self.client.post("/api/v1/reservations", json=body, headers=headers).get_json()["id"])


def send(
    client: FlaskClient, operation: str, headers: dict[str, str], things: dict[str, str] | None = None
) -> TestResponse:
    """Send a request that gets past the door if its sender may, however little sense it makes behind it."""
    method, path = operation.split(" ")
    path = re.sub(r"\{(\w+)_id\}", lambda match: (things or {}).get(match[1], str(uuid4())), path)
    body = BODIES.get(operation, {}) if method in {"POST", "PATCH"} else None
    return client.open(path, method=method, headers=headers | {"If-Match": '"1"'}, json=body)


def is_forbidden(answer: TestResponse) -> bool:
    """Tell whether the sender's role was the reason of a refusal."""
    body: Any = answer.get_json() if answer.is_json and answer.data else {}
    code = body.get("error", {}).get("code")
    return bool((answer.status_code == 401 and code != "credentials_invalid") or code == "forbidden")


def rank(role: str) -> int:
    return LADDER.index(role)


def may_touch_others(role: str, lowest: str | None) -> bool:
    return lowest is not None and rank(role) >= rank(lowest)


@pytest.fixture
def things(client: FlaskClient, make: Factory) -> Things:
    """What belongs to somebody."""
    return Things(client, make)


@pytest.fixture
def make_headers(make: Factory) -> Callable[[str], dict[str, str]]:
    """Log people of a role in: the same person of each role, anew each time, for a request may log out."""
    people: dict[str, Any] = {}

    def log_in(role: str) -> dict[str, str]:
        if role not in people or role == "customer":
            people[role] = make.user(role=role)
        return make.headers(user=people[role])

    return log_in


@pytest.fixture(autouse=True)
def _many_attempts(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no limit come between a request and the question who may send it."""
    settings = app.extensions["stockroom"]
    monkeypatch.setitem(app.extensions, "stockroom", settings.model_copy(update={"login_limit": "10000 per minute"}))
