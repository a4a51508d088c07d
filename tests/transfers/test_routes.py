"""Transfers over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from tests.rest.envelope import assert_problem
from tests.statements import counted
from tests.stock.reading import Level, level, many_items

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from api.items.models import Item
    from api.locations.models import Location
    from tests.factories import Factory

TRANSFERS = "/api/v1/stock/transfers"


class TestSending:
    def test_answers_with_the_whole_transfer_and_where_it_is_found(
        self, make: Factory, client: FlaskClient, item: Item, source: Location, target: Location
    ) -> None:
        clerk = make.user(role="clerk")
        body = document(source, target, {"sku": item.sku.lower(), "quantity": 4}, in_transit=True)

        response = client.post(
            TRANSFERS, json=body | {"reference": "WB-1", "note": "Two\npallets"}, headers=make.headers(user=clerk)
        )

        transfer = response.get_json()
        assert response.status_code == 201
        assert response.headers["ETag"] == '"1"'
        assert response.headers["Location"].endswith(f"{TRANSFERS}/{transfer['id']}")
        assert transfer | {"id": "", "sent_at": "", "created_at": "", "updated_at": ""} == {
            "id": "",
            "from_location_id": str(source.id),
            "from_location_code": source.code,
            "to_location_id": str(target.id),
            "to_location_code": target.code,
            "status": "in_transit",
            "reference": "WB-1",
            "note": "Two\npallets",
            "created_by": str(clerk.id),
            "sent_at": "",
            "completed_at": None,
            "version": 1,
            "created_at": "",
            "updated_at": "",
            "lines": [
                {
                    "line_no": 1,
                    "item_id": str(item.id),
                    "sku": item.sku,
                    "name": item.name,
                    "quantity": 4,
                    "received_quantity": 0,
                    "returned_quantity": 0,
                    "lost_quantity": 0,
                    "outstanding_quantity": 4,
                }
            ],
        }

    def test_is_at_once_unless_said_otherwise(
        self, make: Factory, client: FlaskClient, session: Session, item: Item, source: Location, target: Location
    ) -> None:
        body = document(source, target, {"item_id": str(item.id), "quantity": 4})

        response = client.post(TRANSFERS, json=body, headers=make.headers())

        assert response.get_json()["status"] == "completed"
        assert level(session, item, target) == Level(4, 0)

    def test_of_a_thousand_lines_takes_few_statements(
        self, make: Factory, client: FlaskClient, session: Session, source: Location, target: Location
    ) -> None:
        items = [str(item_id) for item_id in many_items(session, 1000)]
        lines = [{"item_id": item_id, "quantity": 2} for item_id in items]
        headers = make.headers()
        received = {"location_id": str(source.id), "lines": lines}
        client.post("/api/v1/stock/receipts", json=received, headers=headers)

        with counted() as few:
            small = client.post(TRANSFERS, json=document(source, target, *lines[:1], in_transit=True), headers=headers)
        with counted() as many:
            large = client.post(TRANSFERS, json=document(source, target, *lines[1:], in_transit=True), headers=headers)
        with counted() as receiving:
            done = client.post(f"{TRANSFERS}/{large.get_json()['id']}/receive", json={}, headers=headers)

        assert (small.status_code, large.status_code, done.status_code) == (201, 201, 200)
        assert [line["line_no"] for line in large.get_json()["lines"]] == list(range(1, 1000))
        assert len(many) <= len(few) + 1
        assert len(receiving) <= 16

    @pytest.mark.parametrize(
        ("change", "status", "code", "field"),
        [
            pytest.param({"lines": []}, 422, "wrong_length", "lines", id="no lines"),
            pytest.param({"in_transit": "yes"}, 422, "invalid_type", "in_transit", id="not a boolean"),
            pytest.param({"to_location_id": None}, 422, "null_not_allowed", "to_location_id", id="nowhere"),
            pytest.param({"speed": 1}, 422, "unknown_field", "speed", id="an unknown field"),
            pytest.param(
                {"occurred_at": "2999-01-01T00:00:00Z"}, 422, "occurred_in_future", "occurred_at", id="in the future"
            ),
        ],
    )
    def test_refuses_what_makes_no_sense(  # noqa: PLR0913  # a table of four columns
        self,
        make: Factory,
        client: FlaskClient,
        item: Item,
        source: Location,
        target: Location,
        *,
        change: dict[str, Any],
        status: int,
        code: str,
        field: str,
    ) -> None:
        body = document(source, target, {"item_id": str(item.id), "quantity": 4}) | change

        assert_problem(client.post(TRANSFERS, json=body, headers=make.headers()), status, code, field)

    def test_to_the_same_place_is_refused(
        self, make: Factory, client: FlaskClient, item: Item, source: Location
    ) -> None:
        body = document(source, source, {"item_id": str(item.id), "quantity": 4})

        response = client.post(TRANSFERS, json=body, headers=make.headers())

        assert_problem(response, 422, "same_location", "to_location_id")

    def test_of_more_than_there_is_names_every_shortage(
        self, make: Factory, client: FlaskClient, item: Item, source: Location, target: Location
    ) -> None:
        body = document(source, target, {"item_id": str(item.id), "quantity": 11})

        (problem,) = assert_problem(
            client.post(TRANSFERS, json=body, headers=make.headers()), 409, "insufficient_stock", "lines.0.quantity"
        )

        assert (problem["item_id"], problem["requested"], problem["available"]) == (str(item.id), 11, 10)


class TestWhatBecomesOfIt:
    def test_is_told_step_by_step_under_a_new_tag(
        self, make: Factory, client: FlaskClient, item: Item, source: Location, target: Location
    ) -> None:
        transfer = make.transfer((item, 6), source=source, target=target)
        url, headers = f"{TRANSFERS}/{transfer.id}", make.headers(role="clerk")
        some = {"lines": [{"sku": item.sku, "quantity": 2}]}
        steps = (("receive", some), ("write-off", some | {"reason": "damaged"}), ("cancel", {"reason": "Late"}))

        tags, statuses = [client.get(url, headers=headers).headers["ETag"]], []
        for verb, body in steps:
            response = client.post(f"{url}/{verb}", json=body, headers=headers)
            tags.append(response.headers["ETag"])
            statuses.append(response.get_json()["status"])
            assert client.get(url, headers=headers).get_json() == response.get_json()

        assert tags == ['"1"', '"2"', '"3"', '"4"']
        assert statuses == ["in_transit", "in_transit", "completed"]
        assert client.get(url, headers=headers | {"If-None-Match": tags[-1]}).status_code == 304
        assert client.get(url, headers=headers | {"If-None-Match": tags[0]}).status_code == 200

    def test_is_refused_with_more_than_is_in_transit(
        self, make: Factory, client: FlaskClient, item: Item, source: Location, target: Location
    ) -> None:
        url = f"{TRANSFERS}/{make.transfer((item, 6), source=source, target=target).id}"
        body = {"lines": [{"item_id": str(item.id), "quantity": 7}]}

        for verb, more in (("receive", {}), ("write-off", {"reason": "lost"})):
            response = client.post(f"{url}/{verb}", json=body | more, headers=make.headers())
            (problem,) = assert_problem(response, 409, "exceeds_in_transit", "lines.0.quantity")
            assert (problem["item_id"], problem["requested"], problem["in_transit"]) == (str(item.id), 7, 6)

    def test_is_refused_when_nothing_is_in_transit(
        self, make: Factory, client: FlaskClient, item: Item, source: Location, target: Location
    ) -> None:
        transfer = make.transfer((item, 6), source=source, target=target, in_transit=False)

        for verb, body in (("receive", {}), ("write-off", {"reason": "lost"}), ("cancel", {})):
            response = client.post(f"{TRANSFERS}/{transfer.id}/{verb}", json=body, headers=make.headers())
            assert_problem(response, 409, "invalid_transition", None)

    def test_is_not_told_of_a_transfer_that_is_not_there(self, make: Factory, client: FlaskClient) -> None:
        url, headers = f"{TRANSFERS}/{uuid4()}", make.headers()

        assert_problem(client.get(url, headers=headers), 404, "transfer_not_found", None)
        for verb, body in (("receive", {}), ("write-off", {"reason": "lost"}), ("cancel", {})):
            assert_problem(client.post(f"{url}/{verb}", json=body, headers=headers), 404, "transfer_not_found", None)

    def test_needs_a_known_reason_to_be_written_off(
        self, make: Factory, client: FlaskClient, item: Item, source: Location, target: Location
    ) -> None:
        url = f"{TRANSFERS}/{make.transfer((item, 6), source=source, target=target).id}/write-off"

        assert_problem(client.post(url, json={}, headers=make.headers()), 422, "required", "reason")
        assert_problem(
            client.post(url, json={"reason": "found"}, headers=make.headers()), 422, "unknown_choice", "reason"
        )


def test_transfers_are_listed_newest_first_and_filtered(
    make: Factory, client: FlaskClient, item: Item, source: Location, target: Location
) -> None:
    other = make.item(stock=5, at=target)
    first = make.transfer((item, 1), source=source, target=target, reference="WB-1")
    second = make.transfer((other, 1), source=target, target=source, in_transit=False)
    third = make.transfer((item, 1), source=source, target=target)
    headers = make.headers(role="clerk")

    def listed(**query: object) -> list[str]:
        page = client.get(TRANSFERS, query_string=query, headers=headers).get_json()
        assert page["next_cursor"] is None
        return [row["id"] for row in page["data"]]

    one, two, three = (str(transfer.id) for transfer in (first, second, third))
    assert listed() == [three, two, one]
    assert listed(status="in_transit") == [three, one]
    assert listed(from_location_id=target.id) == listed(to_location_id=source.id) == [two]
    assert listed(reference="WB-1") == [one]
    assert listed(item_id=item.id, status="in_transit") == [three, one]
    assert listed(item_id=uuid4()) == []
    (row,) = client.get(f"{TRANSFERS}?status=completed", headers=headers).get_json()["data"]
    assert "lines" not in row
    assert (row["from_location_code"], row["to_location_code"]) == (target.code, source.code)


def test_the_list_goes_on_page_by_page(
    make: Factory, client: FlaskClient, item: Item, source: Location, target: Location
) -> None:
    made = [str(make.transfer((item, 1), source=source, target=target).id) for _ in range(5)]
    headers, seen, cursor = make.headers(), [], ""
    while cursor is not None:
        page = client.get(f"{TRANSFERS}?limit=2&item_id={item.id}{cursor}", headers=headers).get_json()
        seen += [row["id"] for row in page["data"]]
        cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"

    assert seen == made[::-1]


def document(source: Location, target: Location, *lines: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"from_location_id": str(source.id), "to_location_id": str(target.id), "lines": list(lines), **more}


@pytest.fixture
def source(make: Factory) -> Location:
    return make.location()


@pytest.fixture
def target(make: Factory) -> Location:
    return make.location()


@pytest.fixture
def item(make: Factory, source: Location) -> Item:
    return make.item(stock=10, at=source)
