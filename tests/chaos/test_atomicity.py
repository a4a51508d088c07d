"""All or nothing: whichever statement fails, and be it the COMMIT, nothing of the request remains."""

from __future__ import annotations

from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy import event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.pool import PoolProxiedConnection
    from werkzeug.test import TestResponse

    from tests.chaos.shop import Shop

type Request = Callable[[], TestResponse]

COMMIT = "COMMIT"


class Moment(Enum):
    """When a connection breaks."""

    NEVER = "never"
    BEFORE = "before the commit"
    AFTER = "after the commit"


class CutError(RuntimeError):
    """The statement never came back."""


@pytest.mark.parametrize("name", ["place", "cancel", "receive", "adjust"])
def test_a_failure_at_any_statement_leaves_no_trace(shop: Shop, name: str) -> None:
    request, rehearsal = requests_of(shop, name), requests_of(shop, name)
    with failing_at(shop, None) as sent:
        assert rehearsal().status_code < 300
    steps = len(sent)
    before = shop.everything()

    for step in range(steps):
        with failing_at(shop, step) as sent:
            answer = request()
        assert answer.status_code == (503 if sent[-1] == COMMIT else 500), sent
        assert shop.everything() == before, f"{sent[-1]} failed and left something"

    assert steps > 6
    assert sent[-1] == COMMIT
    final = request()
    assert final.status_code < 300
    assert "Idempotency-Replayed" not in final.headers
    assert shop.differences() == []


def test_a_success_is_remembered_as_one(shop: Shop) -> None:
    request = requests_of(shop, "place")
    request()
    before = shop.everything()

    again = request()

    assert again.headers["Idempotency-Replayed"] == "true"
    assert shop.everything() == before


@pytest.mark.parametrize("moment", [Moment.BEFORE, Moment.AFTER])
def test_a_connection_lost_around_commit_is_cleared_up_by_the_key(shop: Shop, moment: Moment) -> None:
    (item,) = shop.stocked(10)
    moments = [moment]

    with cutting_commits(shop, lambda: moments.pop() if moments else Moment.NEVER):
        lost = shop.order((item, 3), key="order-7")
        orders_after_the_loss = shop.count("orders")
        again = shop.order((item, 3), key="order-7")

    assert (lost.status_code, lost.get_json()["error"]["code"]) == (503, "outcome_unknown")
    assert "Retry-After" in lost.headers
    assert orders_after_the_loss == (1 if moment is Moment.AFTER else 0)
    assert again.status_code == 201
    assert again.headers.get("Idempotency-Replayed") == ("true" if moment is Moment.AFTER else None)
    assert shop.count("orders") == 1
    assert shop.levels()[item] == (10, 3)
    assert shop.differences() == []


def requests_of(shop: Shop, name: str) -> Request:
    """Prepare a request that may be sent again and again: its key makes it the same one."""
    one, two = shop.stocked(10, 10)
    key = f"{name}-{one}"
    lines = [{"item_id": str(item), "quantity": 2} for item in (one, two)]
    posting = {"location_id": str(shop.place_id), "lines": lines}
    if name == "place":
        return lambda: shop.order((one, 3), (two, 4), key=key)
    if name == "cancel":
        order = shop.order((one, 3), (two, 4)).get_json()
        return lambda: shop.post(f"/api/v1/orders/{order['id']}/cancel", {}, key=key)
    if name == "receive":
        return lambda: shop.post("/api/v1/stock/receipts", posting, key=key)
    return lambda: shop.post("/api/v1/stock/adjustments", posting | {"reason": "found"}, key=key)


@contextmanager
def failing_at(shop: Shop, step: int | None) -> Iterator[list[str]]:
    """Let the statement with this number, counted from 0, fail before it is sent; tell what was tried."""
    sent: list[str] = []

    def note(*args: object) -> None:
        sent.append(str(args[2]))
        if len(sent) - 1 == step:
            raise CutError(args[2])

    def may_commit() -> Moment:
        sent.append(COMMIT)
        return Moment.BEFORE if len(sent) - 1 == step else Moment.NEVER

    engine = shop.engine()
    event.listen(engine, "before_cursor_execute", note)
    with cutting_commits(shop, may_commit):
        yield sent
    event.remove(engine, "before_cursor_execute", note)


@contextmanager
def cutting_commits(shop: Shop, when: Callable[[], Moment]) -> Iterator[None]:
    """Break the connection around COMMIT, as a network does: before PostgreSQL hears of it, or after it has done it."""
    dialect = shop.engine().dialect
    really_commit = dialect.do_commit

    def commit(connection: PoolProxiedConnection) -> None:
        moment = when()
        if moment is not Moment.BEFORE:
            really_commit(connection)
        if moment is not Moment.NEVER:
            assert connection.driver_connection is not None
            connection.driver_connection.close()
            message = "the connection is lost"
            raise psycopg.OperationalError(message)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dialect, "do_commit", commit)
        yield
