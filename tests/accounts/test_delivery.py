"""From a forgotten password to a new one: a worker, a mail server, and whoever reads the mail."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import psycopg

from tests.accounts.asking import ADA, FORGOT, NEW_PASSWORD, RESET, may_log_in
from tests.jobs.test_worker import conninfo, enqueue, worker
from tests.live import committed
from tests.mail.smtp import mail_server
from tests.waiting import wait_until

if TYPE_CHECKING:
    from flask import Flask

LINK = re.compile(r"https://shop\.example\.com/password-reset#token=(\S+)")


def test_a_worker_delivers_what_was_refused_for_now_and_no_log_shows_the_token(
    live_app: Flask, database_url: str, server_environment: dict[str, str]
) -> None:
    client = live_app.test_client()
    with committed(live_app) as make:
        make.user(email=ADA)
    with mail_server() as server:
        server.replies.append("451 4.7.1 come back later")
        settings = {"SMTP_URL": f"smtp://{server.url}", "SITE_URL": "https://shop.example.com", "LOG_LEVEL": "debug"}
        with worker(server_environment | settings) as process:
            client.post(FORGOT, json={"email": ADA})
            wait_until(lambda: hurry(database_url) or process.poll() is not None, seconds=60)
            enqueue(database_url)  # which wakes the worker
            wait_until(lambda: bool(server.mails) or process.poll() is not None, seconds=30)
            process.terminate()
            output, _ = process.communicate(timeout=10)

    body = server.mails[0].get_body(("plain",))
    assert body is not None
    (token,) = LINK.findall(body.get_content())
    assert server.replies == []
    assert output
    assert token.partition(".")[2] not in output
    assert client.post(RESET, json={"token": token, "password": NEW_PASSWORD}).status_code == 204
    assert may_log_in(client, NEW_PASSWORD)


def hurry(database_url: str) -> bool:
    """Have a mail that waits for its next try tried at once; False while there is none."""
    with psycopg.connect(conninfo(database_url)) as connection:
        done = connection.execute("""
            UPDATE procrastinate_jobs SET scheduled_at = NULL
            WHERE task_name = 'stockroom:send_mail' AND status = 'todo' AND attempts > 0
        """)
        return done.rowcount > 0
