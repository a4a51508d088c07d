"""Several people at the same units: nothing is kept for two, and nothing is taken before its time is over."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from api.core.caller import Caller
from api.extensions import db
from api.jobs.app import tasks as queue
from api.orders import service as orders
from api.reservations import service as reservations
from api.reservations import tasks
from tests.factories import GBP
from tests.live import at_once, committed
from tests.reservations.clock import end
from tests.stock.reading import Level, differences, ledger, level, waiting
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from uuid import UUID

    from flask import Flask
    from sqlalchemy.orm import Session
    from werkzeug.test import TestResponse

    from api.items.models import Item
    from api.locations.models import Location

RESERVATIONS, ORDERS = "/api/v1/reservations", "/api/v1/orders"
LAPSED = text("SELECT subject_id FROM events WHERE type = 'reservation.lapsed'")
LOCK = text("SELECT 1 FROM stock_levels, allocations WHERE owner_id = ANY(:owners) FOR UPDATE")


class Scene:
    """Ten units in one place, in a database of their own."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        with committed(app) as make:
            self.place: Location = make.location()
            self.item: Item = make.item(stock=10, at=self.place)
            self.clerk = make.headers(role="clerk")
            customer = make.user(role="customer")
            self.customer = make.headers(user=customer)
            self.item_id = str(self.item.id)
            db.session.commit()
            for thing in (self.place, self.item):
                db.session.refresh(thing)
                db.session.expunge(thing)

    def post(self, path: str, *, headers: dict[str, str] | None = None, **body: Any) -> dict[str, Any]:
        return {"method": "POST", "path": path, "json": body, "headers": headers or self.clerk}

    def reserve(self, quantity: int = 1, **more: Any) -> dict[str, Any]:
        return self.post(RESERVATIONS, lines=[{"item_id": self.item_id, "quantity": quantity}], **more)

    def buy(self, quantity: int) -> dict[str, Any]:
        return self.post(ORDERS, lines=[{"item_id": self.item_id, "quantity": quantity}])

    def made(self, quantity: int, *, ttl_seconds: int = 900) -> UUID:
        with committed(self.app) as make:
            return make.reservation((self.item, quantity), ttl_seconds=ttl_seconds).id

    def over(self, *reservation_ids: UUID) -> None:
        with self.session() as session:
            end(session, *reservation_ids)
            session.commit()

    def status(self, reservation_id: UUID) -> str | None:
        with self.session() as session:
            return reservations.get(session, reservation_id, by=Caller.system()).status_now

    def level(self) -> Level:
        """Tell what lies there and what is kept of it, if everything adds up."""
        with self.session() as session:
            assert differences(session) == []
            return level(session, self.item, self.place)

    @contextmanager
    def session(self) -> Iterator[Session]:
        with self.app.app_context():
            yield db.session()


def test_of_many_who_reserve_the_last_units_as_many_get_them_as_there_are(scene: Scene) -> None:
    answers = at_once(scene.app, *[scene.reserve()] * 20)

    assert statuses(answers) == {201: 10, 409: 10}
    assert codes(answers) == {"insufficient_stock"}
    assert scene.level() == Level(10, 10)


def test_of_many_who_reserve_and_buy_nobody_gets_what_another_has(scene: Scene) -> None:
    answers = at_once(scene.app, *[scene.reserve(3)] * 5, *[scene.buy(3)] * 5)

    assert statuses(answers) == {201: 3, 409: 7}
    assert scene.level() == Level(10, 9)


def test_of_many_who_want_what_a_hold_kept_as_many_get_it_as_there_are_units(scene: Scene) -> None:
    scene.over(*(scene.made(5) for _ in range(2)))

    answers = at_once(scene.app, *[scene.reserve(2)] * 5, *[scene.buy(2)] * 5)

    assert statuses(answers) == {201: 5, 409: 5}
    assert scene.level() == Level(10, 10)


