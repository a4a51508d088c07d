"""Items over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy import select, text

from api.events.models import Event
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from tests.factories import Factory

ITEMS = "/api/v1/items"
CAKESTAND = {"sku": "22423", "name": "Regency cakestand 3 tier", "unit_price": "12.75"}
MATCH = {"If-Match": '"1"'}


def test_an_item_is_created_with_the_smallest_body_and_read_back(client: FlaskClient, make: Factory) -> None:
    headers = make.headers()
    make.item()

    created = client.post(ITEMS, json=CAKESTAND, headers=headers)
    read = client.get(created.headers["Location"], headers=headers)

    assert created.status_code == 201
    assert created.get_json() == read.get_json()
    expected = {"description": None, "unit": "each", "is_stocked": True, "archived_at": None, "version": 1}
    assert (CAKESTAND | expected).items() <= read.get_json().items()
    assert read.get_json()["created_at"].endswith("Z")
    assert created.headers["Location"] == f"{ITEMS}/{created.get_json()['id']}"


def test_every_field_of_a_new_item_is_kept(client: FlaskClient, make: Factory) -> None:
    full = CAKESTAND | {"description": "Three tiers.", "unit": "g", "is_stocked": False}

    created = client.post(ITEMS, json=full, headers=make.headers())

    assert full.items() <= created.get_json().items()


@pytest.mark.parametrize("sku", ["ABC-1", "abc-1", "aBc-1", " ABC-1 "])
def test_a_sku_is_taken_whatever_its_letter_case(client: FlaskClient, make: Factory, sku: str) -> None:
    headers = make.headers()
    make.item(sku="Abc-1")
    other = make.item()

    created = client.post(ITEMS, json=CAKESTAND | {"sku": sku}, headers=headers)
    changed = client.patch(f"{ITEMS}/{other.id}", json={"sku": sku}, headers=headers | MATCH)

    assert_problem(created, 409, "sku_taken", "sku")
    assert_problem(changed, 409, "sku_taken", "sku")


def test_an_item_may_change_the_letter_case_of_its_own_sku(client: FlaskClient, make: Factory) -> None:
    item = make.item(sku="abc")

    response = client.patch(f"{ITEMS}/{item.id}", json={"sku": "ABC"}, headers=make.headers() | MATCH)

    assert (response.status_code, response.get_json()["sku"]) == (200, "ABC")


def test_a_change_changes_what_it_names_and_nothing_else(client: FlaskClient, make: Factory, session: Session) -> None:
    item, noise = make.item(description="Kept"), make.item()
    before = client.get(f"{ITEMS}/{item.id}", headers=make.headers()).get_json()
    untouched = client.get(f"{ITEMS}/{noise.id}", headers=make.headers()).get_json()

    after = client.patch(f"{ITEMS}/{item.id}", json={"name": "New"}, headers=make.headers() | MATCH).get_json()

    assert {name for name in after if after[name] != before[name]} <= {"name", "version", "updated_at"}
    assert (after["name"], after["version"]) == ("New", 2)
    assert client.get(f"{ITEMS}/{noise.id}", headers=make.headers()).get_json() == untouched
    event = session.scalars(select(Event).where(Event.type == "item.updated")).one()
    assert (event.subject_id, event.data["name"]) == (item.id, "New")


def test_a_description_can_be_taken_away(client: FlaskClient, make: Factory) -> None:
    item = make.item(description="Old")

    response = client.patch(f"{ITEMS}/{item.id}", json={"description": None}, headers=make.headers() | MATCH)

    assert response.get_json()["description"] is None


def test_a_change_of_nothing_is_refused(client: FlaskClient, make: Factory) -> None:
    item = make.item()

    response = client.patch(f"{ITEMS}/{item.id}", json={}, headers=make.headers() | MATCH)

    assert_problem(response, 422, "required", None)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"q": "CAKE"}, ["A-cake", "B"]),
        ({"q": "a-"}, ["A-cake"]),
        ({"q": "cake", "sku": "b"}, ["B"]),
        ({"sku": "b"}, ["B"]),
        ({"sku": "B1"}, []),
        ({"q": "nothing like it"}, []),
        ({}, ["A-cake", "B", "C"]),
    ],
)
def test_items_are_found_by_text_and_by_sku(
    client: FlaskClient, make: Factory, query: dict[str, str], expected: list[str]
) -> None:
    make.item(sku="C", name="Teapot")
    make.item(sku="B", name="Chocolate cake")
    make.item(sku="A-cake", name="Fork")

    rows = client.get(ITEMS, query_string=query, headers=make.headers()).get_json()["data"]

    assert [row["sku"] for row in rows] == expected


def test_an_archived_item_is_shown_and_not_listed(client: FlaskClient, make: Factory, session: Session) -> None:
    kept, gone = make.item(), make.item()
    session.execute(text("UPDATE items SET archived_at = now() WHERE id = :id"), {"id": gone.id})

    rows = client.get(ITEMS, headers=make.headers()).get_json()["data"]

    assert [row["id"] for row in rows] == [str(kept.id)]
    assert client.get(f"{ITEMS}/{gone.id}", headers=make.headers()).get_json()["archived_at"] is not None


def test_an_item_nobody_made_is_not_found(client: FlaskClient, make: Factory) -> None:
    make.item()

    assert_problem(client.get(f"{ITEMS}/{uuid4()}", headers=make.headers()), 404, "item_not_found", None)


@pytest.mark.parametrize(
    ("role", "may_write"), [("customer", False), ("clerk", False), ("manager", True), ("admin", True)]
)
def test_everybody_reads_items_and_managers_write_them(
    client: FlaskClient, make: Factory, role: str, *, may_write: bool
) -> None:
    item, headers = make.item(), make.headers(role=role)

    read = [client.get(path, headers=headers).status_code for path in (ITEMS, f"{ITEMS}/{item.id}")]
    written = [
        client.post(ITEMS, json=CAKESTAND, headers=headers),
        client.patch(f"{ITEMS}/{item.id}", json={"name": "New"}, headers=headers | MATCH),
    ]

    assert read == [200, 200]
    if may_write:
        assert [response.status_code for response in written] == [201, 200]
    else:
        for response in written:
            assert_problem(response, 403, "forbidden", None)


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", ""), ("GET", "/x"), ("PATCH", "/x")])
def test_strangers_are_told_nothing_about_items(client: FlaskClient, make: Factory, method: str, path: str) -> None:
    path = path.replace("x", str(make.item().id))

    assert_problem(client.open(ITEMS + path, method=method, json={}), 401, "authentication_required", None)


def test_a_change_that_changes_nothing_is_no_news(client: FlaskClient, session: Session, make: Factory) -> None:
    item = make.item()
    headers = make.headers()
    told = session.scalar(text("SELECT count(*) FROM events"))

    answer = client.patch(f"/api/v1/items/{item.id}", json={"name": item.name}, headers=headers | {"If-Match": '"1"'})

    assert (answer.status_code, answer.headers["ETag"]) == (200, '"1"')
    assert session.scalar(text("SELECT count(*) FROM events")) == told
