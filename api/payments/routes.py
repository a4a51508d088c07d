"""Payments over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask.views import MethodView

from api.extensions import db
from api.payments import service
from api.payments.schemas import PaymentCreateSchema, PaymentPageSchema, PaymentSchema
from api.rest import caller
from api.rest.schemas import PageQuerySchema
from api.rest.smorest import Blueprint

if TYPE_CHECKING:
    from uuid import UUID

    from api.core.paging import Listing
    from api.payments.models import Payment

blp = Blueprint("payments", __name__, description="Payments recorded.")
STATUS = {True: HTTPStatus.CREATED, False: HTTPStatus.OK}


@blp.route("/orders/<uuid:order_id>/payments")
class OrderPayments(MethodView):
    """The payments of one order."""

    @blp.requires("orders:read")
    @blp.arguments(PageQuerySchema, location="query")
    @blp.response(HTTPStatus.OK, PaymentPageSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    @blp.paginate
    def get(self, query: dict[str, Any], order_id: UUID) -> Listing:
        """List an order's payments

        Oldest first. What is due is the order's to tell: `balance_due`.
        """
        return service.of_order(db.session(), order_id, **query, by=caller.current())

    @blp.requires("payments:write")
    @blp.idempotent
    @blp.arguments(PaymentCreateSchema, example={"amount": "38.25", "method": "card", "reference": "pi_3PqZk2"})
    @blp.response(HTTPStatus.CREATED, PaymentSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    @blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
    def post(self, body: dict[str, Any], order_id: UUID) -> tuple[Payment, int]:
        """Record a payment

        It was made elsewhere; nothing is charged here. The same kind, method and reference is recorded once: sent
        again it is answered 200 with the first, and with another amount or order 409 `payment_reference_taken`. A
        mistake is set right by a refund.
        """
        payment, is_new = service.record(db.session(), order_id, **body, by=caller.current())
        return payment, STATUS[is_new]
