"""Orders over HTTP."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import current_app, url_for
from flask.views import MethodView

from api.extensions import db
from api.orders import service
from api.orders.schemas import (
    OrderBulkSchema,
    OrderCancelSchema,
    OrderCreateSchema,
    OrderEventPageSchema,
    OrderHoldSchema,
    OrderOutcomesSchema,
    OrderPageSchema,
    OrderQuerySchema,
    OrderSchema,
    OrderUpdateSchema,
)
from api.rest import bulk, caller
from api.rest.schemas import PageQuerySchema
from api.rest.smorest import Blueprint

if TYPE_CHECKING:
    from uuid import UUID

    from api.core.paging import Listing
    from api.orders.models import Order

blp = Blueprint("orders", __name__, url_prefix="/orders", description="Promises to deliver.")

EXAMPLE = {"lines": [{"sku": "22423", "quantity": 3}]}


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
    @blp.arguments(OrderCreateSchema, example=EXAMPLE)
    @blp.response(HTTPStatus.CREATED, OrderSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    @blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
    def post(self, body: service.OrderRequest) -> tuple[service.Placed, dict[str, str]]:
        """Place an order

        Reserves the stock of every line or of none. Too little stock is 409 `insufficient_stock` with one detail per
        short item; of items that can be backordered, what is short waits for the next units that come. With
        `reservation_id` the order is made of what a reservation keeps. Send an Idempotency-Key to make a repetition
        safe.
        """
        order = service.place(db.session(), body, **_terms(), by=caller.current())
        blp.set_etag(order.tag)
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
        blp.set_etag(order.tag)
        return order

    @blp.requires("orders:write")
    @blp.etag
    @blp.arguments(OrderUpdateSchema, example={"lines": [{"sku": "22423", "quantity": 2}], "note": "Ring twice."})
    @blp.response(HTTPStatus.OK, OrderSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    @blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
    def patch(self, changes: service.OrderChanges, order_id: UUID) -> Order:
        """Change an order

        Only the fields sent. `lines` are those the order is to have, and can be changed while nothing has shipped: an
        item it has keeps its price, one it has not is added at the catalogue's, one that is not named is dropped; all
        of it or, with too little stock, nothing. Reference, note and metadata can be changed at any time.
        """
        order = service.locked(db.session(), order_id, by=caller.current(), to="annotate")
        blp.check_etag(order.tag)
        order = service.edit(db.session(), order, changes, **_terms(), by=caller.current())
        blp.set_etag(order.tag)
        return order


@blp.route("/bulk", methods=["POST"])
@blp.requires("orders:write")
@blp.idempotent
@blp.arguments(OrderBulkSchema, example={"orders": [{**EXAMPLE, "reference": "WEB-1", "idempotency_key": "WEB-1"}]})
@blp.response(HTTPStatus.OK, OrderOutcomesSchema)
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def place_many(body: dict[str, Any]) -> dict[str, Any]:
    """Place many orders

    Up to 100, one after the other, each placed as a whole or refused with its reasons, whatever becomes of the
    others. An order whose `idempotency_key` was used gets its first outcome again and is not placed twice.
    """
    apply = partial(service.place_many, db.session(), **_terms(), by=caller.current())
    return bulk.each_once(db.session(), body["orders"], apply, facts=("reference", "id", "number", "status"))


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

    Everything that has not shipped, or the units named in `lines`, and gives back the stock they hold. When nothing
    is left the order is cancelled; one of which nothing is outstanding is 409 `invalid_transition`.
    """
    order = service.cancel(db.session(), order_id, **body, currency=_terms()["currency"], by=caller.current())
    blp.set_etag(order.tag)
    return order


@blp.route("/<uuid:order_id>/hold", methods=["POST"])
@blp.requires("orders:fulfil")
@blp.idempotent
@blp.etag
@blp.arguments(OrderHoldSchema, example={"reason": "Payment review"})
@blp.response(HTTPStatus.OK, OrderSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def hold(body: dict[str, Any], order_id: UUID) -> Order:
    """Hold an order

    It keeps its stock, and nothing of it is shipped until it is resumed.
    """
    order = service.hold(db.session(), order_id, **body, by=caller.current())
    blp.set_etag(order.tag)
    return order


@blp.route("/<uuid:order_id>/resume", methods=["POST"])
@blp.requires("orders:fulfil")
@blp.idempotent
@blp.etag
@blp.response(HTTPStatus.OK, OrderSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def resume(order_id: UUID) -> Order:
    """Resume an order

    It was on hold and goes on where it was.
    """
    order = service.resume(db.session(), order_id, by=caller.current())
    blp.set_etag(order.tag)
    return order


@blp.route("/<uuid:order_id>/timeline")
class OrderTimeline(MethodView):
    """What happened to an order."""

    @blp.requires("orders:read")
    @blp.arguments(PageQuerySchema, location="query")
    @blp.response(HTTPStatus.OK, OrderEventPageSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    @blp.paginate
    def get(self, query: dict[str, Any], order_id: UUID) -> Listing:
        """Show an order's timeline

        Everything that happened to it, oldest first: placed, changed, held, backorders filled, shipped, delivered,
        returned, paid, cancelled; for staff with who did it and by which request.
        """
        return service.timeline(db.session(), order_id, **query, by=caller.current())


def _terms() -> dict[str, Any]:
    """Tell in what money orders are, and how locations are chosen for them."""
    settings = current_app.extensions["stockroom"]
    return {"currency": current_app.extensions["currency"], "policy": settings.allocation_policy}
