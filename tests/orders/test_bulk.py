"""Many orders in one call: each by itself, each once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from tests.live import at_once, committed
from tests.reservations.clock import end
from tests.stock.reading import Level, differences, level

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from api.items.models import Item
    from tests.factories import Factory

BULK = "/api/v1/orders/bulk"


def order(item: Item | str, quantity: int, **more: Any) -> dict[str, Any]:
    name = {"sku": item} if isinstance(item, str) else {"item_id": str(item.id)}
    return {"lines": [{**name, "quantity": quantity}], **more}


def test_each_is_placed_or_refused_by_itself_in_its_turn(make: Factory, client: FlaskClient, session: Session) -> None:
    place = make.location()
    cup = make.item(stock=5, at=place)
    sent = [
        order(cup, 3, reference="A"),
        order(cup, 3, reference="B"),
        order("NO-SUCH", 1, reference="C"),
        order(cup, 0, reference="D"),
        order(cup, 2, reference="E"),
    ]

    answer = client.post(BULK, json={"orders": sent}, headers=make.headers()).get_json()

    assert [(one["reference"], one["outcome"]) for one in answer["outcomes"]] == [
        ("A", "placed"),
        ("B", "refused"),
        ("C", "refused"),
        ("D", "refused"),
        ("E", "placed"),
    ]
    assert [[problem["code"] for problem in one["problems"]] for one in answer["outcomes"]] == [
        [],
        ["insufficient_stock"],
        ["item_not_found"],
        ["out_of_range"],
        [],
    ]
    assert answer["outcomes"][1]["problems"][0]["available"] == 2
    assert answer["counts"] == {"placed": 2, "refused": 3}
    assert level(session, cup, place) == Level(5, 5)
    assert differences(session) == []


def test_an_order_whose_key_was_used_is_not_placed_twice(make: Factory, client: FlaskClient, session: Session) -> None:
    cup = make.item(stock=50)
    sent = [order(cup, 1, idempotency_key="web-1"), order(cup, 2, idempotency_key="web-2")]
    headers = make.headers()

    first = client.post(BULK, json={"orders": sent}, headers=headers).get_json()["outcomes"]
    again = client.post(BULK, json={"orders": [*sent[::-1], order(cup, 9)]}, headers=headers).get_json()["outcomes"]
    other = client.post(BULK, json={"orders": [order(cup, 7, idempotency_key="web-1")]}, headers=headers).get_json()

    assert [one["id"] for one in again[:2]] == [first[1]["id"], first[0]["id"]]
    assert [one["replayed"] for one in again] == [True, True, False]
    assert other["outcomes"][0]["problems"][0]["code"] == "idempotency_key_reused"
    assert (
        session.execute(text("SELECT sum(reserved) FROM stock_levels WHERE item_id = :id"), {"id": cup.id}).scalar_one()
        == 12
    )


def test_a_hundred_orders_take_few_statements_and_more_are_refused(make: Factory, client: FlaskClient) -> None:
    cup = make.item(stock=1000)
    headers = make.headers()

    full = client.post(BULK, json={"orders": [order(cup, 1)] * 100}, headers=headers)
    beyond = client.post(BULK, json={"orders": [order(cup, 1)] * 101}, headers=headers)

    assert full.get_json()["counts"] == {"placed": 100, "refused": 0}
    assert len({one["number"] for one in full.get_json()["outcomes"]}) == 100
    assert beyond.status_code == 422


def test_batches_with_the_same_items_in_other_orders_block_nobody_for_good(live_app: Flask) -> None:
    with committed(live_app) as make:
        place = make.location()
        cups = [make.item(stock=12, at=place) for _ in range(4)]
        headers, skus = make.headers(), [cup.sku for cup in cups]
    bodies = [{"orders": [order(sku, 2) for sku in (skus if number % 2 else skus[::-1])]} for number in range(8)]

    answers = at_once(
        live_app, *({"method": "POST", "path": BULK, "json": body, "headers": headers} for body in bodies)
    )

    assert {answer.status_code for answer in answers} == {200}
    outcomes = Counter(one["outcome"] for answer in answers for one in answer.get_json()["outcomes"])
    assert outcomes == {"placed": 24, "refused": 8}
    with committed(live_app) as make:
        assert differences(make.session) == []


def test_a_customer_cannot_name_prices_or_others_in_a_row(make: Factory, client: FlaskClient) -> None:
    cup, other = make.item(stock=5), make.user()
    priced = order(cup, 1)
    priced["lines"][0]["unit_price"] = "0.01"

    answer = client.post(
        BULK,
        json={"orders": [priced, order(cup, 1, customer_id=str(other.id)), order(cup, 1)]},
        headers=make.headers(role="customer"),
    ).get_json()

    assert [[problem["code"] for problem in one["problems"]] for one in answer["outcomes"]] == [
        ["unit_price_not_allowed"],
        ["field_needs_permission"],
        [],
    ]


def test_a_hold_that_is_over_gives_way_once(make: Factory, client: FlaskClient, session: Session) -> None:
    place = make.location()
    cup = make.item(stock=4, at=place)
    held = make.reservation((cup, 3))
    end(session, held.id)

    answer = client.post(
        BULK, json={"orders": [order(cup, 3), order(cup, 2), order(cup, 1)]}, headers=make.headers()
    ).get_json()

    assert [one["outcome"] for one in answer["outcomes"]] == ["placed", "refused", "placed"]
    assert level(session, cup, place) == Level(4, 4)
    assert differences(session) == []
