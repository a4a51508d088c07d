"""Changing what has not been changed since it was read."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from api.extensions import db
from api.items.models import Item
from tests.live import at_once, committed
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient

    from tests.factories import Factory

    type Members = dict[str, tuple[str, dict[str, Any]]]

KINDS = ["item", "location"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_without_if_match_is_refused(
    client: FlaskClient, admin: dict[str, str], member: Members, kind: str
) -> None:
    path, change = member[kind]

    assert_problem(client.patch(path, json=change, headers=admin), 428, "precondition_required", None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("tag", "status", "code"),
    [
        ("*", 428, "precondition_required"),
        (" * ", 428, "precondition_required"),
        ("", 428, "precondition_required"),
        ('"2"', 412, "precondition_failed"),
        ('"0"', 412, "precondition_failed"),
        ('"01"', 412, "precondition_failed"),
        ('""', 412, "precondition_failed"),
        ('W/"1"', 412, "precondition_failed"),
        ('"2", "3", W/"1"', 412, "precondition_failed"),
        ("1", 400, "if_match_malformed"),
        ("'1'", 400, "if_match_malformed"),
        ('"1', 400, "if_match_malformed"),
        ('w/"1"', 400, "if_match_malformed"),
        ('"1" "2"', 400, "if_match_malformed"),
        ('"1",', 400, "if_match_malformed"),
        ('*, "1"', 400, "if_match_malformed"),
        ('"1"; "2"', 400, "if_match_malformed"),
        ('"' * 10_001, 400, "if_match_malformed"),
    ],
)
def test_a_change_with_any_but_the_present_tag_is_refused(  # a table test takes its columns
    client: FlaskClient, admin: dict[str, str], member: Members, kind: str, tag: str, status: int, code: str
) -> None:
    path, change = member[kind]

    response = client.patch(path, json=change, headers=admin | {"If-Match": tag})

    assert_problem(response, status, code, None)
    assert client.get(path, headers=admin).headers["ETag"] == '"1"'


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tag", ['"1"', ' "1" ', '"7", "1"', '"7" , W/"2","1"'])
def test_a_change_with_the_present_tag_among_others_is_made(
    client: FlaskClient, admin: dict[str, str], member: Members, kind: str, tag: str
) -> None:
    path, change = member[kind]

    response = client.patch(path, json=change, headers=admin | {"If-Match": tag})

    assert response.status_code == 200
    assert response.headers["ETag"] == '"2"'
    assert response.get_json()["version"] == 2
    assert change.items() <= client.get(path, headers=admin).get_json().items()


def test_an_edit_of_a_stale_copy_is_refused(client: FlaskClient, admin: dict[str, str], member: Members) -> None:
    path, _ = member["item"]
    tag = {"If-Match": client.get(path, headers=admin).headers["ETag"]}

    first = client.patch(path, json={"name": "First"}, headers=admin | tag)
    second = client.patch(path, json={"name": "Second"}, headers=admin | tag)

    assert first.status_code == 200
    assert_problem(second, 412, "precondition_failed")
    assert client.get(path, headers=admin).get_json()["name"] == "First"


def test_what_is_created_carries_the_tag_it_can_be_changed_with(client: FlaskClient, admin: dict[str, str]) -> None:
    body = {"sku": "NEW", "name": "New", "unit_price": "1"}
    created = client.post("/api/v1/items", json=body, headers=admin)

    tag = {"If-Match": created.headers["ETag"]}
    changed = client.patch(created.headers["Location"], json={"name": "Newer"}, headers=admin | tag)

    assert created.headers["ETag"] == '"1"'
    assert changed.status_code == 200


def test_a_stranger_is_not_told_that_a_tag_is_missing(client: FlaskClient, member: Members) -> None:
    path, change = member["item"]

    assert_problem(client.patch(path, json=change), 401, "authentication_required")


def test_a_change_of_what_is_not_there_is_not_found(client: FlaskClient, admin: dict[str, str]) -> None:
    path = "/api/v1/items/0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45"

    response = client.patch(path, json={"name": "New"}, headers=admin | {"If-Match": '"1"'})

    assert_problem(response, 404, "item_not_found", None)


@pytest.mark.parametrize("kind", [*KINDS, "order", "me"])
@pytest.mark.parametrize("tag", ['"1"', 'W/"1"', "*", '"7", "1"'])
def test_a_copy_that_is_current_is_not_sent_again(
    client: FlaskClient, admin: dict[str, str], member: Members, kind: str, tag: str
) -> None:
    path, _ = member[kind]

    response = client.get(path, headers=admin | {"If-None-Match": tag})

    assert response.status_code == 304
    assert response.data == b""
    assert response.headers["ETag"] == '"1"'


@pytest.mark.parametrize("kind", [*KINDS, "order", "me"])
@pytest.mark.parametrize("tag", ['"2"', '""', "1", "nonsense", '"' * 10_001])
def test_a_copy_that_is_not_current_is_sent_again(
    client: FlaskClient, admin: dict[str, str], member: Members, kind: str, tag: str
) -> None:
    path, _ = member[kind]

    response = client.get(path, headers=admin | {"If-None-Match": tag})

    assert response.status_code == 200
    assert response.headers["ETag"] == '"1"'
    assert response.get_json()["version"] == 1


def test_only_headers_are_asked_for_and_only_headers_come(
    client: FlaskClient, admin: dict[str, str], member: Members
) -> None:
    path, _ = member["item"]

    response = client.head(path, headers=admin)

    assert (response.status_code, response.data, response.headers["ETag"]) == (200, b"", '"1"')


def test_of_many_racing_changes_exactly_one_is_made(live_app: Flask) -> None:
    with committed(live_app) as make:
        path, headers = f"/api/v1/items/{make.item().id}", make.headers() | {"If-Match": '"1"'}
    racers = [
        {"path": path, "method": "PATCH", "json": {"name": f"Racer {number}"}, "headers": headers}
        for number in range(8)
    ]

    answers = at_once(live_app, *racers)

    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 7}
    winner = next(answer.get_json() for answer in answers if answer.status_code == 200)
    with live_app.app_context():
        item = db.session.scalars(select(Item)).one()
        assert (item.name, item.version) == (winner["name"], 2)


@pytest.fixture
def member(make: Factory, admin: dict[str, str]) -> Members:  # noqa: ARG001  # "me" is the admin
    """One of each kind of thing, at version 1, and a change it could undergo."""
    noise = make.item(stock=9)
    make.location()
    return {
        "item": (f"/api/v1/items/{make.item().id}", {"name": "New name"}),
        "location": (f"/api/v1/locations/{make.location().id}", {"name": "New name"}),
        "order": (f"/api/v1/orders/{make.order((noise, 1)).id}", {}),
        "me": ("/api/v1/users/me", {}),
    }