def test_a_customer_keeps_as_many_units_as_allowed_however_many_requests_come_at_once(
    start: Callable[..., Flask],
) -> None:
    scene = Scene(start(reservation_units_per_customer=5))

    answers = at_once(scene.app, *[scene.reserve(2, headers=scene.customer)] * 8)

    assert statuses(answers) == {201: 2, 409: 6}
    assert codes(answers) == {"reservation_limit_reached"}
    assert scene.level() == Level(10, 4)


def test_a_customer_has_as_many_reservations_as_allowed_however_many_requests_come_at_once(
    start: Callable[..., Flask],
) -> None:
    scene = Scene(start(reservations_per_customer=3))

    answers = at_once(scene.app, *[scene.reserve(headers=scene.customer)] * 8)

    assert statuses(answers) == {201: 3, 409: 5}
    assert codes(answers) == {"reservation_limit_reached"}


def test_a_request_sent_twice_at_once_keeps_units_once(scene: Scene) -> None:
    request = scene.reserve(2, headers=scene.customer | {"Idempotency-Key": "cart-7"})

    answers = at_once(scene.app, *[request] * 5)

    assert len({answer.get_json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert scene.level() == Level(10, 2)


def test_a_reservation_ends_once_however_many_end_it(scene: Scene) -> None:
    reservation_id = scene.made(4)
    as_an_order = scene.post(ORDERS, reservation_id=str(reservation_id))
    released = scene.post(f"{RESERVATIONS}/{reservation_id}/release")

    answers = at_once(scene.app, *[as_an_order] * 4, *[released] * 4)

    won = [answer for answer in answers if answer.status_code < 300]
    assert len(won) == 1
    assert codes(answers) == {"reservation_ended"}
    assert scene.level() == (Level(10, 4) if won[0].status_code == 201 else Level(10, 0))


def test_what_is_extended_in_time_neither_lapses_nor_is_sold(scene: Scene) -> None:
    reservation_id = scene.made(10, ttl_seconds=3)
    with scene.session() as session, ThreadPoolExecutor(1) as elsewhere:
        before = reservations.get(session, reservation_id, by=Caller.system()).expires_at
        reservations.extend(session, reservation_id, ttl_seconds=900, by=Caller.system())
        wait_until(lambda: now() > before, seconds=10)
        assert elsewhere.submit(lapse, scene.app).result() == 0  # it does not even wait
        buyer = elsewhere.submit(at_once, scene.app, scene.buy(10))
        wait_until(lambda: waiting() == 1, seconds=10)
        session.commit()
        (answer,) = buyer.result()

    assert (answer.status_code, answer.get_json()["error"]["code"]) == (409, "insufficient_stock")
    assert scene.status(reservation_id) == "held"
    assert scene.level() == Level(10, 10)


def test_who_comes_while_a_buyer_takes_what_is_over_comes_too_late(start: Callable[..., Flask]) -> None:
    scene = Scene(start(database_lock_timeout_ms=20_000))
    held = [scene.made(3, ttl_seconds=3) for _ in range(3)]
    requests = [
        scene.post(f"{RESERVATIONS}/{held[0]}/extend", ttl_seconds=900),
        scene.post(f"{RESERVATIONS}/{held[1]}/release"),
        scene.post(ORDERS, reservation_id=str(held[2])),
    ]
    with scene.session() as session, ThreadPoolExecutor(1) as elsewhere:
        first, last = (reservations.get(session, one, by=Caller.system()).expires_at for one in (held[0], held[-1]))
        session.execute(LOCK, {"owners": held})  # what a buyer locks, who has begun already
        latecomers = elsewhere.submit(at_once, scene.app, *requests)
        wait_until(lambda: waiting() == len(requests), seconds=10)
        assert now() < first  # they came in time, and found the units locked
        wait_until(lambda: now() > last, seconds=10)
        buy(session, scene.item, 10)
        session.commit()
        answers = latecomers.result()

    assert (statuses(answers), codes(answers)) == ({409: 3}, {"reservation_ended"})
    assert scene.level() == Level(10, 10)
    assert lapse(scene.app) == 3
    assert scene.level() == Level(10, 10)


def test_many_workers_write_once_what_has_lapsed(scene: Scene) -> None:
    with committed(scene.app) as make:
        made = [make.reservation((make.item(stock=2, at=scene.place), 1)).id for _ in range(30)]
    scene.over(*made)

    with ThreadPoolExecutor(4) as threads:
        written = list(threads.map(lambda _: lapse(scene.app, at_most=10), range(4)))

    assert sum(written) + lapse(scene.app) == 30
    with scene.session() as session:
        assert sorted(session.scalars(LAPSED)) == sorted(made)
        assert session.scalar(text("SELECT count(*) FROM stock_movements WHERE reason = 'lapsed'")) == 30
    scene.level()


def test_sweeping_extending_releasing_buying_and_reserving_at_once_leave_no_difference(scene: Scene) -> None:
    over, held = [scene.made(2) for _ in range(2)], [scene.made(2) for _ in range(3)]
    scene.over(*over)
    on_each = []
    for one in (*over, *held):
        on_each.append(scene.post(f"{RESERVATIONS}/{one}/extend", ttl_seconds=1800))
        on_each.append(scene.post(f"{RESERVATIONS}/{one}/release"))

    with ThreadPoolExecutor(2) as sweepers:
        swept = [sweepers.submit(lapse, scene.app) for _ in range(2)]
        answers = at_once(scene.app, *on_each, *[scene.buy(2)] * 4, *[scene.reserve(2)] * 4)

    assert {answer.status_code for answer in answers} <= {200, 201, 409}
    assert all(one.result() is not None for one in swept)
    lapse(scene.app)
    assert scene.level().on_hand == 10
    assert [scene.status(one) for one in (*over, *held)] == ["lapsed"] * 2 + ["released"] * 3
    with scene.session() as session:
        assert Counter(session.scalars(LAPSED)) == Counter(over)


def test_a_worker_sweeps_every_minute_as_its_tasks_say(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "flask_app", scene.app, raising=False)
    over = scene.made(4)
    scene.over(over)

    tasks.lapse_reservations(timestamp=0)

    assert scene.level() == Level(10, 0)
    with scene.session() as session:
        assert reservations.get(session, over, by=Caller.system()).status == "lapsed"
        assert [row.reason for row in ledger(session, scene.item)][-1] == "lapsed"
    another = scene.made(4)
    scene.over(another)
    tasks.lapse_more_reservations()
    assert scene.level() == Level(10, 0)
    due = {work.task.name.rpartition(":")[2]: work.cron for work in queue.periodic_registry.periodic_tasks.values()}
    assert due["lapse_reservations"] == "* * * * *"


def lapse(app: Flask, *, at_most: int = 500) -> int:
    """Sweep as a worker does, in a transaction of its own."""
    with app.app_context(), db.session.begin():
        return reservations.lapse(db.session(), by=Caller.system(), at_most=at_most)


def buy(session: Session, item: Item, quantity: int) -> None:
    request = orders.OrderRequest(lines=[orders.LineRequest(item_id=item.id, quantity=quantity)])
    orders.place(session, request, currency=GBP, by=Caller.system())


def now() -> datetime:
    """Read the clock that counts, on a connection of its own."""
    with db.engine.connect() as connection:
        moment: datetime = connection.scalar(text("SELECT clock_timestamp()"))
        return moment


def statuses(answers: list[TestResponse]) -> dict[int, int]:
    return Counter(answer.status_code for answer in answers)


def codes(answers: list[TestResponse]) -> set[str]:
    return {answer.get_json()["error"]["code"] for answer in answers if answer.status_code >= 400}


@pytest.fixture
def scene(live_app: Flask) -> Scene:
    return Scene(live_app)
