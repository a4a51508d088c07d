"""Reservations over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import current_app, url_for
from flask.views import MethodView

from api.extensions import db
from api.reservations import service
from api.reservations.schemas import (
    ReservationCreateSchema,
    ReservationExtendSchema,
    ReservationPageSchema,
    ReservationQuerySchema,
    ReservationSchema,
)
from api.rest import caller
from api.rest.smorest import Blueprint

if TYPE_CHECKING:
    from uuid import UUID

    from api.core.paging import Listing
    from api.reservations.models import Reservation

blp = Blueprint("reservations", __name__, url_prefix="/reservations", description="Holds on stock for a while.")


@blp.route("")
class ReservationCollection(MethodView):
    """All reservations."""

    @blp.requires("orders:read")
    @blp.arguments(ReservationQuerySchema, location="query")
    @blp.response(HTTPStatus.OK, ReservationPageSchema)
    @blp.paginate
    def get(self, query: dict[str, Any]) -> Listing:
        """List reservations

        Newest first, without their lines: one's own, or everybody's for those who may see them.
        """
        return service.listing(db.session(), **query, by=caller.current())

    @blp.requires("orders:write")
    @blp.idempotent
    @blp.etag
    @blp.arguments(ReservationCreateSchema, example={"lines": [{"sku": "22423", "quantity": 3}], "ttl_seconds": 900})
    @blp.response(HTTPStatus.CREATED, ReservationSchema)
    @blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
    def post(self, body: dict[str, Any]) -> tuple[Reservation, dict[str, str]]:
        """Reserve stock

        All lines or none, for `ttl_seconds`; `POST /orders` with its id makes it an order. When its time is over its
        units are available again, at that moment. What one customer keeps at once is limited.
        """
        reservation = service.create(db.session(), **body, terms=_terms(), by=caller.current())
        blp.set_etag(reservation.version_now)
        return reservation, {"Location": url_for(".ReservationMember", reservation_id=reservation.id)}


@blp.route("/<uuid:reservation_id>")
class ReservationMember(MethodView):
    """One reservation."""

    @blp.requires("orders:read")
    @blp.etag
    @blp.response(HTTPStatus.OK, ReservationSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    def get(self, reservation_id: UUID) -> Reservation:
        """Show a reservation

        When its time is over it is `lapsed`, at that moment and under a new ETag.
        """
        reservation = service.get(db.session(), reservation_id, by=caller.current())
        blp.set_etag(reservation.version_now)
        return reservation


@blp.route("/<uuid:reservation_id>/extend", methods=["POST"])
@blp.requires("orders:write")
@blp.idempotent
@blp.etag
@blp.arguments(ReservationExtendSchema, example={"ttl_seconds": 900})
@blp.response(HTTPStatus.OK, ReservationSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def extend(body: dict[str, Any], reservation_id: UUID) -> Reservation:
    """Extend a reservation

    It is kept for `ttl_seconds` from now, 30 days from when it was made at most. One that has ended is 409
    `reservation_ended`.
    """
    reservation = service.extend(db.session(), reservation_id, **body, by=caller.current())
    blp.set_etag(reservation.version_now)
    return reservation


@blp.route("/<uuid:reservation_id>/release", methods=["POST"])
@blp.requires("orders:write")
@blp.idempotent
@blp.etag
@blp.response(HTTPStatus.OK, ReservationSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def release(reservation_id: UUID) -> Reservation:
    """Release a reservation

    Its units are available again. One that has ended is 409 `reservation_ended`.
    """
    reservation = service.release(db.session(), reservation_id, by=caller.current())
    blp.set_etag(reservation.version_now)
    return reservation


def _terms() -> service.Terms:
    """Tell how much one customer may keep, and how locations are chosen."""
    settings = current_app.extensions["stockroom"]
    return service.Terms(
        settings.reservation_units_per_customer, settings.reservations_per_customer, settings.allocation_policy
    )
