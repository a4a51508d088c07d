"""Transfers over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import url_for
from flask.views import MethodView

from api.extensions import db
from api.rest import caller
from api.rest.smorest import Blueprint
from api.transfers import service
from api.transfers.schemas import (
    FROM_LOCATION_ID,
    TO_LOCATION_ID,
    TransferCancelSchema,
    TransferCreateSchema,
    TransferPageSchema,
    TransferQuerySchema,
    TransferReceiveSchema,
    TransferSchema,
    TransferWriteOffSchema,
)

if TYPE_CHECKING:
    from uuid import UUID

    from api.core.paging import Listing
    from api.transfers.models import Transfer

blp = Blueprint(
    "transfers", __name__, url_prefix="/stock/transfers", description="Stock that goes from one location to another."
)
PLACES = {"from_location_id": FROM_LOCATION_ID["examples"][0], "to_location_id": TO_LOCATION_ID["examples"][0]}


@blp.route("")
class TransferCollection(MethodView):
    """All transfers."""

    @blp.requires("stock:read")
    @blp.arguments(TransferQuerySchema, location="query")
    @blp.response(HTTPStatus.OK, TransferPageSchema)
    @blp.paginate
    def get(self, query: dict[str, Any]) -> Listing:
        """List stock transfers

        Newest first, without their lines.
        """
        return service.listing(db.session(), **query)

    @blp.requires("stock:write")
    @blp.idempotent
    @blp.etag
    @blp.arguments(
        TransferCreateSchema, example={**PLACES, "in_transit": True, "lines": [{"sku": "22423", "quantity": 24}]}
    )
    @blp.response(HTTPStatus.CREATED, TransferSchema)
    @blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
    def post(self, body: dict[str, Any]) -> tuple[Transfer, dict[str, str]]:
        """Transfer stock

        All lines or none. The units arrive at once and are worth what they were worth where they came from; with
        `in_transit` they lie on the road, where nobody can sell or adjust them, until they are received, called back
        or written off. Units of one item on the road have one average cost, whichever transfer they belong to.
        """
        transfer = service.send(db.session(), **body, by=caller.current())
        blp.set_etag(transfer.version)
        return transfer, {"Location": url_for(".TransferMember", transfer_id=transfer.id)}


@blp.route("/<uuid:transfer_id>")
class TransferMember(MethodView):
    """One transfer."""

    @blp.requires("stock:read")
    @blp.etag
    @blp.response(HTTPStatus.OK, TransferSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    def get(self, transfer_id: UUID) -> Transfer:
        """Show a stock transfer"""
        transfer = service.get(db.session(), transfer_id)
        blp.set_etag(transfer.version)
        return transfer


@blp.route("/<uuid:transfer_id>/receive", methods=["POST"])
@blp.requires("stock:write")
@blp.idempotent
@blp.etag
@blp.arguments(TransferReceiveSchema, example={"lines": [{"sku": "22423", "quantity": 20}]})
@blp.response(HTTPStatus.OK, TransferSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def receive(body: dict[str, Any], transfer_id: UUID) -> Transfer:
    """Receive a stock transfer

    Everything outstanding, or the units named; as often as it takes. More than is in transit is 409
    `exceeds_in_transit` with one detail per line. When nothing is outstanding, the transfer is completed.
    """
    transfer = service.receive(db.session(), transfer_id, **body, by=caller.current())
    blp.set_etag(transfer.version)
    return transfer


@blp.route("/<uuid:transfer_id>/cancel", methods=["POST"])
@blp.requires("stock:write")
@blp.idempotent
@blp.etag
@blp.arguments(TransferCancelSchema, example={"reason": "Sent to the wrong shop"})
@blp.response(HTTPStatus.OK, TransferSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def cancel(body: dict[str, Any], transfer_id: UUID) -> Transfer:
    """Cancel a stock transfer

    What is outstanding goes back to where it came from. A transfer of which something had arrived is completed then,
    any other is cancelled; one that is not in transit is 409 `invalid_transition`.
    """
    transfer = service.cancel(db.session(), transfer_id, **body, by=caller.current())
    blp.set_etag(transfer.version)
    return transfer


@blp.route("/<uuid:transfer_id>/write-off", methods=["POST"])
@blp.requires("stock:write")
@blp.idempotent
@blp.etag
@blp.arguments(TransferWriteOffSchema, example={"reason": "lost", "lines": [{"sku": "22423", "quantity": 1}]})
@blp.response(HTTPStatus.OK, TransferSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def write_off(body: dict[str, Any], transfer_id: UUID) -> Transfer:
    """Write off units of a stock transfer

    Everything outstanding, or the units named, will not arrive; the ledger keeps the reason. When nothing is
    outstanding, the transfer is completed.
    """
    transfer = service.write_off(db.session(), transfer_id, **body, by=caller.current())
    blp.set_etag(transfer.version)
    return transfer
