"""The feed over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import current_app

from api.events import service
from api.events.schemas import EventQuerySchema, EventSchema, EventSliceSchema, EventTypesSchema
from api.extensions import db
from api.rest import caller
from api.rest.smorest import Blueprint

if TYPE_CHECKING:
    from uuid import UUID

    from api.events.models import Event
    from api.events.service import Slice

blp = Blueprint("events", __name__, url_prefix="/events", description="What happened, complete and in order.")


@blp.route("", methods=["GET"])
@blp.requires("events:read")
@blp.arguments(EventQuerySchema, location="query")
@blp.response(HTTPStatus.OK, EventSliceSchema)
@blp.alt_response(HTTPStatus.GONE, "GONE")
def read_events(query: dict[str, Any]) -> Slice:
    """Read what happened after a position

    Every event that was committed, in an order in which causes come before effects; `position` has no gaps. Read with
    `after`, handle what comes, remember `next_after` with it, and repeat: nothing is missed and nothing comes twice,
    however long you were away. `wait` makes an empty answer wait for news. A web process lets few requests wait; the
    others are answered at once, so pause a second before you ask again after an empty answer that came early.

    Events of subjects that the caller may not see are left out. 410 `events_expired`: the installation no longer keeps
    some of what you ask for.
    """
    return service.follow(db.session(), **query, by=caller.current(), room=current_app.extensions["waiting_room"])


@blp.route("/types", methods=["GET"])
@blp.requires("events:read")
@blp.response(HTTPStatus.OK, EventTypesSchema)
def list_event_types() -> dict[str, Any]:
    """List the types of events

    Those the caller may see, with the JSON Schema of their `data`. Bear fields you do not know: types grow.
    """
    return {"data": service.types(by=caller.current())}


@blp.route("/<uuid:event_id>", methods=["GET"])
@blp.requires("events:read")
@blp.response(HTTPStatus.OK, EventSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
def show_event(event_id: UUID) -> Event:
    """Show an event"""
    return service.get(db.session(), event_id, by=caller.current())
