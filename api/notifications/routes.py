"""Notifications over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask.views import MethodView

from api.extensions import db
from api.notifications import service
from api.notifications.schemas import (
    ID,
    MarkedSchema,
    NotificationPageSchema,
    NotificationQuerySchema,
    NotificationSchema,
    PreferencesSchema,
    PreferencesUpdateSchema,
    ReadAllSchema,
    UnreadCountSchema,
)
from api.rest import caller
from api.rest.smorest import Blueprint

if TYPE_CHECKING:
    from uuid import UUID

    from api.core.paging import Listing
    from api.notifications.models import Notification

blp = Blueprint(
    "notifications", __name__, url_prefix="/notifications", description="What concerns you, and how to be told."
)


@blp.route("")
class NotificationCollection(MethodView):
    """One's own notifications."""

    @blp.requires("notifications")
    @blp.arguments(NotificationQuerySchema, location="query")
    @blp.response(HTTPStatus.OK, NotificationPageSchema)
    @blp.paginate
    def get(self, query: dict[str, Any]) -> Listing:
        """List my notifications

        Newest first. What was read is kept for 90 days, what was not for 400.
        """
        return service.listing(db.session(), **query, by=caller.current())


@blp.route("/unread-count", methods=["GET"])
@blp.requires("notifications")
@blp.response(HTTPStatus.OK, UnreadCountSchema)
def count_unread() -> dict[str, int]:
    """Count my unread notifications"""
    return {"unread": service.count_unread(db.session(), by=caller.current())}


@blp.route("/read", methods=["POST"])
@blp.requires("notifications")
@blp.idempotent
@blp.arguments(ReadAllSchema, example={"until": ID})
@blp.response(HTTPStatus.OK, MarkedSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
def read_all(body: dict[str, Any]) -> dict[str, int]:
    """Mark all my notifications as read

    Name as `until` the newest one that was on the screen, and what came meanwhile stays unread.
    """
    return {"marked": service.mark_all(db.session(), **body, by=caller.current())}


@blp.route("/<uuid:notification_id>/read", methods=["POST"])
@blp.requires("notifications")
@blp.idempotent
@blp.response(HTTPStatus.OK, NotificationSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
def read(notification_id: UUID) -> Notification:
    """Mark a notification as read"""
    return service.mark(db.session(), notification_id, is_read=True, by=caller.current())


@blp.route("/<uuid:notification_id>/unread", methods=["POST"])
@blp.requires("notifications")
@blp.idempotent
@blp.response(HTTPStatus.OK, NotificationSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
def unread(notification_id: UUID) -> Notification:
    """Mark a notification as unread"""
    return service.mark(db.session(), notification_id, is_read=False, by=caller.current())


@blp.route("/preferences")
class NotificationPreferences(MethodView):
    """How one wants to be told."""

    @blp.requires("notifications")
    @blp.etag
    @blp.response(HTTPStatus.OK, PreferencesSchema)
    def get(self) -> dict[str, Any]:
        """Show how I am notified

        Every kind of notification for people of your role: in the app or not, and by which mails. What you do yourself
        is never listed in the app.
        """
        preferences = service.preferences(db.session(), by=caller.current())
        blp.set_etag(preferences.tag)
        return preferences.shown()

    @blp.requires("notifications")
    @blp.etag
    @blp.arguments(PreferencesUpdateSchema, example={"order_shipped": {"email": "none"}})
    @blp.response(HTTPStatus.OK, PreferencesSchema)
    def patch(self, changes: dict[str, service.Choice]) -> dict[str, Any]:
        """Choose how I am notified

        Only what is named changes. A choice about a kind that is not for your role counts once it is.
        """
        blp.check_etag(service.preferences(db.session(), by=caller.current(), locked=True).tag)
        preferences = service.choose(db.session(), changes, by=caller.current())
        blp.set_etag(preferences.tag)
        return preferences.shown()
