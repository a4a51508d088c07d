"""Orders over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import current_app, url_for
from flask.views import MethodView

from api.extensions import db
from api.orders import service
from api.orders.schemas import OrderCancelSchema, OrderCreateSchema, OrderPageSchema, OrderQuerySchema, OrderSchema
from api.rest import caller
from api.rest.smorest import Blueprint

if TYPE_CHECKING:
    from uuid import UUID

    from api.core.paging import Listing
    from api.orders.models import Order

blp = Blueprint("orders", __name__, url_prefix="/orders", description="Promises to deliver.")


@blp.route("")
class OrderCollection(MethodView):
    """All orders."""

    @blp.requires("orders:read")
    @blp.arguments(OrderQuerySchema, location="query")
    @blp.response(HTTPStatus.OK, OrderPageSchema)
    @blp.paginate
    def get(self, query: dict[str, Any]) -> Listing:
        """List orders

        Newest first, without their lines: one's own, or everybody's for those who may see them.
        """
        return service.listing(db.session(), **query, by=caller.current())

    @blp.requires("orders:write")
    @blp.idempotent
    @blp.etag
    @blp.arguments(OrderCreateSchema, example={"lines": [{"sku": "22423", "quantity": 3}]})
    @blp.response(HTTPStatus.CREATED, OrderSchema)
    @blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
    def post(self, body: dict[str, Any]) -> tuple[service.Placed, dict[str, str]]:
        """Place an order

        Reserves the stock of every line or of none. Too little stock is 409 `insufficient_stock` with one detail per
        short item. Send an Idempotency-Key to make a repetition safe.
        """
        currency = current_app.extensions["currency"]
        order = service.place(db.session(), **body, currency=currency, by=caller.current())
        blp.set_etag(order.version)
        return order, {"Location": url_for(".OrderMember", order_id=order.id)}


@blp.route("/<uuid:order_id>")
class OrderMember(MethodView):
    """One order."""

    @blp.requires("orders:read")
    @blp.etag
    @blp.response(HTTPStatus.OK, OrderSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    def get(self, order_id: UUID) -> Order:
        """Show an order"""
        order = service.get(db.session(), order_id, by=caller.current())
        blp.set_etag(order.version)
        return order


@blp.route("/<uuid:order_id>/cancel", methods=["POST"])
@blp.requires("orders:write")
@blp.idempotent
@blp.etag
@blp.arguments(OrderCancelSchema, example={"reason": "Ordered twice"})
@blp.response(HTTPStatus.OK, OrderSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def cancel(body: dict[str, Any], order_id: UUID) -> Order:
    """Cancel an order

    Gives back all the stock it holds. An order that is cancelled already is 409 `invalid_transition`.
    """
    order = service.cancel(db.session(), order_id, **body, by=caller.current())
    blp.set_etag(order.version)
    return order
