"""Stock over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import current_app
from flask.views import MethodView

from api.extensions import db
from api.rest import caller, export
from api.rest.smorest import Blueprint
from api.stock import service
from api.stock.schemas import (
    LOCATION_ID,
    AdjustmentSchema,
    AvailabilitySchema,
    ExportQuerySchema,
    LedgerLinePageSchema,
    LedgerLineSchema,
    LevelPageSchema,
    LevelQuerySchema,
    MovementQuerySchema,
    PostingSchema,
    ReceiptSchema,
    ValuationQuerySchema,
    ValuationSchema,
    VerificationQuerySchema,
    VerificationSchema,
)

if TYPE_CHECKING:
    from uuid import UUID

    from flask import Response

    from api.core.paging import Listing

blp = Blueprint("stock", __name__, url_prefix="/stock", description="What lies where, what it is worth, and why.")
LOCATION = LOCATION_ID["examples"][0]
availability_blp = Blueprint("availability", __name__, url_prefix="/items", description="How much of an item there is.")


@blp.route("/levels")
class LevelCollection(MethodView):
    """All stock levels."""

    @blp.requires("stock:read")
    @blp.arguments(LevelQuerySchema, location="query")
    @blp.response(HTTPStatus.OK, LevelPageSchema)
    @blp.paginate
    def get(self, query: dict[str, Any]) -> Listing:
        """List stock levels

        With the names of their items and locations. `low=true` leaves those at or below their reorder point, `as_of`
        tells how they were at a moment of the past; a level that was not there yet is shown empty.
        """
        return service.levels(db.session(), **query)


@blp.route("/movements")
class MovementCollection(MethodView):
    """The ledger."""

    @blp.requires("stock:read")
    @blp.arguments(MovementQuerySchema, location="query")
    @blp.response(HTTPStatus.OK, LedgerLinePageSchema)
    @blp.paginate
    def get(self, query: dict[str, Any]) -> Listing:
        """List stock movements

        The ledger by the time at which things happened, newest first. No line is ever changed or removed; each tells
        the balance after it.
        """
        return service.movements(db.session(), **query)


@blp.route("/movements/export", methods=["GET"])
@blp.requires("stock:read")
@blp.arguments(ExportQuerySchema, location="query")
@blp.response(HTTPStatus.OK, content_type="text/csv")
def export_movements(query: dict[str, Any]) -> Response:
    """Export stock movements

    The ledger as a file, oldest first: CSV (RFC 4180; a cell that a spreadsheet would take for a formula starts with
    an apostrophe), or NDJSON, one movement per line. It is sent while it is read, so it may be of any length.
    """
    form = query.pop("format")
    listing = service.movements(db.session(), **query, oldest_first=True)
    return export.stream(listing, LedgerLineSchema(), form=form, name="stock-movements")


@blp.route("/receipts", methods=["POST"])
@blp.requires("stock:write")
@blp.idempotent
@blp.arguments(
    ReceiptSchema,
    example={
        "location_id": LOCATION,
        "reference": "DN-2026-0117",
        "lines": [{"sku": "22423", "quantity": 24, "unit_cost": "5.10"}],
    },
)
@blp.response(HTTPStatus.CREATED, PostingSchema)
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def receive(body: dict[str, Any]) -> service.Posting:
    """Receive stock

    All lines or none. `unit_cost` goes into the weighted average cost. `occurred_at` dates a receipt back; a line with
    `expected_on_hand` or `expected_version` is refused, and with it the whole, when its level has changed since.
    """
    return service.receive(db.session(), **body, by=caller.current())


@blp.route("/adjustments", methods=["POST"])
@blp.requires("stock:write")
@blp.idempotent
@blp.arguments(
    AdjustmentSchema,
    example={"location_id": LOCATION, "reason": "damaged", "lines": [{"sku": "22423", "quantity": -2}]},
)
@blp.response(HTTPStatus.CREATED, PostingSchema)
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def adjust(body: dict[str, Any]) -> service.Posting:
    """Adjust stock

    All lines or none. Units promised to open orders cannot be adjusted away, nor, dated back, units that were promised
    or gone at any time since.
    """
    return service.adjust(db.session(), **body, by=caller.current())


@blp.route("/valuation", methods=["GET"])
@blp.requires("stock:read", "costs:read")
@blp.arguments(ValuationQuerySchema, location="query")
@blp.response(HTTPStatus.OK, ValuationSchema)
def valuation(query: dict[str, Any]) -> service.Valuation:
    """Show what stock is worth

    In all and per location, at the weighted average cost of what came in; now, or at a moment of the past.
    """
    return service.valuation(db.session(), **query, currency=current_app.extensions["stockroom"].currency)


@blp.route("/verify", methods=["GET"])
@blp.requires("stock:read")
@blp.arguments(VerificationQuerySchema, location="query")
@blp.response(HTTPStatus.OK, VerificationSchema)
def verify(query: dict[str, Any]) -> service.Verification:
    """Verify stock

    Compares ledger, balances, values, promises, orders and transfers. Beside each difference, of which there are none,
    stands the first ledger line that is wrong, or the last that is right: who and when. A large ledger is verified item
    by item here, and as a whole by `flask stock audit`.
    """
    return service.verify(db.session(), **query)


@availability_blp.route("/<uuid:item_id>/availability", methods=["GET"])
@availability_blp.requires("items:read")
@availability_blp.response(HTTPStatus.OK, AvailabilitySchema)
@availability_blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
def availability(item_id: UUID) -> service.Availability:
    """Show an item's availability

    In all, where orders are served from, and per location.
    """
    return service.availability(db.session(), item_id)
