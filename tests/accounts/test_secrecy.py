"""What nobody can find out: tokens from the database, and accounts from how long an answer takes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from api.accounts import service
from api.accounts.tasks import forget_tickets
from api.core.caller import Caller
from api.extensions import db
from api.jobs import app as jobs
from tests.accounts.asking import ADA, FORGOT, INVITE, NEW_EMAIL, SIGN_UP, VERIFICATION
from tests.live import committed

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from tests.accounts.mailbox import Mailbox
    from tests.factories import Factory

TABLES = text(
    "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type LIKE '%T%'"
)
SAMPLES = 40


def test_no_token_lies_in_the_database(start: Callable[..., Flask], open_mailbox: Callable[[Flask], Mailbox]) -> None:
    app = start(sign_up="open")
    with committed(app) as make:
        user = make.user(email=ADA)
        headers = make.headers(user=user)
        handed_over = service.issue_reset(
            make.session, email=ADA, seconds=600, vault=app.extensions["vault"], by=Caller.system()
        )
        headers = make.headers(user=user)
    client, mailbox = app.test_client(), open_mailbox(app)
    client.post(SIGN_UP, json={"email": "new@example.com", "name": "New"})
    client.post(FORGOT, json={"email": ADA})
    client.post(INVITE, json={"email": "invited@example.com", "role": "clerk"}, headers=headers)
    client.post(NEW_EMAIL, json={"email": "newer@example.com"}, headers=headers)
    client.post(VERIFICATION, headers=headers)
    kept = everything(app)

    letters = mailbox.read()

    kept += everything(app)
    tokens = [letter.token for letter in letters if letter.template != "email_change_notice"] + [handed_over]
    assert len(tokens) == 6
    for token in tokens:
        ticket_id, _, secret = token.partition(".")
        assert ticket_id in kept
        assert secret not in kept


@pytest.mark.parametrize("path", [SIGN_UP, FORGOT])
def test_an_address_with_an_account_takes_as_long_as_one_without(start: Callable[..., Flask], path: str) -> None:
    app = start(sign_up="open", login_limit="1000 per minute")
    with committed(app) as make:
        make.session.execute(
            text("""
                INSERT INTO users (id, email, name, role)
                SELECT gen_random_uuid(), 'known' || number || '@example.com', 'Known', 'customer'
                FROM generate_series(0, :last) AS number
            """),
            {"last": SAMPLES},
        )
    client = app.test_client()
    times: dict[str, list[float]] = {"known": [], "unknown": []}

    ask(client, path, "warm@example.com")
    for number in range(SAMPLES):
        for kind in sorted(times, reverse=bool(number % 2)):  # in turn, so that a busy moment hits both
            times[kind].append(ask(client, path, f"{kind}{number}@example.com"))

    wins = sum(mine < other for mine in times["known"] for other in times["unknown"]) / SAMPLES**2
    assert 0.15 < wins < 0.85  # the Mann-Whitney statistic: 0.5 when nothing tells the two apart


def test_the_answer_to_a_stranger_is_found_in_the_background(
    client: FlaskClient, make: Factory, session: Session, settings: Callable[..., None]
) -> None:
    settings(sign_up="open")
    make.user(email=ADA)

    for path in (SIGN_UP, FORGOT):
        for email in (ADA, "nobody@example.com"):
            ask(client, path, email)

    names = session.execute(text("SELECT task_name FROM procrastinate_jobs ORDER BY id")).scalars().all()
    assert names == ["stockroom:answer_sign_up"] * 2 + ["stockroom:answer_forgotten_password"] * 2
    assert session.execute(text("SELECT count(*) FROM account_tickets")).scalar_one() == 0


@pytest.mark.usefixtures("mailbox")
def test_tickets_are_forgotten_a_month_after_they_expire_and_not_before(session: Session) -> None:
    session.execute(
        text("""
            INSERT INTO account_tickets (id, purpose, email, expires_at)
            SELECT gen_random_uuid(), 'sign_up', age, now() - CAST(age AS interval)
            FROM unnest(ARRAY['1 year', '30 days 1 second', '29 days 23 hours', '-1 day']) AS age
        """)
    )

    forget_tickets(timestamp=0)

    left = session.execute(text("SELECT email FROM account_tickets ORDER BY expires_at")).scalars().all()
    assert left == ["29 days 23 hours", "-1 day"]


def test_forgetting_tickets_comes_round_every_night() -> None:
    due = {
        work.task.name.rpartition(":")[2]: work.cron for work in jobs.tasks.periodic_registry.periodic_tasks.values()
    }

    assert due["forget_tickets"] == "23 3 * * *"


def ask(client: FlaskClient, path: str, email: str) -> float:
    """Ask for an account or a new password; tell how long the answer took."""
    body = {"email": email} | ({"name": "Somebody"} if path == SIGN_UP else {})
    began = time.perf_counter()
    response = client.post(path, json=body)
    taken = time.perf_counter() - began
    assert response.status_code == 202
    return taken


def everything(app: Flask) -> str:
    """Give all rows of all tables as text."""
    with app.app_context():
        tables = db.session.scalars(TABLES).all()
        assert {"procrastinate_jobs", "account_tickets", "audit_entries"} <= set(tables)
        rows = [db.session.scalars(text(f'SELECT CAST(t AS text) FROM "{name}" t')).all() for name in tables]  # noqa: S608  # our own tables
        return "\n".join(row for some in rows for row in some)
