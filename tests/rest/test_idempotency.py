"""Doing a thing once, however often it is asked for."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select, text

from api.events.models import Event
from api.extensions import db
from api.items.models import Item
from api.orders.models import Order
from api.rest import idempotency
from api.rest.idempotency import idempotency_keys
from api.webhooks import service as webhooks
from tests.live import at_once, committed
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from tests.factories import Factory

    type LogIn = Callable[[str], dict[str, str]]

ITEM = {"sku": "NEW", "name": "New", "unit_price": "1.00"}


def test_a_repetition_gets_the_first_answer_again(client: FlaskClient, session: Session, admin: dict[str, str]) -> None:
    first = client.post("/api/v1/items", json=ITEM, headers=admin | bare("k1"))
    second = client.post("/api/v1/items", json=ITEM, headers=admin | bare("k1"))

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.data == second.data
    for name in ("Location", "ETag", "Content-Type"):
        assert first.headers[name] == second.headers[name]
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert session.scalar(select(func.count(Item.id))) == 1
    assert session.scalar(select(func.count(Event.id)).where(Event.type == "item.created")) == 1


def test_a_repetition_is_answered_as_at_first_although_the_thing_has_changed(
    client: FlaskClient, admin: dict[str, str]
) -> None:
    first = client.post("/api/v1/items", json=ITEM, headers=admin | bare("k1"))
    client.patch(first.headers["Location"], json={"name": "Changed"}, headers=admin | {"If-Match": '"1"'})

    assert client.post("/api/v1/items", json=ITEM, headers=admin | bare("k1")).get_json()["name"] == "New"


def test_without_a_key_every_request_counts(client: FlaskClient, make: Factory, admin: dict[str, str]) -> None:
    body = {"lines": [{"item_id": str(make.item(stock=9).id), "quantity": 1}]}

    numbers = {client.post("/api/v1/orders", json=body, headers=admin).get_json()["number"] for _ in range(2)}

    assert len(numbers) == 2


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"json": ITEM | {"name": "Other"}}, id="another body"),
        pytest.param({"data": b'{"sku": "NEW", "name": "New", "unit_price": "1.00"}'}, id="other spacing"),
        pytest.param({"json": ITEM, "path": "/api/v1/locations"}, id="another address"),
    ],
)
def test_a_key_used_for_another_request_is_refused(
    client: FlaskClient, session: Session, admin: dict[str, str], other: dict[str, Any]
) -> None:
    client.post("/api/v1/items", json=ITEM, headers=admin | bare("k1"))

    defaults = {"path": "/api/v1/items", "method": "POST", "content_type": "application/json"}
    response = client.open(**(defaults | other), headers=admin | bare("k1"))

    assert_problem(response, 422, "idempotency_key_reused", None)
    assert session.scalar(select(func.count(Item.id))) == 1


def test_somebody_elses_key_is_another_key(client: FlaskClient, log_in: LogIn) -> None:
    first = client.post("/api/v1/locations", json={"code": "A", "name": "A"}, headers=log_in("admin") | bare("k1"))
    second = client.post("/api/v1/locations", json={"code": "B", "name": "B"}, headers=log_in("admin") | bare("k1"))

    assert (first.get_json()["code"], second.get_json()["code"]) == ("A", "B")
    assert "Idempotency-Replayed" not in second.headers


def test_a_stranger_gets_no_kept_answer(client: FlaskClient, admin: dict[str, str]) -> None:
    client.post("/api/v1/items", json=ITEM, headers=admin | bare("k1"))

    assert_problem(client.post("/api/v1/items", json=ITEM, headers=bare("k1")), 401, "authentication_required")


def test_who_lost_the_permission_gets_no_kept_answer(
    client: FlaskClient, session: Session, admin: dict[str, str]
) -> None:
    client.post("/api/v1/items", json=ITEM, headers=admin | bare("k1"))
    session.execute(text("UPDATE users SET role = 'customer'"))

    assert_problem(client.post("/api/v1/items", json=ITEM, headers=admin | bare("k1")), 403, "forbidden")


def test_who_lost_some_permissions_gets_no_answer_that_was_given_with_them(
    client: FlaskClient, session: Session, make: Factory
) -> None:
    clerk, order = make.headers(role="clerk"), make.order((make.item(stock=1), 1), note="for her eyes only")
    cancel = f"/api/v1/orders/{order.id}/cancel"
    client.post(cancel, json={}, headers=clerk | bare("k1"))
    session.execute(text("UPDATE users SET role = 'customer'"))

    assert_problem(client.post(cancel, json={}, headers=clerk | bare("k1")), 403, "permission_lost")


def test_a_kept_request_is_not_a_fast_hash_of_what_it_said(
    client: FlaskClient, session: Session, admin: dict[str, str]
) -> None:
    client.post("/api/v1/items", json=ITEM, headers=admin | bare("k1"))

    kept = session.scalar(select(idempotency_keys.c.fingerprint))
    said = client.application.json.dumps(ITEM, separators=(",", ":")).encode()
    assert kept != hashlib.sha256(b"POST /api/v1/items?\n" + said).digest()


def test_a_key_is_the_same_quoted_and_bare(client: FlaskClient, admin: dict[str, str]) -> None:
    client.post("/api/v1/items", json=ITEM, headers=admin | bare("k1"))

    response = client.post("/api/v1/items", json=ITEM, headers=admin | bare('"k1"'))

    assert response.headers["Idempotency-Replayed"] == "true"


def test_keys_that_differ_in_letter_case_are_different_keys(client: FlaskClient, admin: dict[str, str]) -> None:
    client.post("/api/v1/items", json=ITEM, headers=admin | bare("k1"))

    assert_problem(client.post("/api/v1/items", json=ITEM, headers=admin | bare("K1")), 409, "sku_taken", "sku")


@pytest.mark.parametrize(
    "key",
    [
        *["", " ", '""', "a" * 256, '"' + "a" * 256 + '"', "a b", "a\tb", '"a', 'a"b', '"a"b"', '"a\tb"', r'"a\"b"'],
        *["\N{LATIN SMALL LETTER E WITH ACUTE}", "a\x7fb", "a\x01b"],
    ],
)
def test_a_malformed_key_is_refused(client: FlaskClient, session: Session, admin: dict[str, str], key: str) -> None:
    response = client.post("/api/v1/items", json=ITEM, headers=admin | bare(key))

    assert_problem(response, 400, "idempotency_key_malformed", None)
    assert session.scalar(select(func.count(Item.id))) == 0


@pytest.mark.parametrize("key", ["a", "a" * 255, '"a b"', '"' + "a" * 255 + '"', "0198c1f0-3f9e-7c3a"])
def test_a_well_formed_key_is_taken(client: FlaskClient, admin: dict[str, str], key: str) -> None:
    assert client.post("/api/v1/items", json=ITEM, headers=admin | bare(key)).status_code == 201


def test_a_failed_attempt_frees_its_key(client: FlaskClient, make: Factory, admin: dict[str, str]) -> None:
    item = make.item(stock=1)
    body = {"lines": [{"item_id": str(item.id), "quantity": 2}]}
    refused = client.post("/api/v1/orders", json=body, headers=admin | bare("k1"))

    make.receive(item, 5, at=make.location())
    make.receive(item, 5, at=make.location())
    accepted = client.post("/api/v1/orders", json=body, headers=admin | bare("k1"))

    assert_problem(refused, 409, "insufficient_stock")
    assert accepted.status_code == 201
    assert "Idempotency-Replayed" not in accepted.headers


def test_an_invalid_request_leaves_its_key_free(client: FlaskClient, admin: dict[str, str]) -> None:
    invalid = client.post("/api/v1/items", json={}, headers=admin | bare("k1"))
    valid = client.post("/api/v1/items", json=ITEM, headers=admin | bare("k1"))

    assert (invalid.status_code, valid.status_code) == (422, 201)


def test_cancelling_twice_with_one_key_cancels_once(client: FlaskClient, make: Factory, admin: dict[str, str]) -> None:
    path = f"/api/v1/orders/{make.order((make.item(stock=9), 1)).id}/cancel"

    first = client.post(path, json={}, headers=admin | bare("k1"))
    again = client.post(path, json={}, headers=admin | bare("k1"))
    anew = client.post(path, json={}, headers=admin | bare("k2"))

    assert (first.status_code, again.status_code, first.data) == (200, 200, again.data)
    assert_problem(anew, 409, "invalid_transition")


@pytest.mark.parametrize("path", ["/api/v1/items", "/api/v1/orders", "/api/v1/locations", "/api/v1/stock/receipts"])
def test_where_a_key_is_demanded_its_absence_is_refused(
    demanding: FlaskClient, live_headers: dict[str, str], path: str
) -> None:
    assert_problem(demanding.post(path, json={}, headers=live_headers), 400, "idempotency_key_missing", None)


def test_where_a_key_is_demanded_reading_and_logging_out_need_none(
    demanding: FlaskClient, live_headers: dict[str, str]
) -> None:
    assert demanding.get("/api/v1/items", headers=live_headers).status_code == 200
    assert demanding.post("/api/v1/auth/logout", headers=live_headers).status_code == 204


def test_25_requests_at_once_with_one_key_place_one_order(live_app: Flask) -> None:
    with committed(live_app) as make:
        body = {"lines": [{"item_id": str(make.item(stock=100).id), "quantity": 1}]}
        headers = make.headers() | bare("k1")
    request = {"path": "/api/v1/orders", "method": "POST", "json": body, "headers": headers}

    answers = at_once(live_app, *[request] * 25)

    assert Counter(answer.status_code for answer in answers) == {201: 25}
    assert Counter(answer.headers.get("Idempotency-Replayed") for answer in answers) == {None: 1, "true": 24}
    assert len({answer.data for answer in answers}) == 1
    with live_app.app_context():
        assert db.session.scalar(select(func.count(Order.id))) == 1


def test_a_key_that_is_being_worked_on_is_in_progress(start: Callable[..., Flask]) -> None:
    app = start(database_lock_timeout_ms=100)
    with committed(app) as make:
        user = make.user()
        user_id, headers = user.id, make.headers(user=user) | bare("k1")
    with app.app_context(), db.engine.begin() as first:
        first.execute(idempotency_keys.insert(), {"caller_id": user_id, "key": "k1", "fingerprint": b"x", "scopes": []})

        response = app.test_client().post("/api/v1/items", json=ITEM, headers=headers)

    assert_problem(response, 409, "idempotency_in_progress", None)
    assert int(response.headers["Retry-After"]) >= 1


def test_old_keys_are_forgotten_and_young_ones_kept(session: Session, make: Factory) -> None:
    user = make.user()
    for key, age in (("old", "25 hours"), ("young", "23 hours"), ("new", "0 hours")):
        session.execute(
            text(
                "INSERT INTO idempotency_keys (caller_id, key, fingerprint, scopes, created_at) "
                "VALUES (:user, :key, 'x', '{}', now() - CAST(:age AS interval))"
            ),
            {"user": user.id, "key": key, "age": age},
        )

    forgotten = idempotency.purge(session)

    assert forgotten == 1
    assert set(session.scalars(select(idempotency_keys.c.key))) == {"young", "new"}


def bare(key: str) -> dict[str, str]:
    """The header that carries a key as it stands."""
    return {"Idempotency-Key": key}


@pytest.fixture
def demanding(start: Callable[..., Flask]) -> FlaskClient:
    """An installation that demands a key."""
    return start(idempotency_key_required=True).test_client()


@pytest.fixture
def live_headers(live_app: Flask) -> dict[str, str]:
    """Headers of an administrator who exists for every connection."""
    with committed(live_app) as make:
        return make.headers()


def test_what_a_view_refuses_without_asking_the_database_is_up_to_the_key_first(
    client: FlaskClient, admin: dict[str, str]
) -> None:
    client.post("/api/v1/items", json=ITEM, headers=admin | bare("k1"))

    malformed = client.post("/api/v1/items", json={"sku": 7}, headers=admin | bare("k1"))
    unused = client.post("/api/v1/items", json={"sku": 7}, headers=admin | bare("k2"))
    mended = client.post("/api/v1/items", json=ITEM | {"sku": "OTHER"}, headers=admin | bare("k2"))

    assert_problem(malformed, 422, "idempotency_key_reused", None)
    assert (unused.status_code, unused.get_json()["error"]["code"]) == (422, "invalid_type")
    assert mended.status_code == 201


def test_changes_of_one_thing_with_keys_of_their_own_are_made_or_refused(
    live_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "_check_url", lambda *_: None)
    with committed(live_app) as make:
        headers = make.headers()
    endpoint = {"url": "https://example.com/hook", "types": []}
    made = live_app.test_client().post("/api/v1/webhook-endpoints", json=endpoint, headers=headers).get_json()
    rotate = {
        "path": f"/api/v1/webhook-endpoints/{made['id']}/rotate-secret",
        "method": "POST",
        "json": {"keep_previous": False},
    }

    answers = [
        answer.status_code
        for turn in range(4)
        for answer in at_once(live_app, *(rotate | {"headers": headers | bare(f"{turn}-{one}")} for one in range(4)))
    ]

    assert set(answers) <= {200, 412}
    assert 200 in answers
