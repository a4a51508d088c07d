"""All or nothing: whichever statement fails, and be it the COMMIT, nothing of the request remains."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import text

from api.core.wire import COMMIT, Wire
from tests.chaos.shop import at_once
from tests.statements import watched

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from werkzeug.test import TestResponse

    from api.core.wire import Answer, Task
    from tests.chaos.shop import Shop
    from tests.statements import Sender

type Request = Callable[[], TestResponse]
type Body = dict[str, Any]
type Lines = list[Body]

THE_COMMIT = "COMMIT"

NAMES = [
    "place",
    "cancel",
    "cancel in part",
    "edit",
    "hold",
    "resume",
    "bulk",
    "reserve",
    "extend",
    "release",
    "order a reservation",
    "ship",
    "deliver",
    "request a return",
    "receive a return",
    "cancel a return",
    "pay",
    "receive",
    "receive for those who wait",
    "adjust",
]
"""Every operation that moves stock, or an order along its way."""


class Moment(Enum):
    """When a connection breaks."""

    NEVER = "never"
    BEFORE = "before the commit"
    AFTER = "after the commit"


class CutError(RuntimeError):
    """The statement never came back."""


@pytest.mark.parametrize("name", NAMES)
def test_a_failure_at_any_statement_leaves_no_trace(shop: Shop, name: str) -> None:
    request, rehearsal = requests_of(shop, name), requests_of(shop, name)
    with failing_at(None) as sent:
        assert rehearsal().status_code < 300
    steps = len(sent)
    before = shop.everything()

    for step in range(steps):
        with failing_at(step) as sent:
            answer = request()
        assert answer.status_code == (503 if sent[-1] == THE_COMMIT else 500), sent
        assert shop.everything() == before, f"{sent[-1]} failed and left something"

    assert steps > 6
    assert sent[-1] == THE_COMMIT
    final = request()
    assert final.status_code < 300
    assert "Idempotency-Replayed" not in final.headers
    assert shop.differences() == []


@pytest.mark.parametrize("name", [name for name in NAMES if name != "edit"])
def test_of_many_repetitions_at_once_one_has_an_effect(shop: Shop, name: str) -> None:
    request = requests_of(shop, name)

    answers = at_once([request] * 6)
    before = shop.everything()
    again = request()

    assert {answer.status_code for answer in answers} <= {200, 201}, {answer.text for answer in answers}
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert len({answer.data for answer in [*answers, again]}) == 1
    assert shop.everything() == before
    assert shop.differences() == []


@pytest.mark.parametrize("name", [name for name in NAMES if name != "edit"])
def test_an_answer_lost_after_the_commit_is_given_again(shop: Shop, name: str) -> None:
    request = requests_of(shop, name)
    moments = [Moment.AFTER]

    with cutting_commits(lambda: moments.pop() if moments else Moment.NEVER):
        lost = request()
    after_the_loss = shop.everything()
    again = request()

    assert (lost.status_code, lost.get_json()["error"]["code"]) == (503, "outcome_unknown")
    assert again.status_code in {200, 201}
    assert again.headers["Idempotency-Replayed"] == "true"
    assert shop.everything() == after_the_loss
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

    with cutting_commits(lambda: moments.pop() if moments else Moment.NEVER):
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
    """Prepare a request that may be sent again and again: its key, or its version, makes it the same one."""
    one, two = shop.stocked(10, 10)
    key = f"{name}-{one}".replace(" ", "-")
    lines = [{"item_id": str(item), "quantity": 2} for item in (one, two)]
    posting = {"location_id": str(shop.place_id), "lines": lines}
    if name in BEFORE_AN_ORDER:
        return BEFORE_AN_ORDER[name](shop, lines, posting, key)
    order = shop.order((one, 3), (two, 4)).get_json()
    url = f"/api/v1/orders/{order['id']}"
    part = [{"item_id": str(one), "quantity": 1}]
    if name == "edit":
        headers = shop.headers | {"If-Match": '"1"'}
        return lambda: shop.app.test_client().patch(url, json={"lines": lines}, headers=headers)
    if name in OF_AN_ORDER:
        path, body = OF_AN_ORDER[name]
        if name == "resume":
            shop.post(f"{url}/hold", {"reason": "review"})
        return lambda: shop.post(f"{url}/{path}", body or {"lines": part}, key=key)
    shipment = shop.post(f"{url}/shipments", {}).get_json()
    if name == "deliver":
        return lambda: shop.post(f"{url}/shipments/{shipment['id']}/deliver", {}, key=key)
    if name == "request a return":
        return lambda: shop.post(f"{url}/returns", {"lines": part}, key=key)
    asked = shop.post(f"{url}/returns", {"lines": part}).get_json()
    verb, body = ("cancel", {}) if name == "cancel a return" else ("receive", {"refund_amount": "1.00"})
    return lambda: shop.post(f"{url}/returns/{asked['id']}/{verb}", body, key=key)


OF_AN_ORDER: dict[str, tuple[str, dict[str, Any]]] = {
    "cancel": ("cancel", {"reason": "Ordered twice"}),
    "cancel in part": ("cancel", {}),
    "hold": ("hold", {"reason": "review"}),
    "resume": ("resume", {}),
    "ship": ("shipments", {}),
    "pay": ("payments", {"amount": "5.00", "method": "card"}),
}
"""Where a request about an order goes, and what it says; nothing means: one unit."""


def _place(shop: Shop, lines: Lines, _: Body, key: str) -> Request:
    return lambda: shop.post("/api/v1/orders", {"lines": lines}, key=key)


def _bulk(shop: Shop, lines: Lines, _: Body, key: str) -> Request:
    rows = [{"lines": lines, "idempotency_key": f"{key}-1"}, {"lines": lines}]
    return lambda: shop.post("/api/v1/orders/bulk", {"orders": rows}, key=key)


def _reserve(shop: Shop, lines: Lines, _: Body, key: str) -> Request:
    return lambda: shop.post("/api/v1/reservations", {"lines": lines}, key=key)


def _extend(shop: Shop, lines: Lines, _: Body, key: str) -> Request:
    held = shop.post("/api/v1/reservations", {"lines": lines}).get_json()
    return lambda: shop.post(f"/api/v1/reservations/{held['id']}/extend", {"ttl_seconds": 9000}, key=key)


def _release(shop: Shop, lines: Lines, _: Body, key: str) -> Request:
    held = shop.post("/api/v1/reservations", {"lines": lines}).get_json()
    return lambda: shop.post(f"/api/v1/reservations/{held['id']}/release", {}, key=key)


def _redeem(shop: Shop, lines: Lines, _: Body, key: str) -> Request:
    held = shop.post("/api/v1/reservations", {"lines": lines}).get_json()
    return lambda: shop.post("/api/v1/orders", {"reservation_id": held["id"]}, key=key)


def _receive(shop: Shop, _: Lines, posting: Body, key: str) -> Request:
    return lambda: shop.post("/api/v1/stock/receipts", posting, key=key)


def _fill(shop: Shop, lines: Lines, posting: Body, key: str) -> Request:
    with shop.work() as make:
        make.session.execute(text("UPDATE items SET backorders = 'allow'"))
    shop.post("/api/v1/orders", {"lines": [line | {"quantity": 11} for line in lines]})
    return _receive(shop, lines, posting, key)


def _adjust(shop: Shop, _: Lines, posting: Body, key: str) -> Request:
    return lambda: shop.post("/api/v1/stock/adjustments", posting | {"reason": "found"}, key=key)


BEFORE_AN_ORDER: dict[str, Callable[[Shop, Lines, Body, str], Request]] = {
    "place": _place,
    "bulk": _bulk,
    "reserve": _reserve,
    "extend": _extend,
    "release": _release,
    "order a reservation": _redeem,
    "receive": _receive,
    "receive for those who wait": _fill,
    "adjust": _adjust,
}


@contextmanager
def failing_at(step: int | None) -> Iterator[list[str]]:
    """Let the statement with this number, counted from 0, fail before it is sent; tell what was tried."""
    sent: list[str] = []

    def note(_: Sender, statement: str, __: object) -> None:
        sent.append(statement)
        if len(sent) - 1 == step:
            raise CutError(statement)

    def may_commit() -> Moment:
        sent.append(THE_COMMIT)
        return Moment.BEFORE if len(sent) - 1 == step else Moment.NEVER

    with cutting_commits(may_commit), watched(note):
        yield sent


@contextmanager
def cutting_commits(when: Callable[[], Moment]) -> Iterator[None]:
    """Break the connection around COMMIT, as a network does: before PostgreSQL hears of it, or after it has done it."""
    really_send = Wire.send

    def send(wire: Wire, tasks: Sequence[Task]) -> Answer:
        moment = when() if tasks[-1] is COMMIT else Moment.NEVER
        answer = really_send(wire, tasks) if moment is not Moment.BEFORE else None
        if answer is None or moment is not Moment.NEVER:
            wire.connection.close()
            message = "the connection is lost"
            raise psycopg.OperationalError(message)
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Wire, "send", send)
        yield
