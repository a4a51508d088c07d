"""Stock counts over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import url_for
from flask.views import MethodView

from api.counts import service
from api.counts.schemas import (
    LOCATION_ID,
    CountCancelSchema,
    CountEnterSchema,
    CountEntriesSchema,
    CountEntryPageSchema,
    CountEntryQuerySchema,
    CountLinePageSchema,
    CountLineQuerySchema,
    CountOpenSchema,
    CountPageSchema,
    CountPostSchema,
    CountQuerySchema,
    CountSchema,
)
from api.extensions import db
from api.rest import caller
from api.rest.smorest import Blueprint

if TYPE_CHECKING:
    from uuid import UUID

    from api.core.orm import AnyRow
    from api.core.paging import Listing

blp = Blueprint("counts", __name__, url_prefix="/stock/counts", description="What people found when they looked.")


@blp.route("")
class CountCollection(MethodView):
    """All counts."""

    @blp.requires("stock:read")
    @blp.arguments(CountQuerySchema, location="query")
    @blp.response(HTTPStatus.OK, CountPageSchema)
    @blp.paginate
    def get(self, query: dict[str, Any]) -> Listing:
        """List stock counts

        Newest first.
        """
        return service.listing(db.session(), **query)

    @blp.requires("stock:write")
    @blp.idempotent
    @blp.etag
    @blp.arguments(CountOpenSchema, example={"location_id": LOCATION_ID["examples"][0], "reference": "STOCKTAKE-2026"})
    @blp.response(HTTPStatus.CREATED, CountSchema)
    @blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
    def post(self, body: dict[str, Any]) -> tuple[AnyRow, dict[str, str]]:
        """Open a stock count

        Of one location; it goes on selling meanwhile. While a count of it is open, another is 409 `count_open`.
        """
        count = service.open_(db.session(), **body, by=caller.current())
        blp.set_etag(count.version)
        return count, {"Location": url_for(".CountMember", count_id=count.id)}


@blp.route("/<uuid:count_id>")
class CountMember(MethodView):
    """One count."""

    @blp.requires("stock:read")
    @blp.etag
    @blp.response(HTTPStatus.OK, CountSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    def get(self, count_id: UUID) -> AnyRow:
        """Show a stock count

        With how many items were counted, and of how many other was found than expected.
        """
        count = service.get(db.session(), count_id)
        blp.set_etag(count.version)
        return count


@blp.route("/<uuid:count_id>/entries")
class CountEntryCollection(MethodView):
    """What was entered into one count."""

    @blp.requires("stock:read")
    @blp.arguments(CountEntryQuerySchema, location="query")
    @blp.response(HTTPStatus.OK, CountEntryPageSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    @blp.paginate
    def get(self, query: dict[str, Any], count_id: UUID) -> Listing:
        """List entries of a stock count

        Who found how many units of what, and when; replaced ones included.
        """
        return service.entries(db.session(), count_id, **query)

    @blp.requires("stock:write")
    @blp.idempotent
    @blp.arguments(CountEnterSchema, example={"lines": [{"sku": "22423", "quantity": 11}]})
    @blp.response(HTTPStatus.CREATED, CountEntriesSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    @blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
    def post(self, body: dict[str, Any], count_id: UUID) -> service.Entries:
        """Enter into a stock count

        Several people may do so at once. Entries of the same item add up, as from several shelves; a `recount` replaces
        the earlier ones. Each keeps what should have lain there at its moment.
        """
        return service.enter(db.session(), count_id, **body, by=caller.current())


@blp.route("/<uuid:count_id>/lines")
class CountLineCollection(MethodView):
    """What was found in one count, item by item."""

    @blp.requires("stock:read")
    @blp.arguments(CountLineQuerySchema, location="query")
    @blp.response(HTTPStatus.OK, CountLinePageSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    @blp.paginate
    def get(self, query: dict[str, Any], count_id: UUID) -> Listing:
        """List lines of a stock count

        What was found of each item, beside what should have been. `differing=true` leaves the differences;
        `uncounted=true` lists what lies there and nobody has counted.
        """
        return service.lines(db.session(), count_id, **query)


@blp.route("/<uuid:count_id>/post", methods=["POST"])
@blp.requires("stock:write")
@blp.idempotent
@blp.etag
@blp.arguments(CountPostSchema, example={"uncounted": "keep"})
@blp.response(HTTPStatus.OK, CountSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def post(body: dict[str, Any], count_id: UUID) -> AnyRow:
    """Post a stock count

    Books, for every item counted, the difference found at the time on top of what lies there now, so that whatever
    came or went since stays as it is; all of them, or none. Units missing that are promised are 409
    `insufficient_stock`. The movements are found by `source_id`.
    """
    count = service.post(db.session(), count_id, **body, by=caller.current())
    blp.set_etag(count.version)
    return count


@blp.route("/<uuid:count_id>/cancel", methods=["POST"])
@blp.requires("stock:write")
@blp.idempotent
@blp.etag
@blp.arguments(CountCancelSchema, example={})
@blp.response(HTTPStatus.OK, CountSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def cancel(body: dict[str, Any], count_id: UUID) -> AnyRow:
    """Cancel a stock count

    Nothing is booked; what was entered can still be read.
    """
    count = service.cancel(db.session(), count_id, **body, by=caller.current())
    blp.set_etag(count.version)
    return count
