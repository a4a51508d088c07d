"""Several people at one order: every unit leaves once."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from api.core.caller import Caller
from api.extensions import db
from api.orders import service as orders
from api.shipments import service as shipments
from tests.live import at_once, committed
from tests.stock.reading import Level, differences, level, waiting
from tests.waiting import wait_until

if TYPE_CHECKING:
    from uuid import UUID

    from flask import Flask
    from werkzeug.test import TestResponse

    from api.items.models import Item
    from api.locations.models import Location


class Scene:
    """Ten units on a shelf, and an order for six of them, in a database of their own."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        with committed(app) as make:
            self.place: Location = make.location()
            self.item: Item = make.item(stock=10, at=self.place)
            self.order_id: UUID = make.order((self.item, 6)).id
            self.headers = make.headers(role="clerk")
            self.item_id = str(self.item.id)
            db.session.commit()
            for thing in (self.place, self.item):
                db.session.refresh(thing)
                db.session.expunge(thing)

    def request(self, verb: str, quantity: int | None = None, **more: Any) -> dict[str, Any]:
        lines = {"lines": [{"item_id": self.item_id, "quantity": quantity}]} if quantity else {}
        path = f"/api/v1/orders/{self.order_id}/{verb}"
        return {"method": "POST", "path": path, "json": lines | more, "headers": self.headers}

    def end(self) -> tuple[Level, str, int]:
        """Tell what lies on the shelf, the order's status and the units that left, if everything adds up."""
        with self.app.app_context():
            session, by = db.session(), Caller.system()
            assert differences(session) == []
            order = orders.get(session, self.order_id, by=by)
            rows, _ = shipments.of_order(session, self.order_id, by=by).page(session, limit=50, after=None)
            units = sum(line.quantity for shipment in rows for line in shipment.lines)
            assert units == order.lines[0].shipped_quantity
            return level(session, self.item, self.place), order.status, units


def test_of_many_who_ship_everything_one_does(scene: Scene) -> None:
    answers = at_once(scene.app, *[scene.request("shipments")] * 10)

    assert outcomes(answers) == {(201, None): 1, (409, "invalid_transition"): 9}
    assert scene.end() == (Level(4, 0), "shipped", 6)


def test_of_many_who_ship_parts_as_many_do_as_there_are_units(scene: Scene) -> None:
    answers = at_once(scene.app, *[scene.request("shipments", 4)] * 6)

    assert outcomes(answers) == {(201, None): 1, (409, "exceeds_outstanding"): 5}
    assert scene.end() == (Level(6, 2), "partially_shipped", 4)


def test_a_shipment_and_a_cancellation_of_everything_share_nothing(scene: Scene) -> None:
    answers = at_once(scene.app, *[scene.request("shipments"), scene.request("cancel")] * 4)

    found = outcomes(answers)
    assert found[409, "invalid_transition"] == 7
    is_shipped = (201, None) in found
    assert scene.end() == ((Level(4, 0), "shipped", 6) if is_shipped else (Level(10, 0), "cancelled", 0))


def test_who_cancels_waits_for_who_ships_and_cancels_only_what_is_left(scene: Scene) -> None:
    with scene.app.app_context(), ThreadPoolExecutor(1) as elsewhere:
        session = db.session()
        some = [orders.LineChoice(line_no=1, quantity=4)]
        shipments.ship(session, scene.order_id, lines=some, by=Caller.system())
        second = elsewhere.submit(at_once, scene.app, scene.request("cancel"))
        wait_until(lambda: waiting() == 1, seconds=10)
        session.commit()
        (answer,) = second.result()

    assert (answer.status_code, answer.get_json()["status"]) == (200, "shipped")
    assert scene.end() == (Level(6, 0), "shipped", 4)


def test_of_many_who_deliver_one_does(scene: Scene) -> None:
    with committed(scene.app) as make:
        shipment_id = shipments.ship(make.session, scene.order_id, by=make.by).id

    answers = at_once(scene.app, *[scene.request(f"shipments/{shipment_id}/deliver")] * 6)

    assert outcomes(answers) == {(200, None): 1, (409, "invalid_transition"): 5}
    assert scene.end() == (Level(4, 0), "delivered", 6)


def test_two_shipments_delivered_at_once_deliver_the_order(scene: Scene) -> None:
    with committed(scene.app) as make:
        some = [orders.LineChoice(line_no=1, quantity=4)]
        ids = [shipments.ship(make.session, scene.order_id, lines=lines, by=make.by).id for lines in (some, None)]

    answers = at_once(scene.app, *[scene.request(f"shipments/{shipment_id}/deliver") for shipment_id in ids])

    assert outcomes(answers) == {(200, None): 2}
    assert scene.end()[1] == "delivered"


def test_of_many_who_note_something_on_one_copy_one_does(scene: Scene) -> None:
    with committed(scene.app) as make:
        shipment_id = shipments.ship(make.session, scene.order_id, by=make.by).id
    path = f"/api/v1/orders/{scene.order_id}/shipments/{shipment_id}"
    request = {"method": "PATCH", "path": path, "headers": scene.headers | {"If-Match": '"1"'}}

    answers = at_once(scene.app, *[request | {"json": {"note": f"Note {number}"}} for number in range(6)])

    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 5}


def test_a_repeated_request_ships_nothing_twice(scene: Scene) -> None:
    request = scene.request("shipments", 2)
    request["headers"] = scene.headers | {"Idempotency-Key": "parcel-7"}

    first, second = (scene.app.test_client().open(**request) for _ in range(2))

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.get_json() == second.get_json()
    assert first.headers["Location"] == second.headers["Location"]
    assert second.headers["Idempotency-Replayed"] == "true"
    assert scene.end() == (Level(8, 4), "partially_shipped", 2)


def outcomes(answers: list[TestResponse]) -> Counter[tuple[int, str | None]]:
    """Count answers by their status and code."""
    return Counter(
        (answer.status_code, answer.get_json()["error"]["code"] if answer.status_code >= 400 else None)
        for answer in answers
    )


@pytest.fixture
def scene(live_app: Flask) -> Scene:
    return Scene(live_app)
