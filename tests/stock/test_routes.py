"""Stock over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy import text

from tests.live import at_once, committed
from tests.stock.reading import Level, everything, ledger, level, many_items

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session
    from werkzeug.test import TestResponse

    from api.items.models import Item
    from api.locations.models import Location
    from tests.factories import Factory

RECEIPTS = "/api/v1/stock/receipts"
ADJUSTMENTS = "/api/v1/stock/adjustments"
LEVELS = "/api/v1/stock/levels"
MOVEMENTS = "/api/v1/stock/movements"


def body(location_id: object, *lines: tuple[Item, int], **more: object) -> dict[str, object]:
    pairs = [{"item_id": str(item.id), "quantity": quantity} for item, quantity in lines]
    return {"location_id": str(location_id), "lines": pairs, **more}


def problems(response: TestResponse) -> list[tuple[str, str]]:
    return [(problem["code"], problem["field"]) for problem in response.get_json()["error"]["details"]]


def named(place: Location) -> dict[str, str]:
    return {
        "location_id": str(place.id),
        "location_code": place.code,
        "location_name": place.name,
        "location_kind": place.kind,
    }


class TestReceipts:
    def test_answer_with_the_movements_in_the_order_of_the_lines(
        self, make: Factory, client: FlaskClient, session: Session
    ) -> None:
        user = make.user(role="clerk")
        place, one, two = make.location(), make.item(), make.item()

        response = client.post(
            RECEIPTS,
            json=body(place.id, (two, 6), (one, 4), reference="DN-1"),
            headers=make.headers(user=user) | {"X-Request-ID": "delivery-7"},
        )

        assert response.status_code == 201
        first, second = response.get_json()["data"]
        assert (first["item_id"], second["item_id"]) == (str(two.id), str(one.id))
        assert {name: second[name] for name in second.keys() - {"id", "occurred_at", "recorded_at"}} == {
            "item_id": str(one.id),
            "location_id": str(place.id),
            "sequence": 1,
            "kind": "receipt",
            "quantity": 4,
            "on_hand_change": 4,
            "reserved_change": 0,
            "on_hand": 4,
            "reserved": 0,
            "reason": None,
            "reference": "DN-1",
            "source_id": None,
            "actor_id": str(user.id),
            "request_id": "delivery-7",
            "is_late": False,
        }
        assert level(session, one, place) == Level(4, 0)

    def test_with_several_bad_lines_name_each_and_change_nothing(
        self, make: Factory, client: FlaskClient, session: Session
    ) -> None:
        place, good, postage = make.location(), make.item(), make.item(is_stocked=False)
        headers = make.headers()
        wanted = body(place.id, (postage, 1), (good, 1), (good, 1))
        wanted["lines"] += [{"item_id": str(uuid4()), "quantity": 1}]  # type: ignore[operator]  # a list, as made above
        before = everything(session)

        response = client.post(RECEIPTS, json=wanted, headers=headers)

        assert response.status_code == 422
        assert response.get_json()["error"]["code"] == "item_not_stocked"
        assert response.get_json()["error"]["field"] == "lines.0.item_id"
        assert problems(response) == [
            ("item_not_stocked", "lines.0.item_id"),
            ("repeated_item", "lines.2.item_id"),
            ("item_not_found", "lines.3.item_id"),
        ]
        assert everything(session) == before

    def test_at_an_unknown_location_are_refused(self, make: Factory, client: FlaskClient) -> None:
        response = client.post(RECEIPTS, json=body(uuid4(), (make.item(), 1)), headers=make.headers())

        assert response.status_code == 422
        assert problems(response) == [("location_not_found", "location_id")]

    def test_of_an_item_that_is_deleted_meanwhile_are_refused_or_keep_it(self, live_app: Flask) -> None:
        with committed(live_app) as make:
            place, headers = make.location().id, make.headers()
            items = [make.item().id for _ in range(8)]
        delete = [
            {"path": f"/api/v1/items/{item}", "method": "DELETE", "headers": headers | {"If-Match": '"1"'}}
            for item in items
        ]
        receive = [
            {
                "path": RECEIPTS,
                "method": "POST",
                "headers": headers,
                "json": {"location_id": str(place), "lines": [{"item_id": str(item), "quantity": 1}]},
            }
            for item in items
        ]

        answers = [answer.status_code for answer in at_once(live_app, *delete, *receive)]

        assert set(zip(answers[:8], answers[8:], strict=True)) <= {(204, 422), (409, 201)}

    def test_take_a_thousand_lines_and_not_one_more(self, make: Factory, client: FlaskClient, session: Session) -> None:
        wanted, headers = body(make.location().id), make.headers()
        lines = [{"item_id": str(item_id), "quantity": 1} for item_id in many_items(session, 1001)]

        taken = client.post(RECEIPTS, json=wanted | {"lines": lines[:1000]}, headers=headers)
        refused = client.post(RECEIPTS, json=wanted | {"lines": lines}, headers=headers)

        assert taken.status_code == 201
        assert [row["item_id"] for row in taken.get_json()["data"]] == [line["item_id"] for line in lines[:1000]]
        assert refused.status_code == 422
        assert problems(refused) == [("wrong_length", "lines")]

    def test_repeated_with_a_key_are_one_receipt(self, make: Factory, client: FlaskClient, session: Session) -> None:
        place, item, headers = make.location(), make.item(), make.headers() | {"Idempotency-Key": "delivery-7"}

        answers = [client.post(RECEIPTS, json=body(place.id, (item, 5)), headers=headers) for _ in range(3)]

        assert [answer.status_code for answer in answers] == [201, 201, 201]
        assert len({answer.data for answer in answers}) == 1
        assert [answer.headers.get("Idempotency-Replayed") for answer in answers] == [None, "true", "true"]
        assert level(session, item, place) == Level(5, 0)

    @pytest.mark.parametrize("quantity", [0, -1, 1_000_001, 1.5, "1", True, None])
    def test_of_a_quantity_that_is_none_are_refused(self, make: Factory, client: FlaskClient, quantity: int) -> None:
        wanted = body(make.location().id, (make.item(), quantity))

        response = client.post(RECEIPTS, json=wanted, headers=make.headers())

        assert response.status_code == 422
        assert [field for _, field in problems(response)] == ["lines.0.quantity"]

    def test_beyond_what_can_be_counted_are_refused(self, make: Factory, client: FlaskClient, session: Session) -> None:
        place, item, headers = make.location(), make.item(), make.headers()
        make.receive(item, 1, at=place)
        session.execute(text("UPDATE stock_levels SET on_hand = 2147000000 WHERE item_id = :item"), {"item": item.id})

        response = client.post(RECEIPTS, json=body(place.id, (item, 1_000_000)), headers=headers)

        assert response.status_code == 422
        assert response.get_json()["error"]["code"] == "out_of_range"
        assert level(session, item, place) == Level(2_147_000_000, 0)


class TestAdjustments:
    def test_answer_with_signed_movements(self, make: Factory, client: FlaskClient, session: Session) -> None:
        place = make.location()
        more, fewer = make.item(stock=5, at=place), make.item(stock=5, at=place)

        response = client.post(
            ADJUSTMENTS, json=body(place.id, (more, 2), (fewer, -5), reason="correction"), headers=make.headers()
        )

        assert response.status_code == 201
        assert [
            (row["kind"], row["reason"], row["quantity"], row["on_hand"]) for row in response.get_json()["data"]
        ] == [
            ("adjustment", "correction", 2, 7),
            ("adjustment", "correction", -5, 0),
        ]
        assert level(session, fewer, place) == Level(0, 0)

    def test_below_what_is_promised_are_refused_with_every_shortage(
        self, make: Factory, client: FlaskClient, session: Session
    ) -> None:
        place, headers = make.location(), make.headers()
        one, two, plenty = (make.item(stock=quantity, at=place) for quantity in (5, 3, 100))
        make.order((one, 4))
        before = everything(session)

        response = client.post(
            ADJUSTMENTS, json=body(place.id, (one, -2), (plenty, -1), (two, -4), reason="stolen"), headers=headers
        )

        assert response.status_code == 409
        error = response.get_json()["error"]
        assert error["code"] == "insufficient_stock"
        assert [
            (detail["field"], detail["item_id"], detail["requested"], detail["available"])
            for detail in error["details"]
        ] == [("lines.0.quantity", str(one.id), 2, 1), ("lines.2.quantity", str(two.id), 4, 3)]
        assert everything(session) == before

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"reason": "because"}, ("unknown_choice", "reason")),
            ({"reason": None}, ("null_not_allowed", "reason")),
            ({"note": "x"}, ("unknown_field", "note")),
            ({"lines": []}, ("wrong_length", "lines")),
        ],
    )
    def test_that_are_not_understood_are_refused(
        self, make: Factory, client: FlaskClient, change: dict[str, object], problem: tuple[str, str]
    ) -> None:
        wanted = body(make.location().id, (make.item(stock=1), 1), reason="found") | change

        response = client.post(ADJUSTMENTS, json=wanted, headers=make.headers())

        assert response.status_code == 422
        assert problems(response) == [problem]

    def test_need_a_reason(self, make: Factory, client: FlaskClient) -> None:
        response = client.post(ADJUSTMENTS, json=body(make.location().id, (make.item(), 1)), headers=make.headers())

        assert problems(response) == [("required", "reason")]

    def test_by_nothing_are_refused(self, make: Factory, client: FlaskClient) -> None:
        wanted = body(make.location().id, (make.item(), 0), reason="found")

        response = client.post(ADJUSTMENTS, json=wanted, headers=make.headers())

        assert problems(response) == [("out_of_range", "lines.0.quantity")]


@pytest.mark.parametrize("url", [RECEIPTS, ADJUSTMENTS])
def test_a_customer_moves_no_stock(make: Factory, client: FlaskClient, session: Session, url: str) -> None:
    item, headers = make.item(), make.headers(role="customer")

    response = client.post(url, json=body(make.location().id, (item, 1), reason="found"), headers=headers)

    assert response.status_code == 403
    assert ledger(session, item) == []


@pytest.mark.parametrize("url", [LEVELS, MOVEMENTS])
def test_a_customer_does_not_see_the_shelves(make: Factory, client: FlaskClient, url: str) -> None:
    assert client.get(url, headers=make.headers(role="customer")).status_code == 403


class TestAvailability:
    def test_is_told_in_all_and_per_location_to_a_customer_too(self, make: Factory, client: FlaskClient) -> None:
        near, far = make.location(priority=1), make.location(priority=2)
        item, _noise = make.item(stock=5, at=near), make.item(stock=50, at=near)
        make.receive(item, 8, at=far)
        make.order((item, 2))

        response = client.get(f"/api/v1/items/{item.id}/availability", headers=make.headers(role="customer"))

        assert response.status_code == 200
        found = response.get_json()
        assert {name: found[name] for name in ("item_id", "on_hand", "reserved", "available")} == {
            "item_id": str(item.id),
            "on_hand": 13,
            "reserved": 2,
            "available": 11,
        }
        assert sorted(found["locations"], key=lambda here: here["on_hand"]) == [
            {**named(near), "on_hand": 5, "reserved": 2, "available": 3},
            {**named(far), "on_hand": 8, "reserved": 0, "available": 8},
        ]

    def test_of_an_unknown_item_is_not_found(self, make: Factory, client: FlaskClient) -> None:
        response = client.get(f"/api/v1/items/{uuid4()}/availability", headers=make.headers())

        assert response.status_code == 404
        assert response.get_json()["error"]["code"] == "item_not_found"


class TestLists:
    def test_of_levels_can_be_narrowed_by_item_and_location(self, make: Factory, client: FlaskClient) -> None:
        near, far, headers = make.location(), make.location(), make.headers()
        item, noise = make.item(stock=5, at=near), make.item(stock=6, at=near)
        make.receive(item, 7, at=far)

        def listed(**query: object) -> set[tuple[str, str, int]]:
            found = client.get(LEVELS, query_string=query, headers=headers).get_json()["data"]
            return {(row["item_id"], row["location_id"], row["available"]) for row in found}

        at_near, at_far = (str(item.id), str(near.id), 5), (str(item.id), str(far.id), 7)
        other = (str(noise.id), str(near.id), 6)
        assert listed() == {at_near, at_far, other}
        assert listed(item_id=item.id) == {at_near, at_far}
        assert listed(location_id=near.id) == {at_near, other}
        assert listed(item_id=item.id, location_id=far.id) == {at_far}

    def test_of_movements_can_be_narrowed_by_everything_that_causes_them(
        self, make: Factory, client: FlaskClient
    ) -> None:
        near, far, headers = make.location(priority=1), make.location(priority=2), make.headers()
        item, noise = make.item(stock=5, at=near), make.item(stock=5, at=near)
        make.receive(item, 7, at=far)
        order, _other = make.order((item, 1)), make.order((noise, 2))

        def listed(**query: object) -> list[tuple[str, str, int]]:
            found = client.get(MOVEMENTS, query_string=query, headers=headers).get_json()["data"]
            return [(row["item_id"], row["kind"], row["quantity"]) for row in found]

        this, that = str(item.id), str(noise.id)
        assert listed() == [
            (that, "reserve", 2),
            (this, "reserve", 1),
            (this, "receipt", 7),
            (that, "receipt", 5),
            (this, "receipt", 5),
        ]
        assert listed(item_id=item.id) == [(this, "reserve", 1), (this, "receipt", 7), (this, "receipt", 5)]
        assert listed(location_id=far.id) == [(this, "receipt", 7)]
        assert listed(source_id=order.id) == [(this, "reserve", 1)]
        assert listed(kind="receipt", item_id=noise.id) == [(that, "receipt", 5)]
        assert listed(kind="release") == []

    @pytest.mark.parametrize("url", [LEVELS, MOVEMENTS])
    def test_come_page_by_page_without_gap_or_repetition(self, make: Factory, client: FlaskClient, url: str) -> None:
        headers, place = make.headers(), make.location()
        for _ in range(5):
            make.item(stock=1, at=place)
        whole = client.get(url, headers=headers).get_json()["data"]

        pages, query = [], {"limit": 2, "location_id": place.id}
        while True:
            page = client.get(url, query_string=query, headers=headers)
            pages.append(page.get_json()["data"])
            if page.get_json()["next_cursor"] is None:
                break
            assert 'rel="next"' in page.headers["Link"]
            query["cursor"] = page.get_json()["next_cursor"]

        assert [len(page) for page in pages] == [2, 2, 1]
        assert [row for page in pages for row in page] == whole

    @pytest.mark.parametrize("url", [LEVELS, MOVEMENTS])
    def test_are_counted_over_all_pages_when_asked(self, make: Factory, client: FlaskClient, url: str) -> None:
        headers, place, other = make.headers(), make.location(), make.location()
        for _ in range(5):
            make.item(stock=1, at=place), make.item(stock=1, at=other)

        query = {"limit": 2, "count": "true", "location_id": place.id}
        page = client.get(url, query_string=query, headers=headers).get_json()
        silent = client.get(url, query_string={"limit": 2}, headers=headers).get_json()

        assert (page["total"], page["total_is_exact"], len(page["data"])) == (5, True, 2)
        assert "total" not in silent

    def test_refuse_the_cursor_of_another_filter(self, make: Factory, client: FlaskClient) -> None:
        headers, place = make.headers(), make.location()
        make.item(stock=1, at=place), make.item(stock=1, at=place)
        cursor = client.get(LEVELS, query_string={"limit": 1}, headers=headers).get_json()["next_cursor"]

        response = client.get(LEVELS, query_string={"cursor": cursor, "location_id": place.id}, headers=headers)

        assert response.status_code == 400
        assert problems(response) == [("cursor_invalid", "cursor")]

    def test_refuse_an_unknown_kind(self, make: Factory, client: FlaskClient) -> None:
        response = client.get(MOVEMENTS, query_string={"kind": "theft"}, headers=make.headers())

        assert response.status_code == 422
        assert problems(response) == [("unknown_choice", "kind")]
