"""Webhooks over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import current_app, url_for
from flask.views import MethodView

from api.extensions import db
from api.jobs.schemas import JobSchema
from api.rest import caller
from api.rest.schemas import PageQuerySchema
from api.rest.smorest import Blueprint
from api.webhooks import service
from api.webhooks.courier import means_of
from api.webhooks.schemas import (
    WebhookDeliveryDetailSchema,
    WebhookDeliveryPageSchema,
    WebhookDeliveryQuerySchema,
    WebhookDeliverySchema,
    WebhookEndpointCreateSchema,
    WebhookEndpointPageSchema,
    WebhookEndpointSchema,
    WebhookEndpointUpdateSchema,
    WebhookRedeliverSchema,
    WebhookRotateSchema,
    WebhookSecretSchema,
    WebhookStateSchema,
)

if TYPE_CHECKING:
    from uuid import UUID

    from api.core.paging import Listing
    from api.jobs.service import Job
    from api.webhooks.models import WebhookDelivery, WebhookEndpoint

blp = Blueprint(
    "webhooks", __name__, url_prefix="/webhook-endpoints", description="URLs that events are sent to, signed."
)


@blp.route("")
class WebhookEndpointCollection(MethodView):
    """All endpoints."""

    @blp.requires("webhooks:read")
    @blp.arguments(PageQuerySchema, location="query")
    @blp.response(HTTPStatus.OK, WebhookEndpointPageSchema)
    @blp.paginate
    def get(self, query: dict[str, Any]) -> Listing:  # noqa: ARG002  # the pager has read it
        """List webhook endpoints

        Oldest first.
        """
        return service.listing(db.session())

    @blp.requires("webhooks:write")
    @blp.idempotent
    @blp.etag
    @blp.arguments(
        WebhookEndpointCreateSchema,
        example={"url": "https://shop.example.com/stockroom", "types": ["order.*", "stock.low"]},
    )
    @blp.response(HTTPStatus.CREATED, WebhookEndpointSchema)
    def post(self, body: dict[str, Any]) -> tuple[WebhookEndpoint, dict[str, str]]:
        """Add a webhook endpoint

        From now on it gets every event of its types that you may see, by POST, signed as Standard Webhooks say; fetch
        the secret to verify with at `…/secret`, and try it out with `…/test`. Only 2xx within 15 seconds counts as
        delivered; anything else is tried again, ten times within 76 hours. Events may come more than once and out of
        order: tell them apart by `webhook-id`, and order them by `position`, or by `sequence` within one subject.
        """
        endpoint = service.create(db.session(), **body, means=means_of(current_app), by=caller.current())
        blp.set_etag(endpoint.version)
        return endpoint, {"Location": url_for(".WebhookEndpointMember", endpoint_id=endpoint.id)}


@blp.route("/<uuid:endpoint_id>")
class WebhookEndpointMember(MethodView):
    """One endpoint."""

    @blp.requires("webhooks:read")
    @blp.etag
    @blp.response(HTTPStatus.OK, WebhookEndpointSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    def get(self, endpoint_id: UUID) -> WebhookEndpoint:
        """Show a webhook endpoint

        With the ETag that a change of it asks for. How it has been doing is at `…/state`.
        """
        endpoint = service.get(db.session(), endpoint_id)
        blp.set_etag(endpoint.version)
        return endpoint

    @blp.requires("webhooks:write")
    @blp.etag
    @blp.arguments(WebhookEndpointUpdateSchema, example={"types": ["order.placed"], "is_active": True})
    @blp.response(HTTPStatus.OK, WebhookEndpointSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    def patch(self, changes: service.EndpointChanges, endpoint_id: UUID) -> WebhookEndpoint:
        """Change a webhook endpoint

        Only the fields sent. Switched off, it gets nothing; switched on again, it first gets what was on its way, and
        then what happens from then on. For what happened in between, use `…/redeliver`.
        """
        endpoint = service.get(db.session(), endpoint_id)
        blp.check_etag(endpoint.version)
        service.update(db.session(), endpoint, changes, means=means_of(current_app), by=caller.current())
        blp.set_etag(endpoint.version)
        return endpoint

    @blp.requires("webhooks:write")
    @blp.etag
    @blp.response(HTTPStatus.NO_CONTENT)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    def delete(self, endpoint_id: UUID) -> None:
        """Delete a webhook endpoint

        What is on its way to it is not sent any more; its deliveries are deleted in the background.
        """
        endpoint = service.get(db.session(), endpoint_id)
        blp.check_etag(endpoint.version)
        service.delete(db.session(), endpoint, by=caller.current())


@blp.route("/<uuid:endpoint_id>/state", methods=["GET"])
@blp.requires("webhooks:read")
@blp.response(HTTPStatus.OK, WebhookStateSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
def show_state(endpoint_id: UUID) -> service.State:
    """Show how an endpoint is doing

    After five failures in a row it gets one attempt at a time, with growing pauses, until one succeeds.
    """
    return service.state(db.session(), endpoint_id)


@blp.route("/<uuid:endpoint_id>/secret", methods=["GET"])
@blp.in_transaction
@blp.requires("webhooks:write")
@blp.shows_a_secret
@blp.response(HTTPStatus.OK, WebhookSecretSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
def show_secret(endpoint_id: UUID) -> service.Secret:
    """Show an endpoint's secret

    What receivers verify signatures with. Who looks at it is written into the security log.
    """
    return service.secret(db.session(), endpoint_id, means=means_of(current_app), by=caller.current())


@blp.route("/<uuid:endpoint_id>/rotate-secret", methods=["POST"])
@blp.requires("webhooks:write")
@blp.idempotent
@blp.arguments(WebhookRotateSchema, example={"keep_previous": True})
@blp.response(HTTPStatus.OK, WebhookEndpointSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def rotate_secret(body: dict[str, Any], endpoint_id: UUID) -> WebhookEndpoint:
    """Rotate an endpoint's secret

    For a day, messages carry two signatures, of the new secret and of the one before, so that receivers can change
    over; with `keep_previous=false` the one before ends at once.
    """
    return service.rotate(db.session(), endpoint_id, **body, by=caller.current())


@blp.route("/<uuid:endpoint_id>/test", methods=["POST"])
@blp.requires("webhooks:write")
@blp.idempotent
@blp.response(HTTPStatus.ACCEPTED, WebhookDeliverySchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def send_test(endpoint_id: UUID) -> WebhookDelivery:
    """Send an endpoint a test event

    Of type `webhook.test`, signed like any other. What comes of it is to be seen at its deliveries.
    """
    return service.test(db.session(), endpoint_id)


@blp.route("/<uuid:endpoint_id>/redeliver", methods=["POST"])
@blp.requires("webhooks:write")
@blp.idempotent
@blp.arguments(WebhookRedeliverSchema, example={"since": "2026-05-17T00:00:00Z", "only_failed": True})
@blp.response(HTTPStatus.ACCEPTED, JobSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def redeliver_since(body: dict[str, Any], endpoint_id: UUID) -> Job:
    """Send everything since a moment once more

    Every event of the endpoint's types that was recorded since then, also what came while it was switched off or did
    not yet exist. Done in the background: follow it at `/jobs/{id}`.
    """
    return service.redeliver_since(db.session(), endpoint_id, **body, by=caller.current())


@blp.route("/<uuid:endpoint_id>/deliveries")
class WebhookDeliveries(MethodView):
    """The deliveries to one endpoint."""

    @blp.requires("webhooks:read")
    @blp.arguments(WebhookDeliveryQuerySchema, location="query")
    @blp.response(HTTPStatus.OK, WebhookDeliveryPageSchema)
    @blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
    @blp.paginate
    def get(self, query: dict[str, Any], endpoint_id: UUID) -> Listing:
        """List deliveries to an endpoint

        Newest first. Those that have ended are kept for 30 days.
        """
        return service.deliveries(db.session(), endpoint_id, **query)


@blp.route("/<uuid:endpoint_id>/deliveries/<uuid:delivery_id>", methods=["GET"])
@blp.requires("webhooks:read")
@blp.response(HTTPStatus.OK, WebhookDeliveryDetailSchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
def show_delivery(endpoint_id: UUID, delivery_id: UUID) -> service.Attempted:
    """Show a delivery with its attempts

    When, how long, with which status, and the first 1,000 characters of the answer.
    """
    return service.delivery(db.session(), endpoint_id, delivery_id)


@blp.route("/<uuid:endpoint_id>/deliveries/<uuid:delivery_id>/redeliver", methods=["POST"])
@blp.requires("webhooks:write")
@blp.idempotent
@blp.response(HTTPStatus.ACCEPTED, WebhookDeliverySchema)
@blp.alt_response(HTTPStatus.NOT_FOUND, "NOT_FOUND")
@blp.alt_response(HTTPStatus.CONFLICT, "CONFLICT")
def redeliver(endpoint_id: UUID, delivery_id: UUID) -> WebhookDelivery:
    """Send one delivery once more

    Whatever became of it, with the same `webhook-id`. When the endpoint is paused after failures, this ends the pause,
    as a test event does: it gets one attempt now.
    """
    return service.redeliver(db.session(), endpoint_id, delivery_id, by=caller.current())
