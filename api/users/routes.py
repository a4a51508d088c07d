"""Users over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask.views import MethodView

from api.extensions import db
from api.rest import caller
from api.rest.smorest import Blueprint
from api.users import service
from api.users.schemas import UserCreateSchema, UserPageSchema, UserQuerySchema, UserSchema

if TYPE_CHECKING:
    from api.core.paging import Listing
    from api.users.models import User

blp = Blueprint("users", __name__, url_prefix="/users", description="People who use the installation.")


@blp.route("")
class UserCollection(MethodView):
    """All users."""

    @blp.requires("users:read")
    @blp.arguments(UserQuerySchema, location="query")
    @blp.response(HTTPStatus.OK, UserPageSchema)
    @blp.paginate
    def get(self, query: dict[str, Any]) -> Listing:
        """List users"""
        return service.listing(db.session(), **query)

    @blp.requires("users:write")
    @blp.idempotent
    @blp.etag
    @blp.arguments(UserCreateSchema)
    @blp.response(HTTPStatus.CREATED, UserSchema)
    @blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
    def post(self, body: dict[str, Any]) -> User:
        """Create a user"""
        user = service.create(db.session(), **body, by=caller.current())
        blp.set_etag(user.version)
        return user


@blp.route("/me")
class Me(MethodView):
    """The one who asks."""

    @blp.requires()
    @blp.etag
    @blp.response(HTTPStatus.OK, UserSchema)
    def get(self) -> User:
        """Show myself"""
        user = service.get(db.session(), caller.current().own_id)
        blp.set_etag(user.version)
        return user
