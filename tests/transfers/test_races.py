"""Several people at one transfer: every unit arrives once."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from api.core.caller import Caller
from api.extensions import db
from api.locations import service as locations
from api.transfers import service as transfers
from tests.live import at_once, committed
from tests.stock.reading import Level, differences, level, waiting
from tests.waiting import wait_until

if TYPE_CHECKING:
    from uuid import UUID

    from flask import Flask

    from api.items.models import Item
    from api.locations.models import Location

TRANSFERS = "/api/v1/stock/transfers"


class Scene:
    """Ten units on their way from one place to another, in a database of their own."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        with committed(app) as make:
            self.source: Location = make.location()
            self.target: Location = make.location()
            self.item: Item = make.item(stock=30, at=self.source)
            self.transfer_id: UUID = make.transfer((self.item, 10), source=self.source, target=self.target).id
            self.headers = make.headers(role="clerk")
            self.item_id, self.places = str(self.item.id), (str(self.source.id), str(self.target.id))
            db.session.commit()
            for thing in (self.source, self.target, self.item):
                db.session.refresh(thing)
                db.session.expunge(thing)

    def request(self, path: str, **body: Any) -> dict[str, Any]:
        return {"method": "POST", "path": f"{TRANSFERS}{path}", "json": body, "headers": self.headers}

    def on_this(self, verb: str, quantity: int | None = None, **more: Any) -> dict[str, Any]:
        lines = {"lines": [{"item_id": self.item_id, "quantity": quantity}]} if quantity else {}
        return self.request(f"/{self.transfer_id}/{verb}", **lines, **more)

    def levels(self) -> list[Level]:
        """Tell what lies at the source, on the road and at the target, if everything adds up."""
        with self.app.app_context():
            session = db.session()
            assert differences(session) == []
            road = locations.get(session, locations.transit(session))
            return [level(session, self.item, place) for place in (self.source, road, self.target)]


def test_of_many_receivers_of_everything_one_receives(scene: Scene) -> None:
    answers = at_once(scene.app, *[scene.on_this("receive")] * 6)

    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 5}
    assert {answer.get_json()["error"]["code"] for answer in answers if answer.status_code == 409} == {
        "invalid_transition"
    }
    assert scene.levels() == [Level(20, 0), Level(0, 0), Level(10, 0)]


def test_of_many_receivers_of_parts_as_many_receive_as_there_are_units(scene: Scene) -> None:
    answers = at_once(scene.app, *[scene.on_this("receive", 3)] * 6)

    assert Counter(answer.status_code for answer in answers) == {200: 3, 409: 3}
    assert {answer.get_json()["error"]["code"] for answer in answers if answer.status_code == 409} == {
        "exceeds_in_transit"
    }
    assert sorted(answer.get_json()["version"] for answer in answers if answer.status_code == 200) == [2, 3, 4]
    assert scene.levels() == [Level(20, 0), Level(1, 1), Level(9, 0)]


def test_receiving_calling_back_and_writing_off_at_once_share_the_units(scene: Scene) -> None:
    answers = at_once(
        scene.app,
        *[scene.on_this("receive", 2)] * 3,
        *[scene.on_this("write-off", 2, reason="lost")] * 2,
        *[scene.on_this("cancel")] * 2,
    )

    assert {answer.status_code for answer in answers} <= {200, 409}
    source, road, target = scene.levels()
    with scene.app.app_context():
        (line,) = transfers.get(db.session(), scene.transfer_id).lines
    assert (source.on_hand, road.on_hand, target.on_hand) == (20 + line.returned_quantity, 0, line.received_quantity)
    assert line.received_quantity + line.returned_quantity + line.lost_quantity == 10


def test_a_second_receiver_waits_for_the_first_and_reads_what_they_have_left(scene: Scene) -> None:
    with scene.app.app_context(), ThreadPoolExecutor(1) as elsewhere:
        session = db.session()
        transfers.receive(session, scene.transfer_id, by=Caller.system())
        second = elsewhere.submit(at_once, scene.app, scene.on_this("receive"))
        wait_until(lambda: waiting() == 1, seconds=10)
        session.commit()
        (answer,) = second.result()

    assert (answer.status_code, answer.get_json()["error"]["code"]) == (409, "invalid_transition")
    assert scene.levels() == [Level(20, 0), Level(0, 0), Level(10, 0)]


def test_a_repeated_request_moves_nothing_twice(scene: Scene) -> None:
    request = scene.on_this("receive", 4)
    request["headers"] = scene.headers | {"Idempotency-Key": "pallet-7"}

    first, second = (scene.app.test_client().open(**request) for _ in range(2))

    assert first.get_json() == second.get_json()
    assert second.headers["Idempotency-Replayed"] == "true"
    assert scene.levels()[2] == Level(4, 0)


def test_transfers_in_opposite_directions_meet_without_deadlock(scene: Scene) -> None:
    here, there = scene.places
    with committed(scene.app) as make:
        made = [make.item(stock=20, at=scene.source) for _ in range(4)]
        for item in made:
            make.receive(item, 20, at=scene.target)
        items = [str(item.id) for item in made]

    def move(start: str, end: str, order: list[str], *, in_transit: bool) -> dict[str, Any]:
        lines = [{"item_id": item_id, "quantity": 2} for item_id in order]
        return scene.request("", from_location_id=start, to_location_id=end, lines=lines, in_transit=in_transit)

    answers = at_once(
        scene.app,
        *[move(here, there, items, in_transit=False)] * 3,
        *[move(there, here, items[::-1], in_transit=False)] * 3,
        *[move(there, here, items, in_transit=True)] * 2,
    )

    assert [answer.status_code for answer in answers] == [201] * 8
    scene.levels()


def test_the_first_transfers_of_all_make_one_road(live_app: Flask) -> None:
    with committed(live_app) as make:
        source, target = make.location(), make.location()
        item = make.item(stock=30, at=source)
        headers = make.headers(role="clerk")
        body = {
            "from_location_id": str(source.id),
            "to_location_id": str(target.id),
            "in_transit": True,
            "lines": [{"item_id": str(item.id), "quantity": 5}],
        }

    answers = at_once(live_app, *[{"method": "POST", "path": TRANSFERS, "json": body, "headers": headers}] * 7)

    assert Counter(answer.status_code for answer in answers) == {201: 6, 409: 1}
    with live_app.app_context():
        roads = locations.listing(db.session(), kind="transit").page(db.session(), limit=5, after=None)[0]
        assert len(roads) == 1
        assert differences(db.session()) == []


def test_what_is_on_the_road_is_sold_to_nobody(scene: Scene) -> None:
    order = {"lines": [{"item_id": scene.item_id, "quantity": 5}]}
    orders = [{"method": "POST", "path": "/api/v1/orders", "json": order, "headers": scene.headers}] * 6

    answers = at_once(scene.app, *orders)

    assert Counter(answer.status_code for answer in answers) == {201: 4, 409: 2}
    assert scene.levels() == [Level(20, 20), Level(10, 10), Level(0, 0)]


@pytest.fixture
def scene(live_app: Flask) -> Scene:
    return Scene(live_app)
