"""From a committed event to a receiver that has it: at least once, signed, and nobody waits for anybody else."""

from __future__ import annotations

import asyncio
import random
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
from api.webhooks import schedule, service
from api.webhooks.courier import Courier, means_of
from tests.live import committed
from tests.waiting import wait_until
from tests.webhooks import receiver
from tests.webhooks.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from flask import Flask

SYSTEM = Caller.system()
LOOPBACK = "127.0.0.0/8"
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
    assert notice.data == {"url": target.url, "reason": "gone", "created_by": None}


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
        with shop.app_context():
            told = service.put_on_its_way_again(
                db.session(), endpoint, since=datetime.now(UTC) - timedelta(hours=1), only_failed=False
            )
            db.session.commit()
        wait_until(lambda: len(target.requests) == 5 and is_settled(shop), seconds=20)
        with shop.app_context():
            again = service.put_on_its_way_again(
                db.session(), endpoint, since=datetime.now(UTC) - timedelta(hours=1), only_failed=True
            )
            db.session.commit()

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
