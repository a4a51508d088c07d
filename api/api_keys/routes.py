"""API keys over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import url_for
from flask.views import MethodView

from api.api_keys import service
from api.api_keys.schemas import (
    ApiKeyCreateSchema,
    ApiKeyIssuedSchema,
    ApiKeyPageSchema,
    ApiKeyQuerySchema,
    ApiKeyRotateSchema,
    ApiKeySchema,
)
from api.extensions import db
from api.rest import caller
from api.rest.smorest import Blueprint

if TYPE_CHECKING:
    from uuid import UUID

    from api.api_keys.models import ApiKey
    from api.core.paging import Listing

blp = Blueprint("api_keys", __name__, url_prefix="/api-keys", description="What programs show instead of logging in.")


@blp.route("")
class ApiKeyCollection(MethodView):
    """API keys."""

    @blp.requires("account")
    @blp.arguments(ApiKeyQuerySchema, location="query")
    @blp.response(HTTPStatus.OK, ApiKeyPageSchema)
    @blp.paginate
    def get(self, query: dict[str, Any]) -> Listing:
        """List API keys

        One's own, newest first, those that are over included; whoever holds `api-keys:all` sees everybody's.
        """
        return service.listing(db.session(), **query, by=caller.current())

    @blp.requires("account", fresh=True)
    @blp.strictly_limited
    @blp.shows_a_secret
    @blp.arguments(ApiKeyCreateSchema, example={"name": "Till", "scopes": ["orders:write"], "expires_in_days": 90})
    @blp.response(HTTPStatus.CREATED, ApiKeyIssuedSchema)
    @blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
    def post(self, body: dict[str, Any]) -> tuple[service.Issued, dict[str, str]]:
        """Create an API key

        `key` is shown here and never again, so this takes no Idempotency-Key: when the answer is lost, revoke the key
        that is in the list and make another.
        """
        issued = service.create(db.session(), **body, by=caller.current())
        return issued, {"Location": url_for(".ApiKeyMember", key_id=issued.id)}


@blp.route("/<uuid:key_id>")
class ApiKeyMember(MethodView):
    """One API key."""

    @blp.requires("account")
    @blp.response(HTTPStatus.OK, ApiKeySchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    def get(self, key_id: UUID) -> ApiKey:
        """Show an API key

        One of mine, or with `api-keys:all` anybody's; its secret is not shown.
        """
        return service.get(db.session(), key_id, by=caller.current())

    @blp.requires("account")
    @blp.response(HTTPStatus.NO_CONTENT)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    def delete(self, key_id: UUID) -> None:
        """Revoke an API key

        One of mine, or with `api-keys:all` anybody's; it is refused from the next request on.
        """
        service.revoke(db.session(), key_id, by=caller.current())


@blp.route("/<uuid:key_id>/rotate", methods=["POST"])
@blp.requires("account", fresh=True)
@blp.strictly_limited
@blp.shows_a_secret
@blp.arguments(ApiKeyRotateSchema, example={"overlap_seconds": 3600})
@blp.response(HTTPStatus.CREATED, ApiKeyIssuedSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def rotate(body: dict[str, Any], key_id: UUID) -> tuple[service.Issued, dict[str, str]]:
    """Rotate an API key

    Makes a new key in the place of one of mine, with the same name, scopes and expiry; the old one stays good for the
    overlap. `key` is shown here and never again, so this takes no Idempotency-Key: when the answer is lost, rotate the
    new key, which is in the list.
    """
    issued = service.rotate(db.session(), key_id, **body, by=caller.current())
    return issued, {"Location": url_for(".ApiKeyMember", key_id=issued.id)}
