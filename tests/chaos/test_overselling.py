"""The promise: however many ask at once, no unit is sold twice, and nobody meets an error for it."""

from __future__ import annotations

from collections import Counter
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from bench.contention import contend
from tests.chaos.shop import at_once
from tests.factories import PASSWORD

if TYPE_CHECKING:
    from uuid import UUID

    import httpx
    from werkzeug.test import TestResponse

    from tests.chaos.shop import Shop


def test_of_a_hundred_units_four_hundred_buyers_get_a_hundred(server: httpx.URL, shop: Shop) -> None:
    with shop.work() as make:
        email = str(make.user().email)

    outcome = contend(str(server), email=email, password=PASSWORD, units=100, buyers=400)

    assert outcome.others == {}
    assert (outcome.sold, outcome.refused, outcome.left) == (100, 300, 0)
    assert shop.count("orders") == shop.count("allocations") == 100
    assert shop.count("idempotency_keys") == 100 + len(["item", "location", "receipt"])
    assert shop.differences() == []


def test_twelve_buyers_of_four_items_in_opposite_orders_neither_deadlock_nor_oversell(shop: Shop) -> None:
    items = shop.stocked(50, 50, 50, 50)
    forwards, backwards = [(item, 1) for item in items], [(item, 1) for item in reversed(items)]

    def buy(lines: list[tuple[UUID, int]]) -> list[int]:
        return [shop.order(*lines).status_code for _ in range(10)]

    answers = at_once([partial(buy, forwards if number % 2 else backwards) for number in range(12)])

    assert Counter(status for own in answers for status in own) == {201: 50, 409: 70}
    assert set(shop.levels().values()) == {(50, 50)}
    assert shop.differences() == []


def test_receipts_of_new_items_in_opposite_orders_meet_without_deadlock(shop: Shop) -> None:
    for round_ in range(2):
        items = shop.stocked(*[0] * 30)

        answers = at_once([partial(receive, shop, Random(seed).sample(items, len(items))) for seed in range(6)])  # noqa: S311  # an order

        assert [answer.status_code for answer in answers] == [201] * 6, round_
        assert {shop.levels()[item] for item in items} == {(6, 0)}
    assert shop.differences() == []


def receive(shop: Shop, items: list[UUID]) -> TestResponse:
    lines = [{"item_id": str(item), "quantity": 1} for item in items]
    return shop.post("/api/v1/stock/receipts", {"location_id": str(shop.place_id), "lines": lines})


def test_of_many_cancellations_of_one_order_one_succeeds_and_gives_back_once(shop: Shop) -> None:
    (item,) = shop.stocked(100)
    shop.order((item, 30))

    for round_ in range(10):
        order = shop.order((item, 4)).get_json()
        answers = at_once([partial(shop.post, f"/api/v1/orders/{order['id']}/cancel", {})] * 8)

        assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 7}, round_
        refusals = {answer.get_json()["error"]["code"] for answer in answers if answer.status_code == 409}
        assert refusals == {"invalid_transition"}
        assert shop.levels()[item] == (100, 30)
    assert shop.differences() == []


def test_of_twenty_five_requests_with_one_key_one_is_done_and_all_get_its_answer(shop: Shop) -> None:
    (item,) = shop.stocked(100)

    answers = at_once([partial(shop.order, (item, 2), key="order-7")] * 25)

    assert {answer.status_code for answer in answers} == {201}
    assert Counter(answer.headers.get("Idempotency-Replayed") for answer in answers) == {"true": 24, None: 1}
    assert len({answer.data for answer in answers}) == 1
    assert len({(answer.headers["ETag"], answer.headers["Location"]) for answer in answers}) == 1
    assert shop.count("orders") == 1
    assert shop.levels()[item] == (100, 2)


def test_of_many_requests_with_one_key_that_are_all_refused_none_leaves_a_trace(shop: Shop) -> None:
    (item,) = shop.stocked(1)
    before = shop.everything()

    answers = at_once([partial(shop.order, (item, 2), key="order-7")] * 8)

    assert {answer.status_code for answer in answers} == {409}
    assert {answer.get_json()["error"]["code"] for answer in answers} == {"insufficient_stock"}
    assert shop.everything() == before
