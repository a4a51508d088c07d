"""From a committed event to a receiver that has it: at least once, signed, and nobody waits for anybody else."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from standardwebhooks.webhooks import Webhook

from api.core.caller import Caller
from api.events import service as events
from api.extensions import db
from api.jobs import app as jobs
from api.webhooks import courier as courier_module
from api.webhooks import repository, schedule, service, tasks
from api.webhooks.courier import Courier, means_of
from tests.live import committed
from tests.waiting import wait_until
from tests.webhooks import receiver
from tests.webhooks.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from flask import Flask
    from sqlalchemy.orm import Session

SYSTEM = Caller.system()
LOOPBACK = "127.0.0.0/8"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ITEM = {"sku": "LOST", "name": "Lost", "unit_price": "1.00", "is_stocked": True}


@pytest.fixture
def shop(start: Callable[..., Flask]) -> Flask:
    """An application whose webhooks may reach this machine."""
    return start(webhook_allowed_networks=LOOPBACK)


@contextmanager
def courier(app: Flask) -> Iterator[None]:
    """Run the loop of a worker."""
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = Thread(target=loop.run_until_complete, args=(Courier(app).run(stop),))
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()


def subscribe(app: Flask, url: str, **facts: Any) -> UUID:
    with app.app_context():
        endpoint = service.create(db.session(), url=url, means=means_of(app), by=SYSTEM, **facts)
        db.session.commit()
        return endpoint.id


def secret(app: Flask, endpoint_id: UUID) -> service.Secret:
    with app.app_context():
        found = service.secret(db.session(), endpoint_id, means=means_of(app), by=SYSTEM)
        db.session.commit()
        return found


def rows(app: Flask, query: str, **facts: Any) -> list[Any]:
    with app.app_context():
        return list(db.session.execute(text(query), facts))


def statuses(app: Flask) -> list[str]:
    return [row.status for row in rows(app, "SELECT status FROM webhook_deliveries ORDER BY position")]


def is_settled(app: Flask) -> bool:
    """Tell whether everything in the feed has come to an end."""
    read = "SELECT position FROM event_consumers WHERE name = 'webhooks'"
    behind = f"SELECT 1 FROM events WHERE position IS NULL OR position > ({read})"  # noqa: S608  # no input
    return not rows(app, behind) and not rows(app, "SELECT 1 FROM webhook_deliveries WHERE status = 'pending'")


def test_every_event_arrives_signed_and_as_the_feed_tells_it(shop: Flask) -> None:
    with Receiver() as target, courier(shop):
        endpoint = subscribe(shop, target.url)
        with committed(shop) as make:
            item = make.item(stock=5)
            make.order((item, 2))
        wait_until(lambda: is_settled(shop), seconds=20)

    with shop.app_context():
        feed = events.read(db.session(), by=SYSTEM).data
    told = {str(event.id): event for event in feed}
    verifier = Webhook(secret(shop, endpoint).secret)
    assert {"order.placed", "stock.received", "item.created"} <= {event.type for event in feed}
    assert sorted(target.ids()) == sorted(told)
    for request in target.requests:
        said = verifier.verify(request.body, dict(request.headers))
        event = told[request.headers["webhook-id"]]
        assert (said["type"], said["position"], said["sequence"], said["data"]) == (
            event.type,
            event.position,
            event.sequence,
            event.data,
        )
        assert datetime.fromisoformat(said["timestamp"]) == event.occurred_at


def test_what_was_rolled_back_is_never_sent(shop: Flask) -> None:
    with Receiver() as target, courier(shop):
        subscribe(shop, target.url, types=["item.*"])
        with shop.app_context():
            events.record(db.session(), "item.created", uuid4(), ITEM, by=SYSTEM)
            db.session.rollback()
        with committed(shop) as make:
            make.item(sku="KEPT")
        wait_until(lambda: len(target.requests) > 0 and is_settled(shop), seconds=20)

    assert [request.event["data"]["sku"] for request in target.requests] == ["KEPT"]  # type: ignore[index]  # an object


def test_only_the_types_it_names_are_sent(shop: Flask) -> None:
    with Receiver() as target, Receiver() as other, courier(shop):
        subscribe(shop, target.url, types=["stock.*"])
        subscribe(shop, other.url, types=["item.created", "order.placed"])
        with committed(shop) as make:
            make.order((make.item(stock=5), 2))
        wait_until(lambda: len(target.requests) == 1 and len(other.requests) == 2 and is_settled(shop), seconds=20)

    assert [request.event["type"] for request in target.requests] == ["stock.received"]
    assert {request.event["type"] for request in other.requests} == {"item.created", "order.placed"}


def test_a_hostile_receiver_gets_everything_in_the_end_each_time_under_the_same_id(
    shop: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "WAITS", (timedelta(milliseconds=20),) * 9)
    monkeypatch.setattr(schedule, "FIRST_PAUSE", timedelta(milliseconds=10))
    monkeypatch.setattr(schedule, "LONGEST_PAUSE", timedelta(milliseconds=20))
    dice = random.Random(20261123)  # noqa: S311  # a seed, so that a run can be repeated
    bad = [
        receiver.status(500),
        receiver.reset,
        receiver.status(302, "Location: http://169.254.169.254/"),
        receiver.garbage,
        receiver.say_nothing,
        receiver.status(200, "Content-Encoding: gzip", body=b"no gzip at all"),
    ]
    seen: dict[str, int] = {}

    def behave(request: receiver.Received, _: int) -> receiver.Behaviour:
        seen[request.headers["webhook-id"]] = seen.get(request.headers["webhook-id"], 0) + 1
        is_last_chance = seen[request.headers["webhook-id"]] >= 5
        return receiver.ok if is_last_chance or dice.random() < 0.3 else dice.choice(bad)

    with Receiver(behave) as target, courier(shop):
        endpoint = subscribe(shop, target.url)
        with committed(shop) as make:
            for _ in range(12):
                make.item()
        wait_until(lambda: is_settled(shop), seconds=60)

    created = {str(row.id) for row in rows(shop, "SELECT id FROM events WHERE type = 'item.created'")}
    assert set(target.ids()) >= created
    assert set(statuses(shop)) == {"delivered"}
    bodies: dict[str, set[bytes]] = {}
    for request in target.requests:
        bodies.setdefault(request.headers["webhook-id"], set()).add(request.body)
        Webhook(secret(shop, endpoint).secret).verify(request.body, dict(request.headers))
    assert max(map(len, bodies.values())) == 1, "a repetition says the same"
    (counted,) = rows(shop, "SELECT count(*) AS attempts FROM webhook_attempts")
    assert counted.attempts == len(target.requests)


def test_a_receiver_that_hangs_delays_no_other(shop: Flask) -> None:
    with Receiver(lambda *_: receiver.hang) as dead, Receiver() as alive:
        subscribe(shop, dead.url, types=["item.*"], max_in_flight=2)
        subscribe(shop, alive.url, types=["item.*"])
        with courier(shop):
            with committed(shop) as make:
                for _ in range(10):
                    make.item()
            wait_until(lambda: len(alive.requests) == 10, seconds=10)
            assert len(dead.requests) == 2, "no more than it bears at a time"
            dead.__exit__()


def test_a_worker_that_dies_between_sending_and_noting_it_sends_again_under_the_same_id(shop: Flask) -> None:
    with Receiver() as target:
        subscribe(shop, target.url, types=["item.*"])
        with committed(shop) as make:
            make.item()
        dying = Courier(shop)
        while not (messages := dying.turn([], 10)[0]):
            """The first turn may only have read the feed."""

        asyncio.run(dying.deliver(messages[0]))
        assert len(target.requests) == 1
        assert Courier(shop).turn([], 10)[0] == [], "while the lease lasts it is nobody else's"
        with shop.app_context():
            db.session.execute(text("UPDATE webhook_deliveries SET due_at = now(), claimed_until = now()"))
            db.session.commit()
        with courier(shop):
            wait_until(lambda: is_settled(shop), seconds=20)

    first, second = target.ids()
    assert first == second
    assert target.requests[0].body == target.requests[1].body
    assert statuses(shop) == ["delivered"]


def test_two_workers_send_nothing_twice(start: Callable[..., Flask]) -> None:
    one, other = start(webhook_allowed_networks=LOOPBACK), start(webhook_allowed_networks=LOOPBACK)
    with Receiver() as target:
        subscribe(one, target.url, types=["item.*"], max_in_flight=20)
        with committed(one) as make:
            for _ in range(40):
                make.item()
        with courier(one), courier(other):
            wait_until(lambda: is_settled(one), seconds=30)

    assert len(target.ids()) == len(set(target.ids())) == 40


def test_five_failures_in_a_row_open_the_circuit_and_one_success_closes_it(shop: Flask) -> None:
    is_well = False

    def behave(*_: Any) -> receiver.Behaviour:
        return receiver.ok if is_well else receiver.status(500, body=b"out of order")

    with Receiver(behave) as target:
        endpoint = subscribe(shop, target.url, types=["item.*"], max_in_flight=1)
        with committed(shop) as make:
            for _ in range(8):
                make.item()
        with courier(shop):
            wait_until(lambda: state(shop, endpoint).resume_at is not None, seconds=20)
        assert len(target.requests) == 5
        assert state(shop, endpoint).failures == 5
        is_well = True
        with shop.app_context():
            db.session.execute(text("UPDATE webhook_endpoints SET resume_at = now()"))
            db.session.execute(text("UPDATE webhook_deliveries SET due_at = now()"))
            db.session.commit()
        with courier(shop):
            wait_until(lambda: is_settled(shop), seconds=20)

    found = state(shop, endpoint)
    assert (found.failures, found.failing_since, found.resume_at, found.pending) == (0, None, None, 0)
    attempt = rows(shop, "SELECT * FROM webhook_attempts ORDER BY id LIMIT 1")[0]
    assert (attempt.status, attempt.error, attempt.excerpt, attempt.number) == (500, "http_error", "out of order", 1)


def test_an_overloaded_receiver_is_left_alone_as_long_as_it_asks(shop: Flask) -> None:
    with Receiver(lambda *_: receiver.status(429, "Retry-After: 120")) as target:
        endpoint = subscribe(shop, target.url, types=["item.*"], max_in_flight=1)
        with committed(shop) as make:
            make.item()
            make.item()
        with courier(shop):
            wait_until(lambda: state(shop, endpoint).resume_at is not None, seconds=20)

    resume_at = state(shop, endpoint).resume_at
    assert resume_at is not None
    assert timedelta(seconds=100) < resume_at - datetime.now(UTC) < timedelta(seconds=121)
    assert len(target.requests) == 1


def test_gone_switches_an_endpoint_off_with_notice(shop: Flask) -> None:
    with Receiver(lambda *_: receiver.status(410)) as target:
        endpoint = subscribe(shop, target.url, types=["item.*"], max_in_flight=1)
        with committed(shop) as make:
            make.item()
            make.item()
        with courier(shop):
            wait_until(lambda: not found(shop, endpoint).is_active, seconds=20)

    assert len(target.requests) == 1
    assert found(shop, endpoint).disabled_reason == "gone"
    (notice,) = rows(shop, "SELECT data FROM events WHERE type = 'webhook_endpoint.disabled'")
    assert notice.data == {"host": "127.0.0.1", "reason": "gone", "created_by": None}


def test_what_only_fails_for_days_is_switched_off_once(shop: Flask) -> None:
    with Receiver(lambda *_: receiver.status(503)) as target:
        endpoint = subscribe(shop, target.url, types=["item.*"], max_in_flight=3)
        with shop.app_context():
            long_since = "UPDATE webhook_endpoints SET failing_since = now() - interval '6 days', failures = 9"
            db.session.execute(text(long_since))
            db.session.commit()
        with committed(shop) as make:
            for _ in range(3):
                make.item()
        with courier(shop):
            wait_until(lambda: not found(shop, endpoint).is_active, seconds=20)

    assert found(shop, endpoint).disabled_reason == "failing"
    assert len(rows(shop, "SELECT 1 FROM events WHERE type = 'webhook_endpoint.disabled'")) == 1


def test_tried_often_enough_it_is_parked(shop: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "WAITS", (timedelta(0),) * 9)
    monkeypatch.setattr(schedule, "OPENS_AFTER", 100)
    with Receiver(lambda *_: receiver.status(500)) as target:
        subscribe(shop, target.url, types=["item.*"])
        with committed(shop) as make:
            make.item()
        with courier(shop):
            wait_until(lambda: statuses(shop) == ["failed"], seconds=20)

    assert len(target.requests) == 10
    assert [row.number for row in rows(shop, "SELECT number FROM webhook_attempts ORDER BY id")] == list(range(1, 11))


def test_whoever_lost_a_role_gets_no_more_of_what_it_showed(shop: Flask) -> None:
    with committed(shop) as make:
        manager = make.user(role="manager")
        by = make.caller(user=manager, role="manager")
    with Receiver() as target, courier(shop):
        with shop.app_context():
            service.create(db.session(), url=target.url, means=means_of(shop), by=by, types=["item.*", "user.*"])
            db.session.commit()
            db.session.execute(text("UPDATE users SET role = 'customer' WHERE id = :id"), {"id": manager.id})
            db.session.commit()
        with committed(shop) as make:
            make.user(role="clerk")
            make.item(sku="SEEN")
        wait_until(lambda: len(target.requests) > 0 and is_settled(shop), seconds=20)
        with shop.app_context():
            db.session.execute(text("UPDATE users SET is_active = false WHERE id = :id"), {"id": manager.id})
            db.session.commit()
        with committed(shop) as make:
            make.item(sku="UNSEEN")
        wait_until(lambda: is_settled(shop), seconds=20)

    assert [request.event["type"] for request in target.requests] == ["item.created"]


def test_during_a_rotation_both_secrets_verify_and_afterwards_only_the_new_one(shop: Flask) -> None:
    with Receiver() as target, courier(shop):
        endpoint = subscribe(shop, target.url, types=["item.*"])
        old = secret(shop, endpoint).secret
        rotate(shop, endpoint, keep_previous=True)
        new = secret(shop, endpoint)
        with committed(shop) as make:
            make.item()
        wait_until(lambda: len(target.requests) == 1, seconds=20)
        rotate(shop, endpoint, keep_previous=False)
        with committed(shop) as make:
            make.item()
        wait_until(lambda: len(target.requests) == 2, seconds=20)

    assert new.previous == old
    during, after = target.requests
    for known in (old, new.secret):
        Webhook(known).verify(during.body, dict(during.headers))
    newest = secret(shop, endpoint)
    assert (newest.previous, newest.previous_until) == (None, None)
    Webhook(newest.secret).verify(after.body, dict(after.headers))
    for known in (old, new.secret):
        with pytest.raises(Exception, match="No matching signature"):
            Webhook(known).verify(after.body, dict(after.headers))


def test_everything_since_a_moment_can_be_had_again_also_what_came_before_the_endpoint(shop: Flask) -> None:
    with committed(shop) as make:
        for number in range(5):
            make.item(sku=f"OLD-{number}")
    with Receiver() as target, courier(shop):
        endpoint = subscribe(shop, target.url, types=["item.*"])
        told = put_again(shop, endpoint)
        wait_until(lambda: len(target.requests) == 5 and is_settled(shop), seconds=20)
        again = put_again(shop, endpoint, only_failed=True)

    assert (told, again) == (5, 0), "what has been delivered is left out"


def test_headers_of_ones_own_are_sent_and_kept_encrypted(shop: Flask) -> None:
    with Receiver() as target, courier(shop):
        subscribe(shop, target.url, types=["item.*"], headers={"Authorization": "Bearer canary-6f1c"})
        with committed(shop) as make:
            make.item()
        wait_until(lambda: len(target.requests) == 1, seconds=20)

    assert target.requests[0].headers["authorization"] == "Bearer canary-6f1c"
    (kept,) = rows(shop, "SELECT endpoint::text AS row FROM webhook_endpoints endpoint")
    assert "canary" not in kept.row
    assert b"canary".hex() not in kept.row


def test_what_is_not_in_the_feed_yet_is_sent_again_too(shop: Flask) -> None:
    with Receiver() as target:
        endpoint = subscribe(shop, target.url, types=["item.*"])
        with committed(shop) as make:
            make.item()

        assert put_again(shop, endpoint) == 1
        with courier(shop):
            wait_until(lambda: is_settled(shop), seconds=20)

    assert len(target.requests) == 1


def test_sending_everything_again_to_one_endpoint_stops_no_other(shop: Flask) -> None:
    with Receiver(lambda *_: receiver.status(500)) as target, Receiver() as other:
        one = subscribe(shop, target.url, types=["item.*"])
        with committed(shop) as make:
            make.item()
        turn(shop)
        subscribe(shop, other.url, types=["item.*"])
        with shop.app_context():
            steps = service.put_on_its_way_again(db.session(), one, since=LONG_AGO, only_failed=False)
            next(steps)
            db.session.commit()
            next(steps)
            with courier(shop):
                with committed(shop) as make:
                    make.item()
                wait_until(lambda: len(other.requests) == 1, seconds=10)
            db.session.rollback()


def test_workers_that_race_neither_send_twice_nor_more_than_an_endpoint_bears(shop: Flask) -> None:
    endpoints = [subscribe(shop, f"http://127.0.0.1:9/{number}", max_in_flight=4) for number in range(8)]
    with committed(shop) as make:
        for _ in range(20):
            make.item()
    turn(shop, room=0)

    def take(_: int) -> list[service.Message]:
        with shop.app_context():
            taken = service.claim(db.session(), room=100, means=means_of(shop))
            db.session.commit()
            return taken

    with ThreadPoolExecutor(4) as threads:
        taken = [message for batch in threads.map(take, range(12)) for message in batch]

    assert len({message.delivery_id for message in taken}) == len(taken)
    assert Counter(message.endpoint_id for message in taken) == dict.fromkeys(endpoints, 4)


def test_many_for_one_endpoint_do_not_crowd_out_few_for_another(shop: Flask) -> None:
    busy = subscribe(shop, "http://127.0.0.1:9/busy", max_in_flight=20, types=["item.*"])
    with committed(shop) as make:
        for _ in range(20):
            make.item()
    turn(shop, room=0)
    quiet = subscribe(shop, "http://127.0.0.1:9/quiet", types=["item.*"])
    with committed(shop) as make:
        make.item()
        make.item()

    assert Counter(message.endpoint_id for message in turn(shop, room=4)) == {busy: 2, quiet: 2}


def test_an_endpoint_that_has_failed_gets_one_at_a_time(shop: Flask) -> None:
    endpoint = subscribe(shop, "http://127.0.0.1:9/", types=["item.*"])
    with committed(shop) as make:
        for _ in range(3):
            make.item()
    execute(shop, "UPDATE webhook_endpoints SET failures = 1")

    assert [message.endpoint_id for message in turn(shop)] == [endpoint]
    assert turn(shop) == []


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ("UPDATE users SET is_active = false", "cancelled", "not_wanted"),
        ("UPDATE users SET role = 'customer'", "cancelled", "not_wanted"),
        ("UPDATE webhook_endpoints SET types = ARRAY['user.*']", "cancelled", "not_wanted"),
        ("UPDATE webhook_deliveries SET attempts = 10", "failed", "worker_lost"),
    ],
    ids=["account closed", "role lost", "types changed", "its workers died"],
)
def test_what_is_on_its_way_is_looked_at_again_before_it_is_sent(
    shop: Flask, change: str, status: str, error: str
) -> None:
    with committed(shop) as make:
        manager = make.user(role="manager")
        by = make.caller(user=manager, role="manager")
    with Receiver() as target:
        with shop.app_context():
            service.create(db.session(), url=target.url, means=means_of(shop), by=by, types=["user.*"])
            db.session.commit()
        with committed(shop) as make:
            make.user(role="clerk")
        turn(shop, room=0)
        execute(shop, "UPDATE webhook_endpoints SET types = ARRAY['user.*', 'stock.*']")
        execute(shop, "UPDATE webhook_deliveries SET event_type = 'stock.received'")
        execute(shop, change)

        assert turn(shop) == []
        assert target.requests == []

    (ended,) = rows(shop, "SELECT status, last_error, claimed_until FROM webhook_deliveries")
    assert tuple(ended) == (status, error, None)


def test_a_result_is_written_down_once_even_if_the_turn_fails_afterwards(
    shop: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = service.claim
    has_failed: list[bool] = []

    def fail_once(session: Session, **facts: Any) -> list[service.Message]:
        if target.requests and not has_failed:
            has_failed.append(True)
            raise LookupError
        return claim(session, **facts)

    monkeypatch.setattr(service, "claim", fail_once)
    monkeypatch.setattr(courier_module, "FIRST_PAUSE_SECONDS", 0.01)
    with Receiver(lambda *_: receiver.status(500)) as target, courier(shop):
        endpoint = subscribe(shop, target.url, types=["item.*"])
        with committed(shop) as make:
            make.item()
        wait_until(lambda: bool(has_failed) and state(shop, endpoint).in_flight == 0, seconds=20)

    assert state(shop, endpoint).failures == 1
    assert len(rows(shop, "SELECT 1 FROM webhook_attempts")) == 1
    (counted,) = rows(shop, "SELECT total FROM webhook_results")
    assert counted.total == 1


def test_a_worker_told_to_stop_tries_to_write_down_what_it_sent_and_then_ends(
    shop: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def fail(*_: Any) -> None:
        tries.append(True)
        raise LookupError

    monkeypatch.setattr(service, "settle", fail)
    monkeypatch.setattr(courier_module, "FIRST_PAUSE_SECONDS", 0.01)
    with Receiver() as target:
        with courier(shop):
            subscribe(shop, target.url, types=["item.*"])
            with committed(shop) as make:
                make.item()
            wait_until(lambda: len(target.requests) == 1 and bool(tries), seconds=20)
        assert len(tries) >= courier_module.LAST_TRIES

    assert statuses(shop) == ["pending"], "another worker sends it again when the lease is over"


def test_the_deliveries_of_a_deleted_endpoint_go_in_the_background(shop: Flask) -> None:
    kept, gone = (subscribe(shop, f"http://127.0.0.1:9/{name}", types=["item.*"]) for name in ("kept", "gone"))
    with committed(shop) as make:
        for _ in range(3):
            make.item()
    turn(shop)
    with shop.app_context():
        service.delete(db.session(), service.get(db.session(), gone), by=SYSTEM)
        db.session.commit()

    assert len(rows(shop, "SELECT 1 FROM webhook_deliveries")) == 6
    assert turn(shop) == []
    (job,) = rows(shop, "SELECT args FROM procrastinate_jobs WHERE task_name = 'stockroom:sweep_deliveries'")
    tasks.sweep_deliveries(**job.args)
    assert {row.endpoint_id for row in rows(shop, "SELECT endpoint_id FROM webhook_deliveries")} == {kept}
    assert len(rows(shop, "SELECT 1 FROM webhook_deliveries")) == 3


def test_each_night_old_deliveries_and_those_of_endpoints_that_are_gone_are_forgotten(
    shop: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "FORGETS_AT_ONCE", 2)
    kept, gone = (subscribe(shop, f"http://127.0.0.1:9/{name}", types=["item.*"]) for name in ("kept", "gone"))
    with committed(shop) as make:
        for _ in range(5):
            make.item()
    turn(shop)
    execute(shop, f"DELETE FROM webhook_endpoints WHERE id = '{gone}'")  # noqa: S608  # an id of ours
    execute(
        shop,
        "UPDATE webhook_deliveries SET status = 'delivered', finished_at = now() - interval '31 days'"
        " WHERE position < 4",
    )
    execute(shop, "UPDATE webhook_deliveries SET finished_at = now() - interval '29 days' WHERE position = 4")

    tasks.forget_deliveries(timestamp=0)

    left = rows(shop, "SELECT endpoint_id, position FROM webhook_deliveries ORDER BY position")
    assert [(row.endpoint_id, row.position) for row in left] == [(kept, 4), (kept, 5)]


@pytest.fixture(autouse=True)
def _tasks_know_their_application(shop: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs.tasks, "flask_app", shop, raising=False)


def turn(app: Flask, *, room: int = 100) -> list[service.Message]:
    """Read the feed and take what is due, as a worker does in its turns; without room, only read."""
    with app.app_context():
        while service.fan_out(db.session()):
            db.session.commit()
        db.session.commit()
        if not room:
            return []
        taken = service.claim(db.session(), room=room, means=means_of(app))
        db.session.commit()
        return taken


def put_again(app: Flask, endpoint_id: UUID, *, only_failed: bool = False) -> int:
    """Put everything on its way again, as the job does; tell how many."""
    total = 0
    with app.app_context():
        for some in service.put_on_its_way_again(db.session(), endpoint_id, since=LONG_AGO, only_failed=only_failed):
            total += some
            db.session.commit()
        db.session.commit()
    return total


def execute(app: Flask, statement: str) -> None:
    with app.app_context():
        db.session.execute(text(statement))
        db.session.commit()


def state(app: Flask, endpoint_id: UUID) -> service.State:
    with app.app_context():
        return service.state(db.session(), endpoint_id)


def found(app: Flask, endpoint_id: UUID) -> Any:
    with app.app_context():
        return service.get(db.session(), endpoint_id)


def rotate(app: Flask, endpoint_id: UUID, *, keep_previous: bool) -> None:
    with app.app_context():
        service.rotate(db.session(), endpoint_id, by=SYSTEM, keep_previous=keep_previous)
        db.session.commit()
