"""kill -9: what was acknowledged is there, what was not can be asked for again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import psutil

from tests.conftest import answers, gunicorn
from tests.waiting import wait_until

if TYPE_CHECKING:
    from uuid import UUID

    from tests.chaos.shop import Shop

BUYERS, ORDERS_EACH = 6, 25
COME_AGAIN = {409, 503}
"""A key still claimed by the connection of a dead worker, or a database that has not noticed yet."""


def test_no_order_is_lost_or_doubled_when_workers_are_killed(shop: Shop, server_environment: dict[str, str]) -> None:
    (item,) = shop.stocked(BUYERS * ORDERS_EACH)
    acknowledged: dict[str, str] = {}
    with gunicorn(server_environment) as (master, url), ThreadPoolExecutor(BUYERS) as threads:
        wait_until(lambda: answers(url.join("/ready"), master), seconds=60)
        buyers = [threads.submit(buy, shop, url, item, f"buyer-{number}", acknowledged) for number in range(BUYERS)]
        for enough in (20, 70):
            wait_until(lambda enough=enough: len(acknowledged) >= enough, seconds=60)  # type: ignore[misc]  # bound now
            victim, *_ = psutil.Process(master.pid).children()
            victim.kill()
        resolved = {key: order_id for buyer in buyers for key, order_id in buyer.result(timeout=60).items()}
        after = httpx.get(url.join("/api/v1/orders"), headers=shop.headers)

    with shop.look() as session:
        stored = {str(row[0]) for row in session.connection().exec_driver_sql("SELECT id FROM orders")}
    assert after.status_code == 200
    assert acknowledged.items() <= resolved.items()
    assert len(resolved) == BUYERS * ORDERS_EACH
    assert set(resolved.values()) == stored
    assert len(stored) == BUYERS * ORDERS_EACH
    assert shop.levels()[item] == (BUYERS * ORDERS_EACH, BUYERS * ORDERS_EACH)
    assert shop.differences() == []


def buy(shop: Shop, url: httpx.URL, item: UUID, name: str, acknowledged: dict[str, str]) -> dict[str, str]:
    """Order one unit after the other, each with a key of its own, and ask again until it is clear what happened."""
    resolved: dict[str, str] = {}
    with httpx.Client(base_url=url, headers=shop.headers, timeout=30) as client:
        for number in range(ORDERS_EACH):
            key = f"{name}-{number}"

            def is_clear(key: str = key) -> bool:
                order = {"lines": [{"item_id": str(item), "quantity": 1}]}
                try:
                    answer = client.post("/api/v1/orders", json=order, headers={"Idempotency-Key": key})
                except httpx.TransportError:
                    return False
                if answer.status_code in COME_AGAIN:
                    return False
                assert answer.status_code == 201, answer.text
                resolved[key] = answer.json()["id"]
                return True

            wait_until(is_clear, seconds=30)
            acknowledged[key] = resolved[key]
    return resolved
