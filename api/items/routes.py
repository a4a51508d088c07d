"""Items over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import url_for
from flask.views import MethodView

from api.extensions import db
from api.items import service
from api.items.schemas import ItemCreateSchema, ItemPageSchema, ItemQuerySchema, ItemSchema, ItemUpdateSchema
from api.rest import caller
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

        In order of SKU.
        """
        return service.search(db.session(), **query)

    @blp.requires("items:write")
    @blp.idempotent
    @blp.etag
    @blp.arguments(ItemCreateSchema, example={"sku": "TEAPOT", "name": "Teapot", "unit_price": "12.75"})
    @blp.response(HTTPStatus.CREATED, ItemSchema)
    @blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
    def post(self, body: dict[str, Any]) -> tuple[Item, dict[str, str]]:
        """Create an item"""
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
    def get(self, item_id: UUID) -> Item:
        """Show an item"""
        item = service.get(db.session(), item_id)
        blp.set_etag(item.version)
        return item

    @blp.requires("items:write")
    @blp.etag
    @blp.arguments(ItemUpdateSchema, example={"unit_price": "11.50"})
    @blp.response(HTTPStatus.OK, ItemSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    @blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
    def patch(self, changes: service.ItemChanges, item_id: UUID) -> Item:
        """Change an item"""
        item = service.get(db.session(), item_id)
        blp.check_etag(item.version)
        service.update(db.session(), item, changes, by=caller.current())
        blp.set_etag(item.version)
        return item
