"""Rows that are sent again: each counts once, whatever call it comes in."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select, text

from api.extensions import db
from api.items.models import Item
from tests.live import at_once, committed

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

BULK = "/api/v1/items/bulk"
ROW = {"sku": "A", "name": "A", "unit_price": "1.00", "idempotency_key": "k1"}


def send(client: FlaskClient, headers: dict[str, str], *rows: dict[str, Any], **body: Any) -> list[dict[str, Any]]:
    answer = client.post(BULK, json={"items": rows} | body, headers=headers)
    assert answer.status_code == 200, answer.text
    outcomes: list[dict[str, Any]] = answer.get_json()["outcomes"]
    return outcomes


def codes(outcome: dict[str, Any]) -> list[tuple[str, str]]:
    return [(problem["code"], problem["field"]) for problem in outcome["problems"]]


def test_a_row_that_is_sent_again_gets_its_first_outcome_and_does_nothing(
    client: FlaskClient, admin: dict[str, str], session: Session
) -> None:
    (first,) = send(client, admin, ROW)
    other = {"sku": "B", "name": "B", "unit_price": "1.00"}
    client.patch(f"/api/v1/items/{first['id']}", json={"name": "Changed"}, headers=admin | {"If-Match": '"1"'})

    fresh, again = send(client, admin, other, dict(reversed(ROW.items())))

    assert again == first | {"line": 1, "replayed": True}
    assert (fresh["outcome"], fresh["replayed"]) == ("created", False)
    assert session.scalars(select(Item.name).order_by(Item.sku)).all() == ["Changed", "B"]


def test_a_key_that_comes_with_another_row_is_refused(client: FlaskClient, admin: dict[str, str]) -> None:
    send(client, admin, ROW)

    (refused,) = send(client, admin, ROW | {"name": "Other"})

    assert (refused["outcome"], codes(refused)) == ("refused", [("idempotency_key_reused", "idempotency_key")])


def test_a_key_that_comes_twice_in_one_call_counts_once(
    client: FlaskClient, admin: dict[str, str], session: Session
) -> None:
    first, again, other = send(client, admin, ROW, ROW, ROW | {"sku": "B"})

    assert first["outcome"] == "created"
    assert again == first | {"line": 1, "replayed": True}
    assert codes(other) == [("idempotency_key_reused", "idempotency_key")]
    assert session.scalar(select(func.count(Item.id))) == 1


def test_a_row_that_was_refused_frees_its_key(client: FlaskClient, admin: dict[str, str], session: Session) -> None:
    bad = {"sku": "A", "idempotency_key": "k1"}
    refused = send(client, admin, bad, bad)

    (created,) = send(client, admin, ROW)

    assert [(one["outcome"], one["replayed"]) for one in refused] == [("refused", False)] * 2
    assert created["outcome"] == "created"
    assert session.scalar(text("SELECT count(*) FROM idempotency_keys")) == 1


def test_a_row_that_changed_nothing_keeps_its_key(client: FlaskClient, admin: dict[str, str]) -> None:
    send(client, admin, ROW | {"idempotency_key": "k0"})
    (unchanged,) = send(client, admin, ROW)

    (again,) = send(client, admin, ROW)

    assert (unchanged["outcome"], again["outcome"], again["replayed"]) == ("unchanged", "unchanged", True)


def test_keys_of_rows_and_of_requests_are_not_mistaken_for_each_other(
    client: FlaskClient, admin: dict[str, str]
) -> None:
    body, keyed = {"items": [ROW]}, admin | {"Idempotency-Key": "k1"}

    first, again = (client.post(BULK, json=body, headers=keyed) for _ in range(2))

    assert first.get_json()["outcomes"][0]["outcome"] == "created"
    assert (again.data, again.headers["Idempotency-Replayed"]) == (first.data, "true")


def test_keys_are_the_callers_own(client: FlaskClient, log_in: Callable[[str], dict[str, str]]) -> None:
    send(client, log_in("manager"), ROW)

    (outcome,) = send(client, log_in("manager"), ROW)

    assert (outcome["outcome"], outcome["replayed"]) == ("unchanged", False)


def test_a_dry_run_knows_which_rows_were_applied_and_uses_no_key(
    client: FlaskClient, admin: dict[str, str], session: Session
) -> None:
    (tried,) = send(client, admin, ROW, dry_run=True)
    (first,) = send(client, admin, ROW)
    again, reused, fresh = send(
        client,
        admin,
        ROW,
        {"sku": "A", "idempotency_key": "k1"},
        ROW | {"sku": "B", "idempotency_key": "k2"},
        dry_run=True,
    )

    assert (tried["outcome"], tried["replayed"]) == ("created", False)
    assert again == first | {"replayed": True}
    assert codes(reused) == [("idempotency_key_reused", "idempotency_key")]
    assert fresh["outcome"] == "created"
    assert session.scalar(text("SELECT count(*) FROM idempotency_keys")) == 1


def test_an_outcome_is_not_repeated_to_who_has_lost_a_permission(
    client: FlaskClient, admin: dict[str, str], session: Session
) -> None:
    send(client, admin, ROW)
    session.execute(text("UPDATE idempotency_keys SET scopes = array_append(scopes, 'more:than-that')"))

    (refused,) = send(client, admin, ROW)

    assert codes(refused) == [("permission_lost", "idempotency_key")]


def test_a_call_that_fails_keeps_no_key(client: FlaskClient, admin: dict[str, str], session: Session) -> None:
    session.execute(text("ALTER TABLE events ADD CONSTRAINT never CHECK (type <> 'item.created') NOT VALID"))

    answer = client.post(BULK, json={"items": [ROW]}, headers=admin)

    assert answer.status_code == 409
    assert session.scalar(text("SELECT count(*) FROM idempotency_keys")) == 0


@pytest.mark.parametrize("calls", [6])
def test_a_row_that_is_sent_many_times_at_once_counts_once(live_app: Flask, calls: int) -> None:
    with committed(live_app) as make:
        headers = make.headers()
    rows = [ROW | {"sku": f"S{n}", "name": f"N{n}", "idempotency_key": f"k{n}"} for n in range(20)]
    requests = [
        {"path": BULK, "method": "POST", "headers": headers, "json": {"items": rows[:: 1 if n % 2 else -1]}}
        for n in range(calls)
    ]

    answers = at_once(live_app, *requests)

    assert [answer.status_code for answer in answers] == [200] * calls
    outcomes = [outcome for answer in answers for outcome in answer.get_json()["outcomes"]]
    assert Counter((one["outcome"], one["replayed"]) for one in outcomes) == {
        ("created", False): 20,
        ("created", True): 20 * (calls - 1),
    }
    assert len({one["id"] for one in outcomes}) == 20
    with live_app.app_context():
        assert db.session.scalar(select(func.count(Item.id))) == 20
