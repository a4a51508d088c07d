"""Payments are recorded once, and what is due follows from them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from api.orders import service as orders
from api.payments import service as payments
from api.payments.errors import AmountZero, PaymentReferenceTaken, RefundExceedsPaid, ReturnUnknown
from tests.factories import GBP
from tests.live import at_once, committed
from tests.rest.envelope import assert_problem
from tests.stock.reading import differences

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from tests.factories import Factory


@pytest.fixture
def order(make: Factory) -> orders.Placed:
    """One that costs ten pounds."""
    return make.order((make.item(stock=10, unit_price=Decimal("2.50")), 4))


def due(make: Factory, order: orders.Placed) -> tuple[str, Decimal]:
    found = orders.get(make.session, order.id, by=make.by)
    return found.payment_status, found.balance_due


def test_what_is_due_follows(make: Factory, session: Session, order: orders.Placed) -> None:
    told = [due(make, order)]
    for kind, amount in (("payment", "4.00"), ("payment", "6.00"), ("payment", "1.00"), ("refund", "1.00")):
        make.payment(order, amount, kind=kind)
        told.append(due(make, order))

    assert told == [
        ("unpaid", Decimal(10)),
        ("partially_paid", Decimal(6)),
        ("paid", Decimal(0)),
        ("overpaid", Decimal(-1)),
        ("paid", Decimal(0)),
    ]
    assert differences(session) == []


def test_a_cancelled_order_is_paid_back(make: Factory, session: Session, order: orders.Placed) -> None:
    make.payment(order, "10.00")
    orders.cancel(session, order.id, currency=GBP, by=make.by)
    owed = due(make, order)

    make.payment(order, "10.00", kind="refund")

    assert owed == ("overpaid", Decimal(-10))
    assert due(make, order) == ("nothing_due", Decimal(0))


def test_no_more_is_paid_back_than_was_paid(make: Factory, order: orders.Placed) -> None:
    make.payment(order, "4.00")

    with pytest.raises(RefundExceedsPaid):
        make.payment(order, "4.01", kind="refund")
    with pytest.raises(AmountZero):
        make.payment(order, "0.00")


def test_a_reference_is_recorded_once_and_stands_for_one_payment(
    make: Factory, session: Session, order: orders.Placed
) -> None:
    facts: dict[str, Any] = {"method": "card", "reference": "pi_1", "by": make.by}
    first, is_new = payments.record(session, order.id, amount=Decimal(4), **facts)

    again, is_new_again = payments.record(session, order.id, amount=Decimal("4.00"), **facts)
    with pytest.raises(PaymentReferenceTaken):
        payments.record(session, order.id, amount=Decimal(5), **facts)
    with pytest.raises(PaymentReferenceTaken):
        payments.record(session, make.order((make.item(stock=1), 1)).id, amount=Decimal(4), **facts)
    payments.record(session, order.id, amount=Decimal(4), **(facts | {"method": "cash"}))

    assert (is_new, is_new_again, again.id) == (True, False, first.id)
    assert due(make, order) == ("partially_paid", Decimal(2))


def test_a_refund_may_name_a_return_of_the_order(make: Factory, order: orders.Placed) -> None:
    make.shipment(order)
    asked = make.return_(order)
    make.payment(order, "10.00")

    refund = make.payment(order, "2.50", kind="refund", return_id=asked.id)
    other = make.order((make.item(stock=1), 1))
    make.payment(other, "1.00")
    with pytest.raises(ReturnUnknown):
        make.payment(other, "1.00", kind="refund", return_id=asked.id)

    assert refund.return_id == asked.id


def test_it_may_have_been_paid_earlier(make: Factory, order: orders.Placed) -> None:
    moment = datetime(2026, 5, 1, tzinfo=UTC)

    assert make.payment(order, "4.00", paid_at=moment).paid_at == moment


def test_over_http_the_first_is_created_and_repetitions_are_found(
    make: Factory, client: FlaskClient, order: orders.Placed
) -> None:
    url, headers = f"/api/v1/orders/{order.id}/payments", make.headers(role="clerk")
    body = {"amount": "4.00", "method": "card", "reference": "pi_7"}

    first, again = (client.post(url, json=body, headers=headers) for _ in range(2))
    other = client.post(url, json=body | {"amount": "5.00"}, headers=headers)
    wrong = client.post(url, json=body | {"amount": "4.001"}, headers=headers)
    nothing = client.post(url, json=body | {"amount": "0"}, headers=headers)

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.get_json() == again.get_json()
    assert_problem(other, 409, "payment_reference_taken", "reference")
    assert_problem(wrong, 422, "too_many_decimals", "amount")
    assert_problem(nothing, 422, "out_of_range", "amount")
    listed = client.get(url, headers=headers).get_json()["data"]
    assert [(row["amount"], row["kind"]) for row in listed] == [("4.00", "payment")]


def test_of_many_who_record_the_same_at_once_one_does(live_app: Flask) -> None:
    with committed(live_app) as make:
        item = make.item(stock=10)
        mine, theirs = (make.order((item, 2)) for _ in range(2))
        headers = make.headers()
        ids = [mine.id, theirs.id]

    body = {"amount": "1.00", "method": "card", "reference": "pi_9"}
    answers = at_once(
        live_app,
        *(
            {"method": "POST", "path": f"/api/v1/orders/{one}/payments", "json": body, "headers": headers}
            for one in ids * 5
        ),
    )

    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 4, 409: 5}
    with committed(live_app) as make:
        assert make.session.execute(text("SELECT sum(paid_total) FROM orders")).scalar_one() == 1
        assert differences(make.session) == []
