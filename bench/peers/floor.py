"""The floor: what Python answers that does nothing for it, by WSGI alone and by Flask alone."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Flask, Response, request

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

ITEM = {
    "id": "01980000-0000-7000-8000-000000000003",
    "sku": "10003D",
    "name": "Vogage Hatubi Lonifa",
    "category": "Category 3",
    "tags": ["tag3"],
    "attributes": {"colour": "c3"},
    "unit": "each",
    "unit_price": "4.03",
    "is_stocked": True,
    "version": 1,
}
BODY = b'{"status":"ok"}'
LONG: dict[str, object] = {"data": "x" * 18_600}
"""As long as the catalogue of events that Stockroom answers with."""

flask_app = Flask(__name__)


def wsgi_app(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with the same few bytes."""
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))])
    return [BODY]


@flask_app.get("/health")
def health() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "ok"}


@flask_app.get("/api/v1/events/types")
def types() -> dict[str, object]:
    """Show something as long as Stockroom does."""
    return LONG


@flask_app.get("/api/v1/items/<uuid:item_id>")
def item(item_id: object) -> dict[str, object] | Response:
    """Show the same item under every id, or say that the caller's copy is current."""
    if request.headers.get("If-None-Match") == '"1"':
        return Response(status=HTTPStatus.NOT_MODIFIED, headers={"ETag": '"1"'})
    return ITEM | {"id": str(item_id)}
