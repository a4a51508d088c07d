"""Payments: what was paid for an order and paid back is recorded, so that what is due can be told."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, Unpack

from api.orders import service as orders
from api.payments.errors import AmountZero, PaymentReferenceTaken, RefundExceedsPaid, ReturnUnknown
from api.payments.models import PAYMENT, REFUND, Payment
from api.payments.repository import PaymentRepository
from api.stock import service as stock

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.money import Money
    from api.core.paging import Listing


class Papers(TypedDict, total=False):
    """What is written down about a payment."""

    reference: str
    note: str
    return_id: UUID
    paid_at: datetime


def record(
    session: Session,
    order_id: UUID,
    *,
    amount: Money,
    method: str,
    by: Caller,
    kind: str = PAYMENT,
    **papers: Unpack[Papers],
) -> tuple[Payment, bool]:
    """Record that money came in for an order, or went back; tells whether it is new.

    Kind, method and external reference together are recorded once: the same again is the same payment.

    Raises:
        OrderNotFound: there is no such order.
        AmountZero: no money moved.
        RefundExceedsPaid: more would be paid back than was paid.
        ReturnUnknown: the order has no such return.
        PaymentReferenceTaken: the reference stands for another payment.
        InTheFuture, TooLongAgo: it cannot have been paid then.

    """
    if not amount:
        raise AmountZero
    order = orders.locked(session, order_id, by=by, to="pay")
    payments = PaymentRepository(session)
    reference = papers.get("reference")
    known = payments.by_reference(kind=kind, method=method, reference=reference) if reference else None
    if known is not None:
        return _same(known, order.id, amount), False
    if kind == REFUND and amount > order.paid_total:
        raise RefundExceedsPaid(paid=order.paid_total)
    if "return_id" in papers and not payments.has_return(order.id, papers["return_id"]):
        raise ReturnUnknown
    paid_at = stock.past(session, papers.get("paid_at"), at="paid_at") or stock.clock(session)
    facts = {"order_id": order.id, "kind": kind, "amount": amount, "method": method, "created_by": by.user_id}
    payment = payments.record(**facts, **(papers | {"paid_at": paid_at}))
    if payment is None:  # of another order, recorded at the same moment
        raise PaymentReferenceTaken(kind=kind, method=method)
    orders.count_paid(session, order, amount if kind == PAYMENT else -amount)
    told = {"payment_id": str(payment.id), "amount": str(amount), "method": method, "reference": reference}
    orders.tell(session, order, f"{kind}_recorded", told, by=by)
    return payment, True


def of_order(session: Session, order_id: UUID, *, by: Caller) -> Listing:
    """List the payments of an order, oldest first.

    Raises:
        OrderNotFound: there is none, or it is somebody else's.

    """
    orders.get(session, order_id, by=by)
    return PaymentRepository(session).of_order(order_id)


def _same(known: Payment, order_id: UUID, amount: Money) -> Payment:
    if (known.order_id, known.amount) != (order_id, amount):
        raise PaymentReferenceTaken(kind=known.kind, method=known.method)
    return known
