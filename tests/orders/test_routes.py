"""Orders over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy import text

from api.stock import service as stock
from tests.stock.reading import Level, differences, everything, level, many_items

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session
    from werkzeug.test import TestResponse

    from api.items.models import Item
    from tests.factories import Factory

ORDERS = "/api/v1/orders"

type Headers = dict[str, str]


def wanted(*lines: tuple[Item, int], **more: object) -> dict[str, object]:
    return {"lines": [{"item_id": str(item.id), "quantity": quantity} for item, quantity in lines], **more}


def problems(response: TestResponse) -> list[tuple[str, str | None]]:
    return [(problem["code"], problem["field"]) for problem in response.get_json()["error"]["details"]]


class TestPlacing:
    def test_takes_the_smallest_body_and_answers_with_the_order(
        self, make: Factory, client: FlaskClient, admin: Headers
    ) -> None:
        item = make.item(stock=5)

        response = client.post(ORDERS, json=wanted((item, 2)), headers=admin)

        assert response.status_code == 201
        order = response.get_json()
        assert response.headers["Location"].endswith(f"{ORDERS}/{order['id']}")
        assert response.headers["ETag"] == '"1"'
        assert (order["status"], order["total"], order["currency"], order["line_count"]) == ("placed", "5.00", "GBP", 1)
        assert order["number"].startswith("SO-")
        assert order["lines"] == [
            {
                "line_no": 1,
                "item_id": str(item.id),
                "sku": item.sku,
                "name": "Something",
                "quantity": 2,
                "cancelled_quantity": 0,
                "shipped_quantity": 0,
                "delivered_quantity": 0,
                "returned_quantity": 0,
                "outstanding_quantity": 2,
                "backordered_quantity": 0,
                "promised_on": None,
                "unit_price": "2.50",
                "amount": "5.00",
                "is_stocked": True,
            }
        ]

    def test_answers_what_a_later_look_shows(self, make: Factory, client: FlaskClient, admin: Headers) -> None:
        body = wanted((make.item(stock=5), 2), reference="WEB-1", note="Ring\ntwice.", metadata={"channel": "web"})

        placed = client.post(ORDERS, json=body, headers=admin)
        shown = client.get(placed.headers["Location"], headers=admin)

        assert shown.status_code == 200
        assert shown.get_json() == placed.get_json()
        assert shown.headers["ETag"] == placed.headers["ETag"]
        assert (shown.get_json()["reference"], shown.get_json()["metadata"]) == ("WEB-1", {"channel": "web"})

    def test_takes_items_by_sku_in_any_case(self, make: Factory, client: FlaskClient, admin: Headers) -> None:
        item = make.item(sku="Teapot-1", stock=5)

        response = client.post(ORDERS, json={"lines": [{"sku": "TEAPOT-1", "quantity": 1}]}, headers=admin)

        assert response.status_code == 201
        assert [(line["item_id"], line["sku"]) for line in response.get_json()["lines"]] == [(str(item.id), "Teapot-1")]

    def test_takes_a_thousand_lines_and_not_one_more(
        self, make: Factory, client: FlaskClient, session: Session, admin: Headers
    ) -> None:
        place, ids = make.location(), many_items(session, 1001)
        stock.receive(session, location_id=place.id, lines=[stock.Line(item_id=i, quantity=1) for i in ids], by=make.by)
        lines = [{"item_id": str(item_id), "quantity": 1} for item_id in ids]

        refused = client.post(ORDERS, json={"lines": lines}, headers=admin)
        taken = client.post(ORDERS, json={"lines": lines[:1000]}, headers=admin)

        assert refused.status_code == 422
        assert problems(refused) == [("wrong_length", "lines")]
        assert taken.status_code == 201
        assert [line["item_id"] for line in taken.get_json()["lines"]] == [line["item_id"] for line in lines[:1000]]
        assert taken.get_json()["total"] == "1500.00"
        assert differences(session) == []

    def test_shows_amounts_exactly_and_the_total_rounded_once(
        self, make: Factory, client: FlaskClient, admin: Headers
    ) -> None:
        items = [make.item(stock=9, unit_price=price) for price in ("0.0005", "0.004", "0.004")]
        body = wanted((items[0], 5), (items[1], 1), (items[2], 1))

        order = client.post(ORDERS, json=body, headers=admin).get_json()

        assert [(line["unit_price"], line["amount"]) for line in order["lines"]] == [
            ("0.0005", "0.0025"),
            ("0.004", "0.004"),
            ("0.004", "0.004"),
        ]
        assert order["total"] == "0.01"

    def test_with_a_key_is_done_once_and_answered_alike(
        self, make: Factory, client: FlaskClient, session: Session, admin: Headers
    ) -> None:
        place = make.location()
        item, headers = make.item(stock=5, at=place), admin | {"Idempotency-Key": "order-7"}

        first, second = (client.post(ORDERS, json=wanted((item, 2)), headers=headers) for _ in range(2))

        assert (first.status_code, second.status_code) == (201, 201)
        assert first.data == second.data
        assert (first.headers["ETag"], first.headers["Location"]) == (
            second.headers["ETag"],
            second.headers["Location"],
        )
        assert second.headers["Idempotency-Replayed"] == "true"
        assert level(session, item, place) == Level(5, 2)

    def test_that_was_refused_leaves_its_key_free(self, make: Factory, client: FlaskClient, admin: Headers) -> None:
        place = make.location()
        item, headers = make.item(stock=1, at=place), admin | {"Idempotency-Key": "order-7"}

        refused = client.post(ORDERS, json=wanted((item, 2)), headers=headers)
        make.receive(item, 1, at=place)
        taken = client.post(ORDERS, json=wanted((item, 2)), headers=headers)

        assert (refused.status_code, taken.status_code) == (409, 201)
        assert "Idempotency-Replayed" not in taken.headers


class TestRefusals:
    def test_name_every_short_item_and_change_nothing(
        self, make: Factory, client: FlaskClient, session: Session, admin: Headers
    ) -> None:
        few, plenty, none = make.item(stock=2), make.item(stock=50), make.item()
        body, before = wanted((few, 1), (plenty, 1), (none, 4), (few, 2)), everything(session)

        response = client.post(ORDERS, json=body, headers=admin | {"Idempotency-Key": "order-7"})

        assert response.status_code == 409
        error = response.get_json()["error"]
        assert (error["code"], error["field"]) == ("insufficient_stock", "lines.0.quantity")
        assert [
            (detail["code"], detail["field"], detail["item_id"], detail["requested"], detail["available"])
            for detail in error["details"]
        ] == [
            ("insufficient_stock", "lines.0.quantity", str(few.id), 3, 2),
            ("insufficient_stock", "lines.2.quantity", str(none.id), 4, 0),
        ]
        assert everything(session) == before

    def test_name_every_unknown_item(self, make: Factory, client: FlaskClient, admin: Headers) -> None:
        body = {
            "lines": [
                {"item_id": str(make.item(stock=1).id), "quantity": 1},
                {"sku": "NOPE", "quantity": 1},
                {"item_id": str(uuid4()), "quantity": 1},
            ]
        }

        response = client.post(ORDERS, json=body, headers=admin)

        assert response.status_code == 422
        assert problems(response) == [("item_not_found", "lines.1.sku"), ("item_not_found", "lines.2.item_id")]
        assert response.get_json()["error"]["message"] == "There is no item NOPE."

    @pytest.mark.parametrize(
        ("line", "problem"),
        [
            ({"quantity": 1}, ("required", "lines.0.item_id")),
            ({"sku": "A", "item_id": str(uuid4()), "quantity": 1}, ("required", "lines.0.item_id")),
            ({"sku": "A"}, ("required", "lines.0.quantity")),
            ({"sku": "A", "quantity": 0}, ("out_of_range", "lines.0.quantity")),
            ({"sku": "A", "quantity": -1}, ("out_of_range", "lines.0.quantity")),
            ({"sku": "A", "quantity": 1_000_001}, ("out_of_range", "lines.0.quantity")),
            ({"sku": "A", "quantity": 2**63}, ("out_of_range", "lines.0.quantity")),
            ({"sku": "A", "quantity": "1"}, ("invalid_type", "lines.0.quantity")),
            ({"sku": "A", "quantity": True}, ("invalid_type", "lines.0.quantity")),
            ({"sku": "A", "quantity": 1, "unit_price": 2.5}, ("invalid_type", "lines.0.unit_price")),
            ({"sku": "A", "quantity": 1, "unit_price": "1.00005"}, ("too_many_decimals", "lines.0.unit_price")),
            ({"sku": "A", "quantity": 1, "unit_price": "-1"}, ("invalid_type", "lines.0.unit_price")),
            ({"sku": "A", "quantity": 1, "discount": "1"}, ("unknown_field", "lines.0.discount")),
        ],
    )
    def test_point_at_what_is_wrong_with_a_line(
        self, client: FlaskClient, admin: Headers, line: Mapping[str, object], problem: tuple[str, str]
    ) -> None:
        response = client.post(ORDERS, json={"lines": [line]}, headers=admin)

        assert response.status_code == 422
        assert problem in problems(response)

    @pytest.mark.parametrize("name", ["total", "status", "number", "placed_at", "version", "id"])
    def test_protect_what_only_the_house_decides(
        self, make: Factory, client: FlaskClient, admin: Headers, name: str
    ) -> None:
        response = client.post(ORDERS, json=wanted((make.item(stock=1), 1), **{name: "1"}), headers=admin)

        assert response.status_code == 422
        assert problems(response) == [("unknown_field", name)]

    def test_of_an_unknown_location(self, make: Factory, client: FlaskClient, admin: Headers) -> None:
        body = wanted((make.item(stock=1), 1), location_id=str(uuid4()))

        response = client.post(ORDERS, json=body, headers=admin)

        assert response.status_code == 422
        assert problems(response) == [("location_not_found", "location_id")]

    def test_of_a_price_by_hand_from_a_customer(self, make: Factory, client: FlaskClient, session: Session) -> None:
        headers, item = make.headers(role="customer"), make.item(stock=5)
        lines = [
            {"item_id": str(item.id), "quantity": 1},
            {"item_id": str(item.id), "quantity": 1, "unit_price": "0.01"},
        ]
        before = everything(session)

        response = client.post(ORDERS, json={"lines": lines}, headers=headers)

        assert response.status_code == 403
        assert problems(response) == [("unit_price_not_allowed", "lines.1.unit_price")]
        assert everything(session) == before


class TestCancelling:
    def test_takes_an_empty_body_and_answers_with_the_order(
        self, make: Factory, client: FlaskClient, session: Session, admin: Headers
    ) -> None:
        place = make.location()
        item = make.item(stock=5, at=place)
        order = make.order((item, 2))

        response = client.post(f"{ORDERS}/{order.id}/cancel", json={}, headers=admin)

        assert response.status_code == 200
        assert response.headers["ETag"] == '"2"'
        shown = response.get_json()
        assert (shown["status"], shown["version"], shown["cancel_reason"]) == ("cancelled", 2, None)
        assert shown["cancelled_at"] is not None
        assert [line["cancelled_quantity"] for line in shown["lines"]] == [2]
        assert level(session, item, place) == Level(5, 0)

    def test_keeps_the_reason(self, make: Factory, client: FlaskClient, admin: Headers) -> None:
        url = f"{ORDERS}/{make.order((make.item(stock=5), 2)).id}"

        client.post(f"{url}/cancel", json={"reason": "Ordered twice"}, headers=admin)

        assert client.get(url, headers=admin).get_json()["cancel_reason"] == "Ordered twice"

    def test_twice_is_a_conflict(self, make: Factory, client: FlaskClient, admin: Headers) -> None:
        url = f"{ORDERS}/{make.order((make.item(stock=5), 2)).id}/cancel"

        first, second = (client.post(url, json={}, headers=admin) for _ in range(2))

        assert (first.status_code, second.status_code) == (200, 409)
        assert problems(second) == [("invalid_transition", None)]

    def test_twice_with_one_key_is_one_cancellation(self, make: Factory, client: FlaskClient, admin: Headers) -> None:
        url = f"{ORDERS}/{make.order((make.item(stock=5), 2)).id}/cancel"

        first, second = (client.post(url, json={}, headers=admin | {"Idempotency-Key": "k"}) for _ in range(2))

        assert (first.status_code, second.status_code) == (200, 200)
        assert first.data == second.data

    def test_of_an_order_nobody_placed_is_not_found(self, client: FlaskClient, admin: Headers) -> None:
        response = client.post(f"{ORDERS}/{uuid4()}/cancel", json={}, headers=admin)

        assert response.status_code == 404
        assert problems(response) == [("order_not_found", None)]


class TestWhoseOrderItIs:
    def test_strangers_get_not_found_whatever_they_try(
        self, make: Factory, client: FlaskClient, session: Session
    ) -> None:
        place, owner = make.location(), make.user(role="customer")
        item = make.item(stock=5, at=place)
        url = f"{ORDERS}/{make.order((item, 2), by=make.caller(user=owner, role='customer')).id}"
        stranger, hers = make.headers(role="customer"), make.headers(user=owner)

        seen, cancelled = client.get(url, headers=stranger), client.post(f"{url}/cancel", json={}, headers=stranger)

        assert (seen.status_code, cancelled.status_code) == (404, 404)
        assert problems(seen) == problems(cancelled) == [("order_not_found", None)]
        assert level(session, item, place) == Level(5, 2)
        assert client.get(url, headers=hers).status_code == 200
        assert client.post(f"{url}/cancel", json={}, headers=hers).status_code == 200

    def test_a_list_shows_customers_their_own_and_staff_everybodys(self, make: Factory, client: FlaskClient) -> None:
        ada, item = make.user(role="customer"), make.item(stock=9)
        hers = make.order((item, 1), by=make.caller(user=ada, role="customer"))
        his = make.order((item, 1), by=make.caller(role="customer"))
        guest = make.order((item, 1))

        def listed(headers: Headers) -> set[str]:
            return {row["id"] for row in client.get(ORDERS, headers=headers).get_json()["data"]}

        assert listed(make.headers(user=ada)) == {str(hers.id)}
        assert listed(make.headers(role="customer")) == set()
        assert listed(make.headers(role="clerk")) == {str(hers.id), str(his.id), str(guest.id)}

    def test_a_customer_orders_for_themselves(self, make: Factory, client: FlaskClient) -> None:
        ada, item = make.user(role="customer"), make.item(stock=9)

        response = client.post(ORDERS, json=wanted((item, 1)), headers=make.headers(user=ada))

        assert response.get_json()["customer_id"] == str(ada.id)


class TestLists:
    def test_come_newest_first_and_without_lines(self, make: Factory, client: FlaskClient, admin: Headers) -> None:
        item = make.item(stock=9)
        placed = [str(make.order((item, 1)).id) for _ in range(3)]

        rows = client.get(ORDERS, headers=admin).get_json()["data"]

        assert [row["id"] for row in rows] == placed[::-1]
        assert not any("lines" in row for row in rows)

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({}, ["may", "april", "march"]),
            ({"status": "placed"}, ["may", "march"]),
            ({"status": "cancelled"}, ["april"]),
            ({"reference": "april"}, ["april"]),
            ({"reference": "Apr"}, []),
            ({"placed_from": "2026-04-01T00:00:00Z"}, ["may", "april"]),
            ({"placed_from": "2026-04-01T00:00:00.000001Z"}, ["may"]),
            ({"placed_before": "2026-04-01T00:00:00Z"}, ["march"]),
            ({"placed_before": "2026-04-01T02:00:01+02:00"}, ["april", "march"]),
            ({"placed_from": "2026-03-15T00:00:00Z", "placed_before": "2026-04-15T00:00:00Z"}, ["april"]),
        ],
    )
    def test_can_be_narrowed(
        self,
        make: Factory,
        client: FlaskClient,
        session: Session,
        admin: Headers,
        query: dict[str, str],
        found: list[str],
    ) -> None:
        item = make.item(stock=9)
        for name, month in (("april", 4), ("may", 5), ("march", 3)):
            order = make.order((item, 1), reference=name)
            moment = {"id": order.id, "moment": f"2026-{month:02}-01T00:00:00Z"}
            session.execute(text("UPDATE orders SET placed_at = :moment WHERE id = :id"), moment)
            if name == "april":
                client.post(f"{ORDERS}/{order.id}/cancel", json={}, headers=admin)

        rows = client.get(ORDERS, query_string=query, headers=admin).get_json()["data"]

        assert [row["reference"] for row in rows] == found

    def test_come_page_by_page_though_all_are_of_one_moment(
        self, make: Factory, client: FlaskClient, admin: Headers
    ) -> None:
        item = make.item(stock=9)
        placed = [str(make.order((item, 1)).id) for _ in range(5)]

        first = client.get(ORDERS, query_string={"limit": 3}, headers=admin).get_json()
        second = client.get(ORDERS, query_string={"limit": 3, "cursor": first["next_cursor"]}, headers=admin).get_json()

        assert [row["id"] for row in first["data"] + second["data"]] == placed[::-1]
        assert second["next_cursor"] is None

    def test_refuse_a_period_that_ends_before_it_begins(self, client: FlaskClient, admin: Headers) -> None:
        query = {"placed_from": "2026-05-01T00:00:00Z", "placed_before": "2026-05-01T00:00:00Z"}

        response = client.get(ORDERS, query_string=query, headers=admin)

        assert response.status_code == 422
        assert problems(response) == [("out_of_range", "placed_before")]

    def test_refuse_the_cursor_of_another_caller(self, make: Factory, client: FlaskClient, admin: Headers) -> None:
        item = make.item(stock=9)
        make.order((item, 1)), make.order((item, 1))
        cursor = client.get(ORDERS, query_string={"limit": 1}, headers=admin).get_json()["next_cursor"]

        response = client.get(ORDERS, query_string={"cursor": cursor}, headers=make.headers())

        assert response.status_code == 400
        assert problems(response) == [("cursor_invalid", "cursor")]


@pytest.fixture
def admin(make: Factory) -> Headers:
    return make.headers()
