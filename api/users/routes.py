"""Users over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask.views import MethodView

from api.extensions import db
from api.rest import caller
from api.rest.smorest import Blueprint
from api.users import service
from api.users.schemas import (
    ProfileSchema,
    ProfileUpdateSchema,
    UserCreateSchema,
    UserPageSchema,
    UserQuerySchema,
    UserSchema,
    UserUpdateSchema,
)

if TYPE_CHECKING:
    from uuid import UUID

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
        """Create a user

        With a password that somebody has to tell them; `POST /auth/invitations` lets them choose their own.
        """
        user = service.create(db.session(), **body, by=caller.current())
        blp.set_etag(user.version)
        return user


@blp.route("/me")
class Me(MethodView):
    """The one who asks."""

    @blp.requires()
    @blp.etag
    @blp.response(HTTPStatus.OK, ProfileSchema)
    def get(self) -> service.Profile:
        """Show myself"""
        profile = service.profile(db.session(), by=caller.current())
        blp.set_etag(profile.version)
        return profile

    @blp.requires("account")
    @blp.etag
    @blp.arguments(ProfileUpdateSchema)
    @blp.response(HTTPStatus.OK, ProfileSchema)
    def patch(self, changes: service.UserChanges) -> service.Profile:
        """Change my name"""
        user = service.get(db.session(), caller.current().own_id)
        blp.check_etag(user.version)
        service.update(db.session(), user, changes, by=caller.current())
        blp.set_etag(user.version)
        return service.profile(db.session(), by=caller.current())


@blp.route("/<uuid:user_id>")
class UserMember(MethodView):
    """One user."""

    @blp.requires("users:read")
    @blp.etag
    @blp.response(HTTPStatus.OK, UserSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    def get(self, user_id: UUID) -> User:
        """Show a user"""
        user = service.get(db.session(), user_id)
        blp.set_etag(user.version)
        return user

    @blp.requires("users:write")
    @blp.etag
    @blp.arguments(UserUpdateSchema)
    @blp.response(HTTPStatus.OK, UserSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    @blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
    def patch(self, changes: service.UserChanges, user_id: UUID) -> User:
        """Change a user

        A new role, or a deactivation, counts at the very next request of the account. Nobody gives a role above their
        own, and the last active administrator stays.
        """
        user = service.get(db.session(), user_id)
        blp.check_etag(user.version)
        service.update(db.session(), user, changes, by=caller.current())
        blp.set_etag(user.version)
        return user
