"""Several people count, and somebody posts: every entry is either in what is booked, or refused."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from api.core.caller import Caller
from api.counts import service as counts
from api.extensions import db
from tests.live import at_once, committed
from tests.stock.reading import Level, differences, ledger, level, waiting
from tests.waiting import wait_until

if TYPE_CHECKING:
    from uuid import UUID

    from flask import Flask
    from sqlalchemy.orm import Session

    from api.items.models import Item
    from api.locations.models import Location

COUNTS, STOCK = "/api/v1/stock/counts", "/api/v1/stock"


class Scene:
    """Ten units at a place that is being counted, in a database of their own."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        with committed(app) as make:
            self.place: Location = make.location()
            self.item: Item = make.item(stock=10, at=self.place)
            self.count_id: UUID = make.count(self.place).id
            self.headers = make.headers(role="clerk")
            self.item_id, self.place_id = str(self.item.id), str(self.place.id)
            db.session.commit()
            for thing in (self.place, self.item):
                db.session.refresh(thing)
                db.session.expunge(thing)

    def request(self, path: str, **body: Any) -> dict[str, Any]:
        return {"method": "POST", "path": path, "json": body, "headers": self.headers}

    def entry(self, quantity: int, **more: Any) -> dict[str, Any]:
        lines = [{"item_id": self.item_id, "quantity": quantity, **more}]
        return self.request(f"{COUNTS}/{self.count_id}/entries", lines=lines)

    def posting(self) -> dict[str, Any]:
        return self.request(f"{COUNTS}/{self.count_id}/post")

    def found(self) -> dict[str, Any]:
        path = f"{COUNTS}/{self.count_id}/lines"
        (line,) = self.app.test_client().get(path, headers=self.headers).get_json()["data"]
        return dict(line)

    def level(self) -> Level:
        """Tell what lies there, if everything adds up."""
        with self.app.app_context():
            assert differences(db.session()) == []
            return level(db.session(), self.item, self.place)


def test_everybody_who_enters_at_once_counts(scene: Scene) -> None:
    answers = at_once(scene.app, *[scene.entry(quantity) for quantity in (1, 2, 3, 4, 5, 6)])

    assert {answer.status_code for answer in answers} == {201}
    assert (scene.found()["counted"], scene.found()["entries"]) == (21, 6)


def test_people_who_enter_do_not_wait_for_each_other(scene: Scene) -> None:
    with scene.app.app_context():
        enter(db.session(), scene, 4)
        (answer,) = at_once(scene.app, scene.entry(5))
        db.session.commit()

    assert answer.status_code == 201
    assert scene.found()["counted"] == 9


def test_an_entry_that_is_being_made_is_in_what_is_posted(scene: Scene) -> None:
    with scene.app.app_context(), ThreadPoolExecutor(1) as elsewhere:
        enter(db.session(), scene, 7)
        posting = elsewhere.submit(at_once, scene.app, scene.posting())
        wait_until(lambda: waiting() == 1, seconds=10)
        db.session.commit()
        (answer,) = posting.result()

    assert (answer.status_code, answer.get_json()["items_counted"]) == (200, 1)
    assert scene.level() == Level(7, 0)


@pytest.mark.parametrize("recount", [False, True])
def test_an_entry_that_comes_while_it_is_being_posted_is_refused(scene: Scene, *, recount: bool) -> None:
    with scene.app.app_context(), ThreadPoolExecutor(1) as elsewhere:
        enter(db.session(), scene, 7)
        counts.post(db.session(), scene.count_id, by=Caller.system())
        late = elsewhere.submit(at_once, scene.app, scene.entry(1, recount=recount))
        wait_until(lambda: waiting() == 1, seconds=10)
        db.session.commit()
        (answer,) = late.result()

    assert (answer.status_code, answer.get_json()["error"]["code"]) == (409, "invalid_transition")
    assert scene.level() == Level(7, 0)
    assert scene.found()["entries"] == 1


def test_of_entries_and_postings_at_once_nothing_is_lost(scene: Scene) -> None:
    answers = at_once(scene.app, *[scene.entry(2)] * 6, *[scene.posting()] * 2)

    entered, posted = answers[:6], answers[6:]
    assert {answer.status_code for answer in entered} <= {201, 409}
    assert Counter(answer.status_code for answer in posted) == {200: 1, 409: 1}
    accepted = sum(answer.status_code == 201 for answer in entered)
    assert scene.level() == Level(2 * accepted if accepted else 10, 0)


def test_of_two_recounts_at_once_the_later_counts(scene: Scene) -> None:
    at_once(scene.app, scene.entry(3))
    with scene.app.app_context(), ThreadPoolExecutor(1) as elsewhere:
        enter(db.session(), scene, 8, recount=True)
        later = elsewhere.submit(at_once, scene.app, scene.entry(9, recount=True))
        wait_until(lambda: waiting() == 1, seconds=10)
        db.session.commit()
        (answer,) = later.result()

    assert answer.status_code == 201
    assert (scene.found()["counted"], scene.found()["entries"]) == (9, 1)


def test_what_comes_and_goes_at_the_same_moment_is_accounted_for(scene: Scene) -> None:
    at_once(scene.app, scene.entry(9))
    lines = [{"item_id": scene.item_id, "quantity": 1}]

    answers = at_once(
        scene.app,
        *[scene.request(f"{STOCK}/receipts", location_id=scene.place_id, lines=lines)] * 3,
        *[scene.request("/api/v1/orders", lines=lines)] * 2,
        scene.posting(),
    )

    assert [answer.status_code for answer in answers] == [201] * 5 + [200]
    assert scene.level() == Level(12, 2)
    with scene.app.app_context():
        (correction,) = [row for row in ledger(db.session(), scene.item) if row.kind == "count"]
        assert correction.on_hand_change == -1


def test_of_many_who_open_a_count_at_once_one_does(scene: Scene) -> None:
    with committed(scene.app) as make:
        place_id = str(make.location().id)

    answers = at_once(scene.app, *[scene.request(COUNTS, location_id=place_id)] * 5)

    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 4}
    assert {answer.get_json()["error"]["code"] for answer in answers if answer.status_code == 409} == {"count_open"}


def test_a_repeated_entry_counts_once(scene: Scene) -> None:
    request = scene.entry(4)
    request["headers"] = scene.headers | {"Idempotency-Key": "shelf-7"}

    first, second = (scene.app.test_client().open(**request) for _ in range(2))

    assert first.get_json() == second.get_json()
    assert scene.found()["counted"] == 4


def enter(session: Session, scene: Scene, quantity: int, *, recount: bool = False) -> None:
    found = counts.Found(item_id=scene.item.id, quantity=quantity, recount=recount)
    counts.enter(session, scene.count_id, lines=[found], by=Caller.system())


@pytest.fixture
def scene(live_app: Flask) -> Scene:
    return Scene(live_app)
