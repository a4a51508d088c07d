"""Webhooks and `flask worker` processes that are ended, gently or not."""

from __future__ import annotations

import os
import signal
from threading import Event as Signal
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from api.extensions import db
from tests.jobs.test_worker import worker
from tests.live import committed
from tests.waiting import wait_until
from tests.webhooks import receiver
from tests.webhooks.receiver import Receiver
from tests.webhooks.test_delivery import is_settled, rows, statuses, subscribe

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask


@pytest.fixture
def shop(start: Callable[..., Flask], server_environment: dict[str, str]) -> Flask:
    """An application whose webhooks, and those of its workers, may reach this machine."""
    server_environment["WEBHOOK_ALLOWED_NETWORKS"] = "127.0.0.0/8"
    return start(webhook_allowed_networks="127.0.0.0/8")


def test_killed_between_sending_and_noting_it_the_next_worker_sends_again(
    shop: Flask, server_environment: dict[str, str]
) -> None:
    pids: list[int] = []

    def behave(_: receiver.Received, number: int) -> receiver.Behaviour:
        if number == 1:
            os.kill(pids[0], signal.SIGKILL)  # it has sent, and will never know
        return receiver.ok

    with Receiver(behave) as target:
        subscribe(shop, target.url, types=["item.*"])
        with committed(shop) as make:
            make.item()
        with worker(server_environment) as first:
            pids.append(first.pid)
            first.wait(60)
        assert statuses(shop) == ["pending"]
        with shop.app_context():
            db.session.execute(text("UPDATE webhook_deliveries SET due_at = now(), claimed_until = now()"))
            db.session.commit()
        with worker(server_environment):
            wait_until(lambda: is_settled(shop), seconds=60)

    assert len(target.ids()) == 2
    assert len(set(target.ids())) == 1
    assert len({request.body for request in target.requests}) == 1
    assert statuses(shop) == ["delivered"]


def test_told_to_end_it_lets_what_is_on_its_way_arrive(shop: Flask, server_environment: dict[str, str]) -> None:
    has_come, may_answer = Signal(), Signal()

    def answer_late(connection: Any, received: receiver.Received, end: Signal) -> None:
        has_come.set()
        may_answer.wait(20)
        receiver.ok(connection, received, end)

    with Receiver(lambda *_: answer_late) as target:
        subscribe(shop, target.url, types=["item.*"])
        with committed(shop) as make:
            make.item()
        with worker(server_environment) as process:
            assert has_come.wait(60)
            process.send_signal(signal.SIGTERM)
            may_answer.set()
            output, _ = process.communicate(timeout=30)

    assert process.returncode == 0, output
    assert "Traceback" not in output
    assert statuses(shop) == ["delivered"]
    assert len(target.requests) == 1
    assert [row.status for row in rows(shop, "SELECT status FROM webhook_attempts")] == [204]
