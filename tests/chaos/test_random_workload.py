"""Anything, in any order, at once: at no moment does anything not add up."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import contextmanager
from functools import partial
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import IsolationLevel

from tests.chaos.shop import at_once

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from tests.chaos.shop import Shop

THREADS, OPERATIONS = 5, 40
IMPOSSIBLE = "SELECT 'below nothing' FROM stock_levels WHERE on_hand < 0 OR reserved < 0 OR reserved > on_hand"


def test_a_random_workload_adds_up_at_every_moment(shop: Shop, database_url: str) -> None:
    seed = random.randrange(2**32)  # noqa: S311  # pytest-randomly seeds this, and prints its seed
    items = shop.stocked(30, 30, 30)
    with shop.work() as make:
        second = make.location(priority=2)
        places = [shop.place_id, second.id]
    placed: list[str] = []

    with watching(database_url) as seen:
        answers = at_once(
            [partial(act, shop, random.Random(seed + n), items, places, placed) for n in range(THREADS)]  # noqa: S311
        )

    told = Counter(answer for own in answers for answer in own)
    problem = f"seed {seed}: {told}"
    assert seen["polls"] > 10, problem
    assert seen["differences"] == [], problem
    assert {status for _, status in told} <= {200, 201, 409}, problem
    assert told["order", 201] == shop.count("orders") == len(placed), problem
    assert min(told["order", 201], told["cancel", 200], told["adjustment", 201], told["receipt", 201]) > 0, problem
    assert shop.differences() == [], problem


def act(
    shop: Shop, chance: random.Random, items: list[UUID], places: list[UUID], placed: list[str]
) -> list[tuple[str, int]]:
    """Do one thing after the other; tell what and how it was answered."""
    answers = []
    for _ in range(OPERATIONS):
        what = chance.choices(["order", "cancel", "adjustment", "receipt"], [5, 3, 2, 1])[0]
        lines = [
            {"item_id": str(item), "quantity": chance.randint(1, 6)}
            for item in chance.sample(items, chance.randint(1, len(items)))
        ]
        if what == "order":
            answer = shop.post("/api/v1/orders", {"lines": lines})
            if answer.status_code == 201:
                placed.append(answer.get_json()["id"])
        elif what == "cancel":
            if not placed:
                continue
            answer = shop.post(f"/api/v1/orders/{chance.choice(placed)}/cancel", {})
        else:
            sign = chance.choice([1, -1]) if what == "adjustment" else 1
            moved = [line | {"quantity": sign * int(str(line["quantity"]))} for line in lines]
            body = {"location_id": str(chance.choice(places)), "lines": moved}
            more = {"reason": "correction"} if what == "adjustment" else {}
            answer = shop.post(f"/api/v1/stock/{what}s", body | more)
        answers.append((what, answer.status_code))
    return answers


@contextmanager
def watching(database_url: str) -> Iterator[dict[str, Any]]:
    """Look at one frozen moment after the other from another connection, for as long as the block lasts."""
    seen: dict[str, Any] = {"polls": 0, "differences": []}
    over = Event()

    def watch() -> None:
        with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
            connection.isolation_level = IsolationLevel.REPEATABLE_READ
            while not over.is_set():
                with connection.transaction():
                    seen["differences"] += connection.execute("SELECT * FROM integrity").fetchall()
                    seen["differences"] += connection.execute(IMPOSSIBLE).fetchall()
                seen["polls"] += 1

    watcher = Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join(timeout=30)
