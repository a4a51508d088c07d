"""Locations over HTTP."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from api.events.models import Event
from tests.live import at_once, committed
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from tests.factories import Factory

LOCATIONS = "/api/v1/locations"
MAIN = {"code": "MAIN", "name": "Main warehouse"}
MATCH = {"If-Match": '"1"'}


def test_a_location_is_created_with_the_smallest_body_and_read_back(client: FlaskClient, make: Factory) -> None:
    headers = make.headers()
    make.location()

    created = client.post(LOCATIONS, json=MAIN, headers=headers)
    read = client.get(created.headers["Location"], headers=headers)

    assert created.status_code == 201
    assert created.get_json() == read.get_json()
    assert (MAIN | {"priority": 100, "version": 1}).items() <= read.get_json().items()


def test_a_change_changes_what_it_names_and_nothing_else(client: FlaskClient, make: Factory, session: Session) -> None:
    location, noise = make.location(priority=5), make.location(priority=5)

    after = client.patch(f"{LOCATIONS}/{location.id}", json={"priority": 0}, headers=make.headers() | MATCH).get_json()

    session.expire_all()
    assert (after["priority"], after["version"], after["name"]) == (0, 2, location.name)
    assert (noise.priority, noise.version) == (5, 1)
    event = session.scalars(select(Event).where(Event.type == "location.updated")).one()
    assert (event.subject_id, event.data["priority"]) == (location.id, 0)


@pytest.mark.parametrize("code", ["main", "MAIN", "Main"])
def test_a_code_is_taken_whatever_its_letter_case(client: FlaskClient, make: Factory, code: str) -> None:
    make.location(code="Main")
    other = make.location()

    created = client.post(LOCATIONS, json=MAIN | {"code": code}, headers=make.headers())
    changed = client.patch(f"{LOCATIONS}/{other.id}", json={"code": code}, headers=make.headers() | MATCH)

    assert_problem(created, 409, "location_code_taken", "code")
    assert_problem(changed, 409, "location_code_taken", "code")


def test_of_many_locations_of_one_code_at_once_one_is_made(live_app: Flask) -> None:
    with committed(live_app) as make:
        headers = make.headers()
    request: dict[str, Any] = {"path": LOCATIONS, "method": "POST", "headers": headers}

    answers = at_once(
        live_app, *(request | {"json": MAIN | {"code": code}} for code in ("race", "RACE", "Race", "rAce"))
    )

    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 3}
    for answer in answers:
        if answer.status_code == 409:
            assert_problem(answer, 409, "location_code_taken", "code")
            assert answer.get_json()["error"]["message"].endswith(".")


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("", "wrong_length"),
        ("a" * 41, "wrong_length"),
        ("a b", "invalid_format"),
        ("-a", "invalid_format"),
        (1, "invalid_type"),
    ],
)
def test_a_code_of_another_form_is_refused(client: FlaskClient, make: Factory, code: object, problem: str) -> None:
    assert_problem(client.post(LOCATIONS, json=MAIN | {"code": code}, headers=make.headers()), 422, problem, "code")


def test_locations_are_listed_by_code(client: FlaskClient, make: Factory) -> None:
    for code in ("C", "A", "B"):
        make.location(code=code)

    rows = client.get(LOCATIONS, headers=make.headers()).get_json()["data"]

    assert [row["code"] for row in rows] == ["A", "B", "C"]


def test_a_location_nobody_made_is_not_found(client: FlaskClient, make: Factory) -> None:
    make.location()

    assert_problem(client.get(f"{LOCATIONS}/{uuid4()}", headers=make.headers()), 404, "location_not_found", None)


@pytest.mark.parametrize(
    ("role", "reads", "writes"),
    [("customer", 403, 403), ("clerk", 200, 403), ("manager", 200, 201), ("admin", 200, 201)],
)
def test_staff_read_locations_and_managers_write_them(
    client: FlaskClient, make: Factory, role: str, reads: int, writes: int
) -> None:
    headers = make.headers(role=role)

    assert client.get(LOCATIONS, headers=headers).status_code == reads
    assert client.post(LOCATIONS, json=MAIN, headers=headers).status_code == writes


def test_a_place_that_an_order_waits_at_stays(make: Factory, client: FlaskClient) -> None:
    place = make.location()
    make.order((make.item(backorders="allow"), 2), location_id=place.id)
    url, headers = f"/api/v1/locations/{place.id}", make.headers()

    answer = client.delete(url, headers=headers | {"If-Match": '"1"'})

    assert_problem(answer, 409, "location_in_use", None)
