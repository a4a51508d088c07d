"""The documentation pages: Swagger UI at /docs, ReDoc at /redoc, the document at /openapi.json; all assets local."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flask_swagger_ui
import orjson
from flask import Blueprint, Response, abort, current_app, redirect, render_template, request, send_from_directory

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.wrappers import Response as BaseResponse

    from api.rest.smorest import Api

SWAGGER_ASSETS = Path(flask_swagger_ui.__file__).parent / "dist"
HOUSE_ASSETS = Path(__file__).parent / "docs_assets"
HOUSE_NAMES, SWAGGER_NAMES = (
    frozenset(path.name for path in folder.iterdir()) for folder in (HOUSE_ASSETS, SWAGGER_ASSETS)
)
ASSET_AGE_SECONDS = 86_400
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; child-src blob:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)

docs = Blueprint("docs", __name__, template_folder="templates")


def init_app(app: Flask, api: Api, *, pages: bool) -> None:
    """Serve the pages, unless the installation hides them; the document is rendered once, when first asked for."""
    app.extensions["openapi"] = api
    if pages:
        app.register_blueprint(docs)


def render_document(app: Flask) -> dict[str, Any]:
    """Build the OpenAPI document."""
    api: Api = app.extensions["openapi"]
    document: dict[str, Any] = api.spec.to_dict()
    return document


@docs.get("/openapi.json")
def openapi_json() -> Response:
    """Serve the OpenAPI document with an ETag made from its content."""
    rendered = current_app.extensions.get("openapi_bytes")
    if rendered is None:
        rendered = orjson.dumps(render_document(current_app))
        current_app.extensions["openapi_bytes"] = rendered
    response = Response(rendered, mimetype="application/json")
    response.set_etag(hashlib.sha256(rendered).hexdigest()[:32])
    response.headers["Cache-Control"] = "no-cache"
    response.make_conditional(request)
    return response


@docs.get("/")
def front_door() -> BaseResponse:
    """Lead whoever opens the address in a browser to the documentation."""
    return redirect("/docs", HTTPStatus.TEMPORARY_REDIRECT)


@docs.get("/docs")
def swagger_ui() -> Response:
    """Serve Swagger UI."""
    return _page("swagger.html")


@docs.get("/redoc")
def redoc() -> Response:
    """Serve ReDoc."""
    return _page("redoc.html")


@docs.get("/docs/assets/<name>")
def asset(name: str) -> Response:
    """Serve a script or style sheet of the documentation pages."""
    folder = HOUSE_ASSETS if name in HOUSE_NAMES else SWAGGER_ASSETS
    if name not in HOUSE_NAMES | SWAGGER_NAMES:
        abort(HTTPStatus.NOT_FOUND)
    return send_from_directory(folder, name, max_age=ASSET_AGE_SECONDS)


def _page(template: str) -> Response:
    page = Response(render_template(template, title=current_app.config["API_TITLE"]), mimetype="text/html")
    page.headers["Content-Security-Policy"] = PAGE_POLICY
    return page
