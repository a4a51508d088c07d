"""Locks are taken in key order, whatever the order of the lines: whoever waits for a row holds none above it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from werkzeug.test import TestResponse

    from tests.chaos.shop import Shop

LOCK = "SELECT FROM stock_levels WHERE item_id = %s AND location_id = %s FOR UPDATE"
INSERT = "INSERT INTO stock_levels (item_id, location_id) VALUES (%s, %s)"
WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'stockroom' AND wait_event_type = 'Lock'
"""


@pytest.mark.parametrize(
    "name",
    [
        "orders",
        "orders/bulk",
        "cancel",
        "edit",
        "reservations",
        "release of a reservation",
        "shipment",
        "return",
        "adjustment",
        "receipt",
        "receipt of what was never there",
    ],
)
def test_who_waits_for_the_lowest_row_holds_no_higher_one(shop: Shop, database_url: str, name: str) -> None:
    is_new = name.endswith("there")
    items = sorted(shop.stocked(*[0 if is_new else 5] * 6))
    request = request_of(shop, name, items[::-1])
    claim = INSERT if is_new else LOCK
    conninfo = database_url.replace("+psycopg", "")

    with psycopg.connect(conninfo) as holder, psycopg.connect(conninfo) as prober, ThreadPoolExecutor(1) as thread:
        holder.execute(claim, [items[0], shop.place_id])
        waiter = thread.submit(request)
        wait_until(lambda: count_waiting(conninfo) == 1 or waiter.done(), seconds=20)
        prober.execute("SET lock_timeout = '500ms'")
        for item in items[1:]:
            prober.execute(claim, [item, shop.place_id])
        assert not waiter.done()
        prober.rollback()
        holder.rollback()
        answer = waiter.result(timeout=20)

    assert answer.status_code in {200, 201}, answer.text
    assert shop.differences() == []


def count_waiting(conninfo: str) -> int:
    """Count the requests that wait for a lock."""
    with psycopg.connect(conninfo) as connection:
        ((number,),) = connection.execute(WAITING)
    return int(number)


def request_of(shop: Shop, name: str, items: list[UUID]) -> Callable[[], TestResponse]:
    """Prepare a request about these items, in this order."""
    lines = [{"item_id": str(item), "quantity": 1} for item in items]
    bodies: dict[str, dict[str, object]] = {
        "orders": {"lines": lines},
        "reservations": {"lines": lines},
        "orders/bulk": {"orders": [{"lines": [line]} for line in lines]},
    }
    if name in bodies:
        return lambda: shop.post(f"/api/v1/{name}", bodies[name])
    if name == "release of a reservation":
        held = shop.post("/api/v1/reservations", {"lines": lines}).get_json()
        return lambda: shop.post(f"/api/v1/reservations/{held['id']}/release", {})
    if name in {"cancel", "edit", "shipment", "return"}:
        return _of_an_order(shop, name, lines)
    body = {"location_id": str(shop.place_id), "lines": lines}
    if name == "adjustment":
        return lambda: shop.post("/api/v1/stock/adjustments", body | {"reason": "found"})
    return lambda: shop.post("/api/v1/stock/receipts", body)


def _of_an_order(shop: Shop, name: str, lines: list[dict[str, object]]) -> Callable[[], TestResponse]:
    """Prepare a request about an order of these lines; an edit swaps the upper half of the items for the lower."""
    half = len(lines) // 2
    order = shop.post("/api/v1/orders", {"lines": lines[:half] if name == "edit" else lines}).get_json()
    url = f"/api/v1/orders/{order['id']}"
    if name == "cancel":
        return lambda: shop.post(f"{url}/cancel", {})
    if name == "edit":
        headers = shop.headers | {"If-Match": '"1"'}
        return lambda: shop.app.test_client().patch(url, json={"lines": lines[half:]}, headers=headers)
    if name == "shipment":
        return lambda: shop.post(f"{url}/shipments", {})
    shop.post(f"{url}/shipments", {})
    asked = shop.post(f"{url}/returns", {}).get_json()
    return lambda: shop.post(f"{url}/returns/{asked['id']}/receive", {})
