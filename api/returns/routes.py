"""Returns over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import url_for
from flask.views import MethodView

from api.extensions import db
from api.rest import caller
from api.rest.schemas import PageQuerySchema
from api.rest.smorest import Blueprint
from api.returns import service
from api.returns.schemas import (
    ReturnCreateSchema,
    ReturnPageSchema,
    ReturnQuerySchema,
    ReturnReceiveSchema,
    ReturnSchema,
)

if TYPE_CHECKING:
    from uuid import UUID

    from api.core.paging import Listing
    from api.returns.models import Return

blp = Blueprint("returns", __name__, description="Stock of orders coming back.")


@blp.route("/returns")
class ReturnCollection(MethodView):
    """All returns."""

    @blp.requires("orders:read", "orders:fulfil")
    @blp.arguments(ReturnQuerySchema, location="query")
    @blp.response(HTTPStatus.OK, ReturnPageSchema)
    @blp.paginate
    def get(self, query: dict[str, Any]) -> Listing:
        """List returns

        Of all orders, newest first.
        """
        return service.listing(db.session(), **query)


@blp.route("/orders/<uuid:order_id>/returns")
class OrderReturns(MethodView):
    """The returns of one order."""

    @blp.requires("orders:read")
    @blp.arguments(PageQuerySchema, location="query")
    @blp.response(HTTPStatus.OK, ReturnPageSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    @blp.paginate
    def get(self, query: dict[str, Any], order_id: UUID) -> Listing:
        """List an order's returns

        Newest first.
        """
        return service.of_order(db.session(), order_id, **query, by=caller.current())

    @blp.requires("orders:write")
    @blp.idempotent
    @blp.etag
    @blp.arguments(
        ReturnCreateSchema, example={"lines": [{"sku": "22423", "quantity": 2}], "reason": "Broken on arrival"}
    )
    @blp.response(HTTPStatus.CREATED, ReturnSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    @blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
    def post(self, body: dict[str, Any], order_id: UUID) -> tuple[Return, dict[str, str]]:
        """Request a return

        Of everything that was shipped, or of the units named; nothing moves until it is received. More than can come
        back is 409 `exceeds_shipped` with one detail per line.
        """
        return_ = service.request(db.session(), order_id, **body, by=caller.current())
        blp.set_etag(return_.version)
        return return_, {"Location": url_for(".ReturnMember", order_id=order_id, return_id=return_.id)}


@blp.route("/orders/<uuid:order_id>/returns/<uuid:return_id>")
class ReturnMember(MethodView):
    """One return."""

    @blp.requires("orders:read")
    @blp.etag
    @blp.response(HTTPStatus.OK, ReturnSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    def get(self, order_id: UUID, return_id: UUID) -> Return:
        """Show a return"""
        return_ = service.get(db.session(), order_id, return_id, by=caller.current())
        blp.set_etag(return_.version)
        return return_


@blp.route("/orders/<uuid:order_id>/returns/<uuid:return_id>/receive", methods=["POST"])
@blp.requires("orders:fulfil")
@blp.idempotent
@blp.etag
@blp.arguments(
    ReturnReceiveSchema,
    example={
        "lines": [
            {"sku": "22423", "quantity": 1},
            {"sku": "22423", "quantity": 1, "condition": "damaged"},
        ],
        "refund_amount": "25.50",
    },
)
@blp.response(HTTPStatus.OK, ReturnSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def receive(body: dict[str, Any], order_id: UUID, return_id: UUID) -> Return:
    """Receive a return

    Everything asked for, as resellable, or the units named, each in its condition. Resellable and quarantined units
    are stock again, worth what they were worth when they left. `refund_amount` is what is granted; paying it back is
    recorded as a payment of the kind refund.
    """
    return_ = service.receive(db.session(), order_id, return_id, **body, by=caller.current())
    blp.set_etag(return_.version)
    return return_


@blp.route("/orders/<uuid:order_id>/returns/<uuid:return_id>/cancel", methods=["POST"])
@blp.requires("orders:write")
@blp.idempotent
@blp.etag
@blp.response(HTTPStatus.OK, ReturnSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def cancel(order_id: UUID, return_id: UUID) -> Return:
    """Cancel a return

    It will not come back. One that was received is 409 `invalid_transition`.
    """
    return_ = service.cancel(db.session(), order_id, return_id, by=caller.current())
    blp.set_etag(return_.version)
    return return_
