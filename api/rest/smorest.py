"""flask-smorest with this house's conventions: commit at the edge, scopes, strict parsing, versions as ETags."""

from __future__ import annotations

import inspect
import re
from copy import deepcopy
from functools import wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import flask_smorest
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.common import resolve_schema_cls
from flask import current_app, g, request
from flask_smorest.utils import deepupdate

from api.core import paging
from api.core.scopes import SCOPES
from api.extensions import db, limiter
from api.rest import caller, etag, idempotency
from api.rest.edge import transactional
from api.rest.limits import RateLimited
from api.rest.openapi import IDEMPOTENCY_KEY, describe_field
from api.rest.parser import Parser, refuse_parameters
from api.rest.schemas import ErrorSchema

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask, Response

    from api.rest.schemas import Schema

type View = Callable[..., Any]

OAUTH2 = "OAuth2"
BEARER = "Bearer"
BEARER_SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "description": "An access token of POST /api/v1/auth/token, or an API key.",
}
TRIES = 3
COUNTED_AT_MOST = 100_000
"""A list is counted no further; counting on would cost more than the page itself."""

FORM = "application/x-www-form-urlencoded"


class Api(flask_smorest.Api):  # type: ignore[misc]  # flask-smorest is untyped
    """The OpenAPI document and the blueprints under one version prefix."""

    ERROR_SCHEMA = ErrorSchema

    def __init__(self, app: Flask) -> None:
        """Bind to the application; title and version come from its configuration."""
        plugin = MarshmallowPlugin(schema_name_resolver=_schema_name)
        super().__init__(app, spec_kwargs={"marshmallow_plugin": plugin})
        self.ma_plugin.converter.add_attribute_function(describe_field)
        token_url = "/api/v1/auth/token"  # noqa: S105  # an address, not a password
        flows = {"password": {"tokenUrl": token_url, "scopes": SCOPES}}
        self.spec.components.security_scheme(OAUTH2, {"type": "oauth2", "flows": flows})
        self.spec.components.parameter("IDEMPOTENCY_KEY", "header", IDEMPOTENCY_KEY | {"name": idempotency.HEADER})
        self.spec.components.security_scheme(BEARER, BEARER_SCHEME)

    def mount(self, blp: Blueprint, *, version: str = "v1") -> None:
        """Register a blueprint under `/api/{version}`; another version can be mounted beside it."""
        self.register_blueprint(blp, url_prefix=f"/api/{version}{blp.url_prefix or ''}")

    def _register_error_handlers(self) -> None:
        """Leave errors to `rest.problems`."""


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]  # the same
    """A resource.

    Its decorators, top to bottom: `requires → strictly_limited → idempotent → etag → arguments → response →
    alt_response… → paginate`, so that a stranger is answered 401 and neither 422 nor 428.
    """

    ARGUMENTS_PARSER = Parser()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Add the documentation of scopes, limits and idempotency to smorest's."""
        super().__init__(*args, **kwargs)
        self._prepare_doc_cbks += [self._prepare_house_doc]

    def add_url_rule(
        self, rule: str, endpoint: str | None = None, view_func: Any = None, *args: Any, **kw: Any
    ) -> None:
        """Register a view inside the edge: it commits when it answers and rolls back when it fails."""
        super().add_url_rule(
            rule, endpoint, self._decorate_view_func_or_method_view(transactional, view_func), *args, **kw
        )

    def route[Target](self, rule: str, **options: Any) -> Callable[[Target], Target]:
        """Register a view function or a MethodView under an address."""
        decorate: Callable[[Target], Target] = super().route(rule, **options)
        return decorate

    def arguments(self, schema: type[Schema], *, location: str = "json", **options: Any) -> Callable[[View], View]:
        """Hand the view what a schema has read from the body or the query, as its first argument."""
        decorate: Callable[[View], View] = super().arguments(schema, location=location, **options)
        return decorate

    def response(self, status: int, schema: type[Schema] | None = None, **options: Any) -> Callable[[View], View]:
        """Answer with what the view returns, written by a schema."""
        decorate: Callable[[View], View] = super().response(status, schema, **options)
        return decorate

    def alt_response(self, status: int, response: str | None = None, **options: Any) -> Callable[[View], View]:
        """Document another answer the view can give."""
        decorate: Callable[[View], View] = super().alt_response(status, response, **options)
        return decorate

    @staticmethod
    def requires(*scopes: str, fresh: bool = False) -> Callable[[View], View]:
        """Let pass only callers that hold every scope; none means: anybody who is logged in.

        `fresh` demands besides that the caller has logged in, or confirmed the login, a short while ago.
        """
        if unknown := set(scopes) - SCOPES.keys():
            message = f"no such scope: {unknown}"
            raise ValueError(message)

        return _guarded(lambda: caller.require(scopes, fresh=fresh), scopes=scopes, fresh=fresh)

    @staticmethod
    def public(view: View) -> View:
        """Mark a view as open to strangers."""
        return _guarded(lambda: None, scopes=None)(view)

    @staticmethod
    def limited_by(setting: str) -> Callable[[View], View]:
        """Limit how often one network may call a view, by the setting of this name."""

        def decorator(view: View) -> View:
            @limiter.limit(lambda: str(getattr(current_app.extensions["stockroom"], setting)))
            @wraps(view)
            def take_slot() -> None:
                """Count this request; flask-limiter raises when there were too many."""

            def guard(inner: Callable[[], Any]) -> Any:
                g.counts_attempts = True
                for _ in range(TRIES):  # the extension may only now notice that Valkey fails
                    try:
                        take_slot()
                    except limiter.storage.base_exceptions:
                        continue
                    return inner()
                raise RateLimited(seconds=1)

            return _around(guard, limited=True)(view)

        return decorator

    @classmethod
    def strictly_limited(cls, view: View) -> View:
        """Limit how often one network may call a view that looks at secrets or sends mail: LOGIN_LIMIT."""
        return cls.limited_by("login_limit")(view)

    @staticmethod
    def shows_a_secret(view: View) -> View:
        """Mark a view that answers with a secret, shown this once: it takes no Idempotency-Key, which would keep it."""
        return _mark(view, shows_secret=True)

    @staticmethod
    def in_transaction(view: View) -> View:
        """Mark a GET that needs a transaction, because it writes something or changes a setting for its statements."""
        return _mark(view, has_transaction=True)

    @staticmethod
    def idempotent(view: View) -> View:
        """Make a view safe to repeat with an Idempotency-Key."""
        return _around(lambda inner: idempotency.run_once(db.session(), inner), idempotent=True)(view)

    def arguments_by_media_type(self, *, form: type[Schema], json: type[Schema]) -> Callable[[View], View]:
        """Read the body as a form or as JSON, whichever its Content-Type says."""

        def decorator(view: View) -> View:
            @wraps(view)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                is_form = request.mimetype == FORM
                body = self.ARGUMENTS_PARSER.parse(form if is_form else json, location="form" if is_form else "json")
                return view(body, *args, **kwargs)

            return _mark(wrapper, bodies={FORM: {"schema": form}, "application/json": {"schema": json}})

        return decorator

    def etag(self, obj: Any) -> Any:
        """Demand If-Match where a method changes something, and send the ETag the view announces."""

        def guard(view: Callable[[], Response]) -> Response:
            changes = request.method in etag.METHODS_THAT_CHECK
            if changes:
                etag.require_if_match()
            try:
                response = view()
            except etag.CopyIsCurrentError:
                response = current_app.response_class(status=HTTPStatus.NOT_MODIFIED)
            if changes and not g.pop("etag_checked", False):
                message = f"{request.endpoint} changed something without comparing versions"
                raise RuntimeError(message)
            if tag := g.pop("etag", None):
                response.headers["ETag"] = tag
            return response

        return self._decorate_view_func_or_method_view(_around(guard, etag=True), obj)

    @staticmethod
    def check_etag(version: int | str) -> None:
        """Refuse the change when the caller's copy is not this version."""
        etag.check(version)

    @staticmethod
    def set_etag(version: int | str) -> None:
        """Announce the version that is being answered."""
        etag.announce(version)

    @staticmethod
    def paginate(view: View) -> View:
        """Turn the `Listing` a view returns into one page, guided by the query's `limit`, `cursor` and `count`.

        `shown`, where the query's schema has it, leaves only those fields in the rows (see `SparseSchema`).
        """

        @wraps(view)
        def wrapper(self: Any, query: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
            limit, cursor, is_counted = (query.pop(name) for name in ("limit", "cursor", "count"))
            g.shown = query.pop("shown", None)
            secret = current_app.extensions["stockroom"].signing_secret
            scope = [request.endpoint, request.view_args, query, caller.current().user_id]
            listing: paging.Listing = view(self, query, *args, **kwargs)
            after = paging.unseal(cursor, types=listing.types(), secret=secret, scope=scope) if cursor else None
            rows, following = listing.page(db.session(), limit=limit, after=after)
            g.next_cursor = paging.seal(following, secret=secret, scope=scope) if following else None
            page = {"data": rows, "next_cursor": g.next_cursor}
            if is_counted:
                total = listing.count(db.session(), at_most=COUNTED_AT_MOST + 1)
                page |= {"total": min(total, COUNTED_AT_MOST), "total_is_exact": total <= COUNTED_AT_MOST}
            return page

        return _mark(wrapper, paginated=True)

    def _prepare_house_doc(self, doc: dict[str, Any], doc_info: dict[str, Any], **_: Any) -> dict[str, Any]:
        house = doc_info.get("house", {})
        responses: dict[Any, Any] = {"default": "DEFAULT_ERROR"}
        scopes = house.get("scopes")
        if scopes is None:
            doc["security"] = []
        else:
            doc["security"] = [{OAUTH2: list(scopes)}, {BEARER: list(scopes)}]
            responses |= {status: HTTPStatus(status).name for status in (401, 403)}
        if house.get("limited"):
            responses[HTTPStatus.TOO_MANY_REQUESTS] = HTTPStatus.TOO_MANY_REQUESTS.name
        if house.get("idempotent"):
            doc.setdefault("parameters", []).append("IDEMPOTENCY_KEY")
            responses |= {status: HTTPStatus(status).name for status in (400, 409, 422)}
        if house.get("paginated"):
            responses[HTTPStatus.BAD_REQUEST] = HTTPStatus.BAD_REQUEST.name
        if bodies := house.get("bodies"):
            doc["requestBody"] = {"required": True, "content": bodies}
        if "requestBody" in doc:
            responses |= {status: HTTPStatus(status).name for status in (400, 413, 415, 422)}
        doc["operationId"] = _operation_id(doc_info["docstring"].get("summary", ""))
        documented: dict[str, Any] = deepupdate({"responses": responses}, doc)
        return documented


def _around(guard: Callable[[Callable[[], Any]], Any], **marks: Any) -> Callable[[View], View]:
    """Make a decorator that runs `guard` with the view as a function without arguments."""

    def decorator(view: View) -> View:
        @wraps(view)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return guard(lambda: view(*args, **kwargs))

        return _mark(wrapper, **marks)

    return decorator


def _guarded(check: Callable[[], None], **marks: Any) -> Callable[[View], View]:
    """Make a decorator that checks who asks, and then that nothing undocumented is asked."""

    def decorator(view: View) -> View:
        reads_query = any(parameter["in"] == "query" for parameter in _parameters(view))

        def guard(inner: Callable[[], Any]) -> Any:
            check()
            if not reads_query:
                refuse_parameters(request)
            return inner()

        return _around(guard, **marks)(view)

    return decorator


def _mark(view: View, **marks: Any) -> View:
    """Note facts about a view where the documentation and the tests find them."""
    apidoc = deepcopy(getattr(view, "_apidoc", {}))
    if "etag" in marks:
        apidoc["etag"] = marks.pop("etag")
    apidoc["house"] = apidoc.get("house", {}) | marks
    view._apidoc = apidoc  # type: ignore[attr-defined]  # noqa: SLF001  # flask-smorest's own place for this
    return view


def _parameters(view: View) -> list[dict[str, Any]]:
    """List what `arguments` has noted about a view."""
    noted: list[dict[str, Any]] = getattr(view, "_apidoc", {}).get("arguments", {}).get("parameters", [])
    return noted


def _schema_name(schema: Any) -> str:
    cls = resolve_schema_cls(schema)
    return cls.__name__.removesuffix("Schema") if inspect.isclass(cls) else str(cls)


def _operation_id(summary: str) -> str:
    """Name an operation after its summary: "Change an item's name" becomes changeItemName."""
    words: list[str] = re.findall(r"[A-Za-z0-9]+", summary.replace("'s ", " "))
    first, *others = [word for word in words if word.lower() not in {"a", "an", "the"}]
    return first.lower() + "".join(word.capitalize() for word in others)
