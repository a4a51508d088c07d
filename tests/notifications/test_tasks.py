"""Telling as the worker does it: once, whatever happens, and all the way to a mailbox."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from api.core.caller import Caller
from api.extensions import db
from api.jobs import app as jobs
from api.mail import service as mail
from api.notifications import repository, service, tasks
from api.stock import service as stock
from api.users import service as users
from tests.jobs.test_worker import worker
from tests.live import at_once, committed
from tests.mail.smtp import mail_server, make_certificate, server_side
from tests.notifications.telling import sent
from tests.notifications.test_routes import PREFERENCES
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

    from flask import Flask

ORDERS = 30
_TOLD = text("SELECT event_id, user_id FROM notifications")


def place_orders(app: Flask, *, number: int = 1) -> None:
    """Have staff order for a customer, each order a piece of news."""
    with committed(app) as make:
        customer = make.user(role="customer", email="ada@example.com")
        item = make.item(sku="CUP", name="A <script>cup</script>", stock=100)
        for _ in range(number):
            make.order((item, 1), customer_id=customer.id)


def told(app: Flask) -> list[tuple[UUID, UUID]]:
    with app.app_context():
        return [(row.event_id, row.user_id) for row in db.session.execute(_TOLD)]


def mailed(app: Flask) -> list[tuple[str, str]]:
    with app.app_context():
        return sent(db.session())


class BreakdownError(BaseException):
    """Stands for whatever ends a worker; what is wrong with one event only does not."""


@pytest.mark.parametrize("moment", ["after-the-rows", "after-the-mails", "before-the-commit"])
def test_a_worker_that_breaks_down_leaves_nothing_half_told(
    live_app: Flask, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    place_orders(live_app)

    def after(work: Any) -> Any:
        def run(*args: Any, **facts: Any) -> None:
            work(*args, **facts)
            raise BreakdownError

        return run

    def notify(session: Any) -> bool:
        tasks.notify(session)
        raise BreakdownError

    with monkeypatch.context() as patch:
        if moment == "after-the-rows":
            patch.setattr(repository, "add_all", after(repository.add_all))
        if moment == "after-the-mails":
            patch.setattr(mail, "send", after(mail.send))
        with pytest.raises(BreakdownError):
            jobs.turn(live_app, notify if moment == "before-the-commit" else tasks.notify)
    assert (told(live_app), mailed(live_app)) == ([], [])

    assert not jobs.turn(live_app, tasks.notify)
    assert not jobs.turn(live_app, tasks.notify)
    assert len(told(live_app)) == 1
    assert mailed(live_app) == [("order_placed", "ada@example.com")]


def test_several_workers_at_once_tell_everything_once(live_app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    place_orders(live_app, number=ORDERS)
    monkeypatch.setattr(service, "AT_A_TIME", 4)
    start, count = Barrier(4), "SELECT last - position FROM event_feed, event_consumers WHERE name = 'notifications'"

    def work() -> None:
        start.wait()
        while True:
            has_more = jobs.turn(live_app, tasks.notify)
            with live_app.app_context():
                if not has_more and not db.session.scalar(text(count)):
                    return

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(work) for _ in range(4)]:
            done.result(60)

    assert len(told(live_app)) == len(set(told(live_app))) == ORDERS
    assert mailed(live_app) == [("order_placed", "ada@example.com")] * ORDERS


def test_two_who_make_digests_at_once_send_each_once(live_app: Flask) -> None:
    with committed(live_app) as make:
        make.user(email="boss@example.com")
        place = make.location()
        for _ in range(5):
            item = make.item(reorder_point=5, stock=8, at=place)
            stock.adjust(
                make.session,
                location_id=place.id,
                lines=[stock.Line(item_id=item.id, quantity=-4)],
                reason="correction",
                by=make.by,
            )
    jobs.turn(live_app, tasks.notify)
    start = Barrier(2)

    def send() -> None:
        with live_app.app_context():
            start.wait()
            service.send_digests(db.session())
            db.session.commit()

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(send) for _ in range(2)]:
            done.result(60)

    assert mailed(live_app) == [("digest", "boss@example.com")]


def test_who_changes_preferences_at_once_sees_the_other_or_is_told_so(live_app: Flask) -> None:
    with committed(live_app) as make:
        ada = make.user(role="customer")
        headers = make.headers(user=ada)
    client = live_app.test_client()
    tag = client.get(PREFERENCES, headers=headers).headers["ETag"]
    kinds = ["order_placed", "order_shipped", "order_cancelled", "return_received"]
    change = {"path": PREFERENCES, "method": "PATCH", "headers": headers | {"If-Match": tag}}

    answers = at_once(live_app, *[change | {"json": {kind: {"in_app": False}}} for kind in kinds])

    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412]
    shown = client.get(PREFERENCES, headers=headers).get_json()
    assert [way["in_app"] for way in shown.values()].count(False) == 1


def test_somebody_whose_account_closes_meanwhile_is_told_nothing(live_app: Flask) -> None:
    place_orders(live_app)
    with live_app.app_context():
        (ada,), _ = users.listing(db.session(), email="ada@example.com").page(db.session(), limit=2, after=None)
        users.update(db.session(), ada, {"is_active": False}, by=Caller.system())
        db.session.commit()
    jobs.turn(live_app, tasks.notify)

    assert (told(live_app), mailed(live_app)) == ([], [])


def test_what_happens_arrives_in_a_mailbox_encrypted(
    live_app: Flask, server_environment: dict[str, str], tmp_path: Path
) -> None:
    certificate = make_certificate(tmp_path)
    with mail_server(tls_context=server_side(certificate)) as server:
        settings = {"SMTP_URL": f"smtp://{server.url}", "SSL_CERT_FILE": str(certificate)}
        with worker(server_environment | settings):
            place_orders(live_app)
            wait_until(lambda: bool(server.mails), seconds=60)

    (message,) = server.mails
    page, words = message.get_body(("html",)), message.get_body(("plain",))
    assert page is not None
    assert words is not None
    assert message["To"] == "ada@example.com"
    assert message["Subject"].startswith("Order SO-00")
    assert "- 1 x CUP A <script>cup</script>\r\n" in words.get_content()
    assert "A &lt;script&gt;cup" in page.get_content()
    assert server.was_encrypted == [True]
    assert len(told(live_app)) == 1


def test_all_of_it_comes_round(live_app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs.tasks, "flask_app", live_app, raising=False)
    due = {
        work.task.name.rpartition(":")[2]: work.cron for work in jobs.tasks.periodic_registry.periodic_tasks.values()
    }

    assert "notify" in jobs.attendants
    assert due["send_digests"] == "0 6 * * *"
    assert due["forget_notifications"] == "53 3 * * *"
    tasks.send_digests(timestamp=0)
    tasks.forget_notifications(timestamp=0)
