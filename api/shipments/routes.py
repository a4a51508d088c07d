"""Shipments over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import url_for
from flask.views import MethodView

from api.extensions import db
from api.rest import caller
from api.rest.pages import printable
from api.rest.schemas import PageQuerySchema
from api.rest.smorest import Blueprint
from api.shipments import service
from api.shipments.schemas import (
    PickListSchema,
    ShipmentCreateSchema,
    ShipmentDeliverSchema,
    ShipmentPageSchema,
    ShipmentQuerySchema,
    ShipmentSchema,
    ShipmentUpdateSchema,
)

if TYPE_CHECKING:
    from uuid import UUID

    from flask import Response

    from api.core.paging import Listing
    from api.shipments.models import Shipment

blp = Blueprint("shipments", __name__, template_folder="templates", description="Stock of orders leaving.")


@blp.route("/shipments")
class ShipmentCollection(MethodView):
    """All shipments."""

    @blp.requires("orders:read", "orders:fulfil")
    @blp.arguments(ShipmentQuerySchema, location="query")
    @blp.response(HTTPStatus.OK, ShipmentPageSchema)
    @blp.paginate
    def get(self, query: dict[str, Any]) -> Listing:
        """List shipments

        Of all orders, newest first.
        """
        return service.listing(db.session(), **query)


@blp.route("/orders/<uuid:order_id>/shipments")
class OrderShipments(MethodView):
    """The shipments of one order."""

    @blp.requires("orders:read")
    @blp.arguments(PageQuerySchema, location="query")
    @blp.response(HTTPStatus.OK, ShipmentPageSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    @blp.paginate
    def get(self, query: dict[str, Any], order_id: UUID) -> Listing:
        """List an order's shipments

        Newest first.
        """
        return service.of_order(db.session(), order_id, **query, by=caller.current())

    @blp.requires("orders:fulfil")
    @blp.idempotent
    @blp.etag
    @blp.arguments(
        ShipmentCreateSchema,
        example={"lines": [{"sku": "22423", "quantity": 2}], "carrier": "Royal Mail", "tracking_number": "RM1"},
    )
    @blp.response(HTTPStatus.CREATED, ShipmentSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    @blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
    def post(self, body: dict[str, Any], order_id: UUID) -> tuple[Shipment, dict[str, str]]:
        """Ship an order

        Without lines everything that lies ready, wherever it does; else the units named, from anywhere or from
        `location_id` only; as often as it takes. What is not stocked goes along with the last of the goods. What is
        backordered is 409 `not_allocated`, an order on hold 409 `invalid_transition`.
        """
        shipment = service.ship(db.session(), order_id, **body, by=caller.current())
        blp.set_etag(shipment.version)
        return shipment, {"Location": url_for(".ShipmentMember", order_id=order_id, shipment_id=shipment.id)}


@blp.route("/orders/<uuid:order_id>/shipments/<uuid:shipment_id>")
class ShipmentMember(MethodView):
    """One shipment."""

    @blp.requires("orders:read")
    @blp.etag
    @blp.response(HTTPStatus.OK, ShipmentSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    def get(self, order_id: UUID, shipment_id: UUID) -> Shipment:
        """Show a shipment"""
        shipment = service.get(db.session(), order_id, shipment_id, by=caller.current())
        blp.set_etag(shipment.version)
        return shipment

    @blp.requires("orders:fulfil")
    @blp.etag
    @blp.arguments(ShipmentUpdateSchema, example={"tracking_number": "RM123456789GB"})
    @blp.response(HTTPStatus.OK, ShipmentSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    def patch(self, changes: service.Papers, order_id: UUID, shipment_id: UUID) -> Shipment:
        """Change a shipment

        What is written down about it: carrier, tracking and note. What has left has left.
        """
        shipment = service.get(db.session(), order_id, shipment_id, by=caller.current())
        blp.check_etag(shipment.version)
        service.update(db.session(), shipment, changes)
        blp.set_etag(shipment.version)
        return shipment


@blp.route("/orders/<uuid:order_id>/shipments/<uuid:shipment_id>/deliver", methods=["POST"])
@blp.requires("orders:fulfil")
@blp.idempotent
@blp.etag
@blp.arguments(ShipmentDeliverSchema, example={"delivered_at": "2026-05-19T14:20:00Z"})
@blp.response(HTTPStatus.OK, ShipmentSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def deliver(body: dict[str, Any], order_id: UUID, shipment_id: UUID) -> Shipment:
    """Deliver a shipment

    It has arrived. When all units of the order have, the order is delivered.
    """
    shipment = service.deliver(db.session(), order_id, shipment_id, **body, by=caller.current())
    blp.set_etag(shipment.version)
    return shipment


@blp.route("/orders/<uuid:order_id>/shipments/<uuid:shipment_id>/packing-slip", methods=["GET"])
@blp.requires("orders:read")
@blp.response(HTTPStatus.OK, {"type": "string"}, content_type="text/html")  # type: ignore[arg-type]  # written out
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
def packing_slip(order_id: UUID, shipment_id: UUID) -> Response:
    """Print a packing slip

    A page to be printed and put into the parcel; it shows no prices.
    """
    slip = service.packing_slip(db.session(), order_id, shipment_id, by=caller.current())
    return printable("packing_slip.html", **slip)


@blp.route("/orders/<uuid:order_id>/pick-list", methods=["GET"])
@blp.requires("orders:fulfil")
@blp.response(HTTPStatus.OK, PickListSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
def pick_list(order_id: UUID) -> dict[str, Any]:
    """Show an order's pick list

    What lies ready for it, location by location, and what is backordered.
    """
    return service.pick_list(db.session(), order_id, by=caller.current())
