"""Stock over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask.views import MethodView

from api.extensions import db
from api.rest import caller
from api.rest.smorest import Blueprint
from api.stock import service
from api.stock.schemas import (
    AdjustmentSchema,
    AvailabilitySchema,
    LevelPageSchema,
    LevelQuerySchema,
    MovementPageSchema,
    MovementQuerySchema,
    PostingSchema,
    ReceiptSchema,
)

if TYPE_CHECKING:
    from uuid import UUID

    from api.core.paging import Listing

blp = Blueprint("stock", __name__, url_prefix="/stock", description="What lies where, and why.")
availability_blp = Blueprint("availability", __name__, url_prefix="/items", description="How much of an item there is.")


@blp.route("/levels")
class LevelCollection(MethodView):
    """All stock levels."""

    @blp.requires("stock:read")
    @blp.arguments(LevelQuerySchema, location="query")
    @blp.response(HTTPStatus.OK, LevelPageSchema)
    @blp.paginate
    def get(self, query: dict[str, Any]) -> Listing:
        """List stock levels"""
        return service.levels(db.session(), **query)


@blp.route("/movements")
class MovementCollection(MethodView):
    """The ledger."""

    @blp.requires("stock:read")
    @blp.arguments(MovementQuerySchema, location="query")
    @blp.response(HTTPStatus.OK, MovementPageSchema)
    @blp.paginate
    def get(self, query: dict[str, Any]) -> Listing:
        """List stock movements

        The ledger, newest first. No line is ever changed or removed; each tells the balance after it.
        """
        return service.movements(db.session(), **query)


@blp.route("/receipts", methods=["POST"])
@blp.requires("stock:write")
@blp.idempotent
@blp.arguments(ReceiptSchema)
@blp.response(HTTPStatus.CREATED, PostingSchema)
def receive(body: dict[str, Any]) -> service.Posting:
    """Receive stock

    All lines or none.
    """
    return service.receive(db.session(), **body, by=caller.current())


@blp.route("/adjustments", methods=["POST"])
@blp.requires("stock:write")
@blp.idempotent
@blp.arguments(AdjustmentSchema)
@blp.response(HTTPStatus.CREATED, PostingSchema)
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def adjust(body: dict[str, Any]) -> service.Posting:
    """Adjust stock

    All lines or none. Units promised to open orders cannot be adjusted away.
    """
    return service.adjust(db.session(), **body, by=caller.current())


@availability_blp.route("/<uuid:item_id>/availability", methods=["GET"])
@availability_blp.requires("items:read")
@availability_blp.response(HTTPStatus.OK, AvailabilitySchema)
@availability_blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
def availability(item_id: UUID) -> service.Availability:
    """Show an item's availability

    In all, and per location.
    """
    return service.availability(db.session(), item_id)
