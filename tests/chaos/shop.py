"""A shop whose database commits for good, asked by many at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import TYPE_CHECKING

from sqlalchemy import text

from api.extensions import db
from api.locations.models import Location
from tests.factories import Factory
from tests.stock.reading import differences, everything

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from uuid import UUID

    from flask import Flask
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session
    from werkzeug.test import TestResponse

ORDERS = "/api/v1/orders"


class Shop:
    """One administrator, one location, and items on its shelves; everything committed."""

    def __init__(self, app: Flask) -> None:
        """Open the shop on an application with a database of its own."""
        self.app = app
        with self.work() as make:
            self.headers = make.headers()
            self.place_id = make.location(priority=1).id

    @contextmanager
    def work(self) -> Iterator[Factory]:
        """Make things and commit them."""
        with self.app.app_context():
            yield Factory(db.session())
            db.session.commit()

    @contextmanager
    def look(self) -> Iterator[Session]:
        """Read what is committed."""
        with self.app.app_context():
            yield db.session()

    def engine(self) -> Engine:
        """Find the engine behind the application's sessions."""
        with self.app.app_context():
            return db.engine

    def stocked(self, *quantities: int) -> list[UUID]:
        """Make items of which so many lie at the one location."""
        with self.work() as make:
            place = make.session.get_one(Location, self.place_id)
            return [make.item(stock=quantity, at=place).id for quantity in quantities]

    def post(self, url: str, body: object, *, key: str | None = None) -> TestResponse:
        """Send one request of the administrator, as one thread of a server would receive it."""
        headers = self.headers | ({"Idempotency-Key": key} if key else {})
        return self.app.test_client().post(url, json=body, headers=headers)

    def order(self, *lines: tuple[UUID, int], key: str | None = None) -> TestResponse:
        """Order so many of each."""
        wanted = [{"item_id": str(item_id), "quantity": quantity} for item_id, quantity in lines]
        return self.post(ORDERS, {"lines": wanted}, key=key)

    def levels(self) -> dict[UUID, tuple[int, int]]:
        """Tell `on_hand` and `reserved` of every item at the one location."""
        query = text("SELECT item_id, on_hand, reserved FROM stock_levels WHERE location_id = :id")
        with self.look() as session:
            return {row[0]: (row[1], row[2]) for row in session.execute(query, {"id": self.place_id})}

    def count(self, table: str) -> int:
        """Count the rows of a table."""
        with self.look() as session:
            return int(session.scalar(text(f"SELECT count(*) FROM {table}")) or 0)  # noqa: S608  # tests name it

    def differences(self) -> list[object]:
        """Read the integrity view."""
        with self.look() as session:
            return list(differences(session))

    def everything(self) -> dict[str, list[str]]:
        """Read every row that an order could touch."""
        with self.look() as session:
            return everything(session)


def at_once[Result](calls: Sequence[Callable[[], Result]]) -> list[Result]:
    """Call everything at the same moment, each in a thread of its own; tell the results in the order of the calls."""
    start = Barrier(len(calls))

    def run(call: Callable[[], Result]) -> Result:
        start.wait(timeout=30)
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))
