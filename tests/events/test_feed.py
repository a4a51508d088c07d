"""The feed: complete and in order, whoever commits when; for those who may see it."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from threading import Event as Signal
from threading import Thread
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import text

from api.core.caller import Caller
from api.core.waiting import WaitingRoom
from api.events import repository
from api.events import service as events
from api.events.errors import EventsExpired
from api.extensions import db
from tests.live import committed
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

SYSTEM = Caller.system()
ITEM = {"sku": "KETTLE", "name": "Kettle", "unit_price": "19.99", "is_stocked": True}


def write(app: Flask, *subjects: UUID, before_commit: Callable[[], object] = lambda: None) -> None:
    """Record an event of each subject in one transaction."""
    with app.app_context():
        for subject in subjects:
            events.record(db.session(), "item.updated", subject, ITEM, by=SYSTEM)
        before_commit()
        db.session.commit()


def read(app: Flask, **wanted: Any) -> events.Slice:
    with app.app_context():
        return events.read(db.session(), by=SYSTEM, **wanted)


class Follower:
    """Reads the feed in a thread, as a subscriber does: remembers where it is, and asks again."""

    def __init__(self, app: Flask, *, limit: int) -> None:
        self.seen: list[Any] = []
        self._app, self._limit, self._after = app, limit, 0
        self._end = Signal()
        self._thread = Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._look()

    def _run(self) -> None:
        while not self._end.is_set():
            self._look()

    def _look(self) -> None:
        while True:
            found = read(self._app, after=self._after, limit=self._limit)
            self.seen += [(event.position, event.id, event.subject_id, event.sequence) for event in found.data]
            self._after = found.next_after
            if not found.has_more:
                return


def test_many_writers_leave_no_gap_and_no_reader_ever_misses_an_event(live_app: Flask) -> None:
    """Long and short transactions overlap, some roll back; followers read all the while."""
    subjects = [uuid4() for _ in range(6)]

    def writer(seed: int) -> None:
        dice, pause = random.Random(seed), Signal()  # noqa: S311  # a seed, so that a run can be repeated
        for _ in range(25):
            with live_app.app_context():
                for subject in sorted(dice.sample(subjects, dice.randint(1, 3))):
                    db.session.execute(
                        text("SELECT pg_advisory_xact_lock(hashtext(:subject))"), {"subject": str(subject)}
                    )
                    events.record(db.session(), "item.updated", subject, ITEM, by=SYSTEM)
                pause.wait(dice.choice([0, 0, 0.002, 0.01]))
                if dice.random() < 0.2:
                    db.session.rollback()
                else:
                    db.session.commit()

    with Follower(live_app, limit=7) as one, Follower(live_app, limit=100) as other, ThreadPoolExecutor(8) as threads:
        list(threads.map(writer, range(8)))

    with live_app.app_context():
        written = {row.id: row.number for row in db.session.execute(text("SELECT id, number FROM events"))}
    assert len(written) > 200
    for seen in (one.seen, other.seen):
        assert [position for position, *_ in seen] == list(range(1, len(written) + 1)), (
            "no gap, nothing twice, in order"
        )
        assert {event_id for _, event_id, *_ in seen} == set(written)
        for subject in subjects:
            mine = [(sequence, written[event_id]) for _, event_id, about, sequence in seen if about == subject]
            assert [sequence for sequence, _ in mine] == list(range(1, len(mine) + 1))
            assert mine == sorted(mine), "in the order in which its changes happened"


def test_one_that_commits_late_comes_after_those_that_did_not_wait(live_app: Flask) -> None:
    early, late = uuid4(), uuid4()
    is_written, may_commit = Signal(), Signal()

    def linger() -> None:
        is_written.set()
        may_commit.wait(20)

    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(write, live_app, late, before_commit=linger)
        is_written.wait(20)
        write(live_app, early)
        first = read(live_app)
        may_commit.set()
        slow.result(20)

    second = read(live_app, after=first.next_after)
    assert [(event.subject_id, event.position) for event in first.data] == [(early, 1)], "it does not hold others up"
    assert [(event.subject_id, event.position) for event in second.data] == [(late, 2)], "and is not missed"


def test_whoever_publishes_beside_another_leaves_it_the_work(live_app: Flask) -> None:
    write(live_app, uuid4())
    with live_app.app_context():
        with db.engine.connect() as first, db.engine.connect() as second:
            assert repository.publish(db.session()) == 1
            assert second.execute(text("SELECT last FROM event_feed FOR UPDATE SKIP LOCKED")).all() == []
            assert first.execute(text("SELECT count(*) FROM events WHERE position IS NOT NULL")).scalar() == 0
        db.session.commit()
        assert repository.publish(db.session()) == 0
        db.session.rollback()

    assert read(live_app).next_after == 1


def test_a_consumer_gets_each_event_once_together_with_what_it_makes_of_it(live_app: Flask) -> None:
    write(live_app, *(uuid4() for _ in range(5)))
    with live_app.app_context():
        taken = events.take(db.session(), "webhooks", limit=3)
        assert [event.position for event in taken] == [1, 2, 3]
        db.session.rollback()
        assert [event.position for event in events.take(db.session(), "webhooks", limit=3)] == [1, 2, 3]
        db.session.commit()
        assert [event.position for event in events.take(db.session(), "webhooks", limit=3)] == [4, 5]
        with ThreadPoolExecutor(1) as threads:
            assert threads.submit(take, live_app).result(20) == [], "somebody else is at it"
        db.session.commit()
        assert events.take(db.session(), "webhooks", limit=3) == []
        db.session.rollback()


def take(app: Flask) -> list[Any]:
    with app.app_context():
        return list(events.take(db.session(), "webhooks"))


def test_a_filtered_reader_moves_on_past_what_it_does_not_want(
    live_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "WINDOW", 4)
    wanted = uuid4()
    write(live_app, *(uuid4() for _ in range(9)))
    with live_app.app_context():
        events.record(db.session(), "item.archived", wanted, ITEM, by=SYSTEM)
        db.session.commit()

    pages = [read(live_app, types=["item.archived"])]
    while pages[-1].has_more:
        pages.append(read(live_app, types=["item.archived"], after=pages[-1].next_after))

    assert [(len(page.data), page.next_after) for page in pages] == [(0, 4), (0, 8), (1, 10)]
    assert [event.subject_id for event in read(live_app, subject_id=wanted).data] == [wanted]


def test_waiting_holds_no_connection_and_ends_with_the_news(start: Callable[..., Flask]) -> None:
    app, room = start(database_pool_size=2), WaitingRoom(1)
    subject = uuid4()

    def follow() -> events.Slice:
        with app.app_context():
            return events.follow(db.session(), by=SYSTEM, room=room, wait=20)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(follow)
        with app.app_context():
            wait_until(lambda: room._seats._value == 0 and db.engine.pool.checkedout() == 0, seconds=10)  # type: ignore[attr-defined,union-attr]  # noqa: SLF001  # to look inside
        without_a_seat = threads.submit(follow).result(5)
        assert not first.done()
        write(app, subject)
        found = first.result(10)

    assert without_a_seat.data == []
    assert [event.subject_id for event in found.data] == [subject]


def test_waiting_ends_when_the_process_does(live_app: Flask) -> None:
    room = WaitingRoom(1)
    with ThreadPoolExecutor(1) as threads, live_app.app_context():
        waiting = threads.submit(follow_in, live_app, room)
        wait_until(lambda: room._seats._value == 0, seconds=10)  # type: ignore[union-attr]  # noqa: SLF001  # to look inside
        room.is_closing = lambda: True
        assert waiting.result(5).data == []


def follow_in(app: Flask, room: WaitingRoom) -> events.Slice:
    with app.app_context():
        return events.follow(db.session(), by=SYSTEM, room=room, wait=600)


def partitions(database_url: str) -> set[str]:
    query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'events'::regclass"
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        return {row[0] for row in connection.execute(query)}


OLD = """
    INSERT INTO events (id, type, subject_id, data, recorded_at)
    SELECT gen_random_uuid(), 'item.updated', gen_random_uuid(), '{}', moment
    FROM generate_series(now() - interval '4 months', now(), interval '1 month') AS moment
