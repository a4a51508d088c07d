"""Items over HTTP."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import url_for
from flask.views import MethodView

from api.extensions import db
from api.items import service
from api.items.schemas import (
    ItemBulkSchema,
    ItemCreateSchema,
    ItemOutcomesSchema,
    ItemPageSchema,
    ItemQuerySchema,
    ItemSchema,
    ItemUpdateSchema,
)
from api.rest import bulk, caller
from api.rest.smorest import Blueprint

if TYPE_CHECKING:
    from uuid import UUID

    from api.core.paging import Listing
    from api.items.models import Item

blp = Blueprint("items", __name__, url_prefix="/items", description="The catalogue.")


@blp.route("")
class ItemCollection(MethodView):
    """All items."""

    @blp.requires("items:read")
    @blp.arguments(ItemQuerySchema, location="query")
    @blp.response(HTTPStatus.OK, ItemPageSchema)
    @blp.paginate
    def get(self, query: dict[str, Any]) -> Listing:
        """List items

        In order of SKU, unless `sort` says otherwise; those in the catalogue, unless `archived=true`. `q` searches:
        every word of it must begin a word of the item's SKU, name, barcode, category or tags. A word without digits
        that nothing begins with stands for those most like it, so that `teepot` finds teapots. A `q` without letters
        and digits finds nothing. To follow changes, list with `updated_since` and `sort=updated_at`.
        """
        return service.search(db.session(), **query)

    @blp.requires("items:write")
    @blp.idempotent
    @blp.etag
    @blp.arguments(ItemCreateSchema, example={"sku": "TEAPOT", "name": "Teapot", "unit_price": "12.75"})
    @blp.response(HTTPStatus.CREATED, ItemSchema)
    @blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
    def post(self, body: dict[str, Any]) -> tuple[Item, dict[str, str]]:
        """Create an item

        SKU, name and price are enough. What counts as low stock is for `reorder_point` to say.
        """
        item = service.create(db.session(), **body, by=caller.current())
        blp.set_etag(item.version)
        return item, {"Location": url_for(".ItemMember", item_id=item.id)}


@blp.route("/<uuid:item_id>")
class ItemMember(MethodView):
    """One item."""

    @blp.requires("items:read")
    @blp.etag
    @blp.response(HTTPStatus.OK, ItemSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    def get(self, item_id: UUID) -> Any:  # noqa: ANN401  # a row that has the columns of an item
        """Show an item

        One that is archived, too. Comes with the ETag that a change of it asks for.
        """
        item = service.show(db.session(), item_id)
        blp.set_etag(item.version)
        return item

    @blp.requires("items:write")
    @blp.etag
    @blp.arguments(ItemUpdateSchema, example={"unit_price": "11.50"})
    @blp.response(HTTPStatus.OK, ItemSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    @blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
    def patch(self, changes: service.ItemChanges, item_id: UUID) -> Item:
        """Change an item

        Only the fields sent; `tags` and `attributes` are replaced as a whole. Unit and `is_stocked` never change.
        """
        item = service.get(db.session(), item_id)
        blp.check_etag(item.version)
        service.update(db.session(), item, changes, by=caller.current())
        blp.set_etag(item.version)
        return item

    @blp.requires("items:write")
    @blp.etag
    @blp.response(HTTPStatus.NO_CONTENT)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    @blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
    def delete(self, item_id: UUID) -> None:
        """Delete an item

        Only one that stock, orders, transfers and counts have never named; any other is archived.
        """
        item = service.get(db.session(), item_id)
        blp.check_etag(item.version)
        service.delete(db.session(), item, by=caller.current())


@blp.route("/<uuid:item_id>/archive", methods=["POST"])
@blp.requires("items:write")
@blp.idempotent
@blp.response(HTTPStatus.OK, ItemSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
def archive(item_id: UUID) -> Item:
    """Archive an item

    It leaves the lists and can still be shown; what was ordered stays ordered. One that is archived already stays as
    it is.
    """
    return service.archive(db.session(), item_id, by=caller.current())


@blp.route("/<uuid:item_id>/restore", methods=["POST"])
@blp.requires("items:write")
@blp.idempotent
@blp.response(HTTPStatus.OK, ItemSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
def restore(item_id: UUID) -> Item:
    """Restore an item

    It is in the catalogue again. One that is there stays as it is.
    """
    return service.restore(db.session(), item_id, by=caller.current())


@blp.route("/bulk", methods=["POST"])
@blp.requires("items:write")
@blp.idempotent
@blp.arguments(
    ItemBulkSchema,
    example={
        "items": [
            {"sku": "TEAPOT", "name": "Teapot", "unit_price": "12.75", "tags": ["tea"], "idempotency_key": "row-1"},
            {"sku": "22423", "unit_price": "11.50", "version": 3},
        ],
        "dry_run": False,
    },
)
@blp.response(HTTPStatus.OK, ItemOutcomesSchema)
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def put_many(body: dict[str, Any]) -> dict[str, Any]:
    """Create or change many items

    Up to 1,000 rows, each named by its SKU in any letter case: a SKU that nobody has becomes a new item, which needs
    a name and a price; of any other item the fields sent are changed. The answer tells what became of each row. A row
    that is refused says why and does not spoil the others; a barcode that another item has is refused even if a row
    of the same call gives it up. With `dry_run` the answer is the same and nothing is written.
    """
    apply = partial(service.upsert, db.session(), by=caller.current(), dry_run=body["dry_run"])
    return bulk.each_once(db.session(), body["items"], apply, facts=("sku", "id", "version"), dry_run=body["dry_run"])
