"""Stock counts over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from api.locations import service as locations
from tests.rest.envelope import assert_problem
from tests.statements import counted
from tests.stock.reading import Level, level, many_items

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from api.items.models import Item
    from api.locations.models import Location
    from tests.factories import Factory

COUNTS = "/api/v1/stock/counts"


def test_a_count_goes_from_opening_to_posting(
    make: Factory, client: FlaskClient, session: Session, place: Location, item: Item
) -> None:
    clerk = make.user(role="clerk")
    headers = make.headers(user=clerk)

    opened = client.post(
        COUNTS, json={"location_id": str(place.id), "reference": "ST-1", "note": "Ground floor"}, headers=headers
    )
    url = f"{COUNTS}/{opened.get_json()['id']}"
    entered = client.post(f"{url}/entries", json={"lines": [{"sku": item.sku, "quantity": 9}]}, headers=headers)
    found = client.get(f"{url}/lines", headers=headers)
    posted = client.post(f"{url}/post", json={}, headers=headers)

    assert [opened.status_code, entered.status_code, found.status_code, posted.status_code] == [201, 201, 200, 200]
    assert opened.headers["Location"].endswith(url)
    assert opened.headers["ETag"] == '"1"'
    assert opened.get_json() | {"id": "", "created_at": "", "updated_at": ""} == {
        "id": "",
        "location_id": str(place.id),
        "location_code": place.code,
        "status": "open",
        "reference": "ST-1",
        "note": "Ground floor",
        "created_by": str(clerk.id),
        "closed_by": None,
        "closed_at": None,
        "created_at": "",
        "updated_at": "",
        "items_counted": 0,
        "items_differing": 0,
        "items_moved": 0,
        "version": 1,
    }
    (entry,) = entered.get_json()["data"]
    assert entry | {"id": "", "counted_at": ""} == {
        "id": "",
        "item_id": str(item.id),
        "sku": item.sku,
        "quantity": 9,
        "on_hand": 10,
        "counted_by": str(clerk.id),
        "counted_at": "",
        "is_replaced": False,
    }
    assert found.get_json()["data"] == [
        {
            "item_id": str(item.id),
            "sku": item.sku,
            "name": item.name,
            "counted": 9,
            "expected": 10,
            "difference": -1,
            "on_hand": 10,
            "moved_between_entries": False,
            "entries": 1,
            "counted_by": str(clerk.id),
            "counted_at": entry["counted_at"],
        }
    ]
    body = posted.get_json()
    assert (body["status"], body["closed_by"], body["items_differing"]) == ("posted", str(clerk.id), 1)
    assert posted.headers["ETag"] == f'"{body["version"]}"' == '"3"'
    assert client.get(url, headers=headers).get_json() == body
    assert level(session, item, place) == Level(9, 0)


def test_the_tag_of_a_count_tells_of_every_entry(
    make: Factory, client: FlaskClient, place: Location, item: Item
) -> None:
    url, headers = f"{COUNTS}/{make.count(place).id}", make.headers()
    tag = client.get(url, headers=headers).headers["ETag"]
    assert client.get(url, headers=headers | {"If-None-Match": tag}).status_code == 304

    client.post(f"{url}/entries", json={"lines": [{"sku": item.sku, "quantity": 9}]}, headers=headers)

    assert client.get(url, headers=headers | {"If-None-Match": tag}).get_json()["items_counted"] == 1


def test_what_is_missing_and_promised_is_named(
    make: Factory, client: FlaskClient, session: Session, place: Location, item: Item
) -> None:
    make.order((item, 10), location_id=place.id)
    url, headers = f"{COUNTS}/{make.count(place).id}", make.headers()
    client.post(f"{url}/entries", json={"lines": [{"sku": item.sku, "quantity": 9}]}, headers=headers)

    (problem,) = assert_problem(client.post(f"{url}/post", json={}, headers=headers), 409, "insufficient_stock", None)

    assert (problem["item_id"], problem["requested"], problem["available"]) == (str(item.id), 1, 0)
    assert problem["message"].startswith(f"{item.sku}: ")
    assert level(session, item, place) == Level(10, 10)


def test_a_second_count_of_a_location_is_refused_and_the_open_one_named(
    make: Factory, client: FlaskClient, place: Location
) -> None:
    count = make.count(place)

    response = client.post(COUNTS, json={"location_id": str(place.id)}, headers=make.headers())

    (problem,) = assert_problem(response, 409, "count_open", "location_id")
    assert problem["count_id"] == str(count.id)


def test_the_road_is_not_counted(make: Factory, client: FlaskClient, session: Session) -> None:
    body = {"location_id": str(locations.transit(session))}

    assert_problem(client.post(COUNTS, json=body, headers=make.headers()), 422, "location_reserved", "location_id")


def test_a_count_that_is_over_takes_no_more(make: Factory, client: FlaskClient, place: Location, item: Item) -> None:
    url, headers = f"{COUNTS}/{make.count(place).id}", make.headers()
    lines = {"lines": [{"sku": item.sku, "quantity": 9}]}

    cancelled = client.post(f"{url}/cancel", json={}, headers=headers)

    assert (cancelled.get_json()["status"], cancelled.headers["ETag"]) == ("cancelled", '"2"')
    for verb, body in (("entries", lines), ("post", {}), ("cancel", {})):
        assert_problem(client.post(f"{url}/{verb}", json=body, headers=headers), 409, "invalid_transition", None)


def test_a_count_that_is_not_there_is_not_found(make: Factory, client: FlaskClient, item: Item) -> None:
    url, headers = f"{COUNTS}/{uuid4()}", make.headers()

    for path in ("", "/lines", "/lines?uncounted=true", "/entries"):
        assert_problem(client.get(f"{url}{path}", headers=headers), 404, "count_not_found", None)
    for verb, body in (("entries", {"lines": [{"sku": item.sku, "quantity": 9}]}), ("post", {}), ("cancel", {})):
        assert_problem(client.post(f"{url}/{verb}", json=body, headers=headers), 404, "count_not_found", None)


@pytest.mark.parametrize(
    ("line", "code", "field"),
    [
        pytest.param({"quantity": -1}, "out_of_range", "lines.0.quantity", id="less than nothing"),
        pytest.param({"quantity": 2**31}, "out_of_range", "lines.0.quantity", id="more than can lie anywhere"),
        pytest.param({"quantity": 1.5}, "invalid_type", "lines.0.quantity", id="half a unit"),
        pytest.param({}, "required", "lines.0.quantity", id="nothing said"),
        pytest.param({"quantity": 1, "recount": 1}, "invalid_type", "lines.0.recount", id="not a boolean"),
    ],
)
def test_an_entry_that_makes_no_sense_is_refused(  # a table of three columns
    make: Factory,
    client: FlaskClient,
    place: Location,
    item: Item,
    *,
    line: dict[str, Any],
    code: str,
    field: str,
) -> None:
    url = f"{COUNTS}/{make.count(place).id}/entries"

    response = client.post(url, json={"lines": [{"item_id": str(item.id), **line}]}, headers=make.headers())

    assert_problem(response, 422, code, field)


def test_lines_are_those_that_differ_or_those_nobody_counted_but_not_both(
    make: Factory, client: FlaskClient, place: Location, item: Item
) -> None:
    forgotten = make.item(stock=3, at=place)
    url, headers = f"{COUNTS}/{make.count(place).id}", make.headers()
    client.post(f"{url}/entries", json={"lines": [{"sku": item.sku, "quantity": 10}]}, headers=headers)

    differing = client.get(f"{url}/lines?differing=true", headers=headers).get_json()["data"]
    (uncounted,) = client.get(f"{url}/lines?uncounted=true&count=true", headers=headers).get_json()["data"]
    both = client.get(f"{url}/lines?uncounted=true&differing=true", headers=headers)

    assert differing == []
    assert (uncounted["item_id"], uncounted["counted"], uncounted["on_hand"]) == (str(forgotten.id), None, 3)
    assert_problem(both, 422, "invalid_value", "uncounted")


def test_counts_are_listed_newest_first_and_filtered(make: Factory, client: FlaskClient, place: Location) -> None:
    headers = make.headers(role="clerk")
    first, other = make.count(place), make.count(make.location())
    client.post(f"{COUNTS}/{first.id}/cancel", json={}, headers=headers)
    second = make.count(place)

    def listed(**query: object) -> list[str]:
        return [row["id"] for row in client.get(COUNTS, query_string=query, headers=headers).get_json()["data"]]

    assert listed() == [str(second.id), str(other.id), str(first.id)]
    assert listed(location_id=place.id) == [str(second.id), str(first.id)]
    assert listed(status="open", location_id=place.id) == [str(second.id)]


@pytest.mark.parametrize("path", ["lines", "lines?differing=true", "lines?uncounted=true", "entries"])
def test_lists_of_a_count_take_as_many_statements_however_long(
    make: Factory, client: FlaskClient, session: Session, place: Location, path: str
) -> None:
    url, headers = f"{COUNTS}/{make.count(place).id}", make.headers()
    fill(client, headers, url, [str(item_id) for item_id in many_items(session, 30)], place)
    separator = "&" if "?" in path else "?"

    with counted() as few:
        client.get(f"{url}/{path}{separator}limit=1", headers=headers)
    with counted() as many:
        rows = client.get(f"{url}/{path}{separator}limit=200", headers=headers).get_json()["data"]

    assert len(rows) >= 10
    assert len(few) == len(many) == 3  # who asks, whether there is such a count, and the page


def test_entering_takes_as_many_statements_however_many_lines(
    make: Factory, client: FlaskClient, session: Session, place: Location
) -> None:
    url, headers = f"{COUNTS}/{make.count(place).id}", make.headers()
    lines = [{"item_id": str(item_id), "quantity": 1, "recount": True} for item_id in many_items(session, 1000)]

    with counted() as few:
        one = client.post(f"{url}/entries", json={"lines": lines[:1]}, headers=headers)
    with counted() as many:
        rest = client.post(f"{url}/entries", json={"lines": lines[1:]}, headers=headers)

    assert (one.status_code, rest.status_code) == (201, 201)
    assert len(few) == len(many)


def fill(client: FlaskClient, headers: dict[str, str], url: str, items: list[str], place: Location) -> None:
    """Put items on the shelves, and count half of them."""
    lines = [{"item_id": item_id, "quantity": 2} for item_id in items]
    client.post("/api/v1/stock/receipts", json={"location_id": str(place.id), "lines": lines}, headers=headers)
    found = [{"item_id": item_id, "quantity": 1} for item_id in items[::2]]
    client.post(f"{url}/entries", json={"lines": found}, headers=headers)


@pytest.fixture
def place(make: Factory) -> Location:
    return make.location()


@pytest.fixture
def item(make: Factory, place: Location) -> Item:
    return make.item(stock=10, at=place)