"""


def test_old_months_go_when_everybody_has_read_them_and_readers_are_told(live_app: Flask, database_url: str) -> None:
    with live_app.app_context():
        db.session.execute(text("SELECT keep_event_partitions(now() - interval '4 months')"))
        db.session.execute(text(OLD))
        db.session.commit()
        before = partitions(database_url)
        events.catch_up(db.session())
        assert events.keep_partitions(db.session(), days=14) == [], "nobody has read them yet"
        db.session.execute(text("UPDATE event_consumers SET position = 5"))
        gone = events.keep_partitions(db.session(), days=14)
        db.session.commit()

    assert len(before) == 1 + 5 + 3
    assert partitions(database_url) == before - set(gone)
    assert 3 <= len(gone) <= 4
    left = 5 - len(gone)
    assert [event.position for event in read(live_app).data] == list(range(len(gone) + 1, 6))
    assert len(read(live_app, after=len(gone)).data) == left
    with pytest.raises(EventsExpired, match=f"go on with after={len(gone)}"):
        read(live_app, after=len(gone) - 1)


def test_events_of_a_month_nobody_made_room_for_are_kept_as_long_as_the_others(live_app: Flask) -> None:
    with live_app.app_context():
        db.session.execute(text(OLD))
        db.session.commit()
        assert db.session.scalar(text("SELECT count(*) FROM events_default")) == 4
        events.catch_up(db.session())
        events.keep_partitions(db.session(), days=70)
        assert db.session.scalar(text("SELECT count(*) FROM events_default")) == 4, "nobody has read them yet"
        db.session.execute(text("UPDATE event_consumers SET position = 5"))
        events.keep_partitions(db.session(), days=70)
        db.session.commit()
        left = db.session.scalar(text("SELECT count(*) FROM events_default"))

    assert left == 2
    assert [event.position for event in read(live_app).data] == [3, 4, 5]
    with pytest.raises(EventsExpired):
        read(live_app, after=1)


def test_letting_go_of_months_and_publishing_do_not_wait_for_each_other_in_a_circle(
    live_app: Flask, database_url: str
) -> None:
    with live_app.app_context():
        db.session.execute(text("SELECT keep_event_partitions(now() - interval '4 months')"))
        db.session.execute(text(OLD))
        db.session.commit()
        events.catch_up(db.session())
        db.session.execute(text("UPDATE event_consumers SET position = 5"))
        db.session.commit()
    write(live_app, uuid4())

    def keep() -> list[str]:
        with live_app.app_context():
            gone = events.keep_partitions(db.session(), days=14)
            db.session.commit()
            return gone

    with live_app.app_context(), ThreadPoolExecutor(1) as threads:
        repository.lock_feed(db.session())
        keeping = threads.submit(keep)
        wait_until(lambda: is_waiting_for_a_lock(database_url), seconds=10)
        assert repository.publish(db.session()) == 1
        db.session.commit()
        assert keeping.result(10)


def is_waiting_for_a_lock(database_url: str) -> bool:
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        query = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return connection.execute(query).fetchone() is not None


def test_the_present_waits_for_who_is_publishing(live_app: Flask, database_url: str) -> None:
    write(live_app, uuid4(), uuid4())

    def ask() -> int:
        with live_app.app_context():
            return events.present(db.session())

    with live_app.app_context(), ThreadPoolExecutor(1) as threads:
        assert repository.publish(db.session()) == 2
        asked = threads.submit(ask)
        wait_until(lambda: is_waiting_for_a_lock(database_url), seconds=10)
        db.session.commit()
        assert asked.result(10) == 2


def test_a_reader_does_not_publish_for_long(live_app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "AT_A_TIME", 2)
    monkeypatch.setattr(events, "PUBLISHES_FOR_SECONDS", 0.0001)
    write(live_app, *(uuid4() for _ in range(5)))

    first = read(live_app)
    assert (len(first.data), first.has_more) == (2, True)
    second = read(live_app, after=first.next_after)
    third = read(live_app, after=second.next_after)
    assert [event.position for event in [*second.data, *third.data]] == [3, 4, 5]
    assert third.has_more is False


def test_who_finds_no_seat_looks_once(live_app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "WINDOW", 2)
    write(live_app, *(uuid4() for _ in range(7)))

    with live_app.app_context():
        found = events.follow(db.session(), by=SYSTEM, room=WaitingRoom(0), wait=5, types=["item.deleted"])

    assert (found.data, found.next_after, found.has_more) == ([], 2, True)


def test_events_of_a_month_nobody_made_room_for_stay_where_they_are(live_app: Flask, database_url: str) -> None:
    ahead = OLD.replace(
        "now() - interval '4 months', now()", "now() + interval '3 months', now() + interval '3 months'"
    )
    with live_app.app_context():
        last = max(name for name in partitions(database_url) if name != "events_default")
        db.session.execute(text(f"DROP TABLE {last}"))
        db.session.execute(text(ahead))
        db.session.commit()
        assert db.session.scalar(text("SELECT count(*) FROM events_default")) == 1
        events.keep_partitions(db.session(), days=None)
        db.session.commit()
        assert db.session.scalar(text("SELECT count(*) FROM events_default")) == 1
        assert last not in partitions(database_url)

    assert len(read(live_app).data) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET data = '{}'",
        "UPDATE events SET position = position + 1",
        "UPDATE events SET position = NULL",
        "UPDATE events SET type = 'order.placed' WHERE position IS NOT NULL",
        "DELETE FROM events",
        "TRUNCATE events",
    ],
)
def test_the_feed_cannot_be_rewritten(live_app: Flask, database_url: str, statement: str) -> None:
    write(live_app, uuid4())
    before = read(live_app).data

    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        with pytest.raises(psycopg.errors.RestrictViolation, match="append-only"):
            connection.execute(statement.encode())
        connection.rollback()

    assert [event.id for event in read(live_app).data] == [event.id for event in before]


def test_everything_a_shop_does_fits_the_catalogue(live_app: Flask) -> None:
    """Data of events is checked against the JSON Schemas in every test; here that there is one for a whole order."""
    with committed(live_app) as make:
        item = make.item(stock=5)
        order = make.order((item, 2))
        make.shipment(order)

    told = {event.type for event in read(live_app).data}
    assert {"item.created", "stock.received", "order.placed", "order.shipped"} <= told
