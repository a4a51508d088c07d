"""What happens around every request: its id, its one log line, the headers of every answer."""

from __future__ import annotations

import re
from time import perf_counter
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import structlog
from flask import current_app, g, request
from werkzeug.exceptions import BadRequest, ClientDisconnected

from api.core import ids
from api.core.errors import Malformed
from api.core.networks import resolve

if TYPE_CHECKING:
    from flask import Flask, Response

log = structlog.get_logger("api.request")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
QUIET_PATHS = frozenset({"/health", "/ready"})
API_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"

FIXED_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


class BodyIncomplete(Malformed):
    """The body ended early, or its chunks are malformed."""

    code = "malformed_body"
    message = "The body did not arrive whole."


class HostMissing(Malformed):
    """HTTP/1.1 demands a Host header (RFC 9112 section 3.2)."""

    code = "host_missing"
    message = "Send a Host header."


def init_app(app: Flask) -> None:
    """Register the hooks."""
    app.before_request(_begin)
    app.after_request(_finish)


def client_address() -> str:
    """Tell the address this request comes from, past reverse proxies that are ours."""
    address: str | None = g.get("address")
    if address is None:
        peer, forwarded = request.environ.get("REMOTE_ADDR") or "", request.headers.getlist("X-Forwarded-For")
        g.address = address = resolve(peer, forwarded, current_app.extensions["stockroom"].trusted_proxies)
    return address


def _begin() -> None:
    g.started = perf_counter()
    offered = request.headers.get("X-Request-ID", "")
    g.request_id = offered if _REQUEST_ID.fullmatch(offered) else str(ids.new())
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)
    if "HTTP_HOST" not in request.environ and request.environ["SERVER_PROTOCOL"] != "HTTP/1.0":
        raise HostMissing
    _read_body()


def _read_body() -> None:
    """Read the whole body before anything else happens, so that a broken one is a 400 and never half an effect."""
    try:
        request.get_data(cache=True)
        if request.content_length is None:
            request.stream.read(
                1
            )  # of a chunked body Werkzeug hands over what the limit allows, and is silent about more
    except (ClientDisconnected, OSError):
        raise BodyIncomplete from None
    except BadRequest:
        raise
    except Exception as error:
        if type(error).__module__.startswith("gunicorn.http"):
            raise BodyIncomplete from None
        raise


def _finish(response: Response) -> Response:
    headers = response.headers
    headers.extend((("X-Request-ID", g.get("request_id", "")), *FIXED_HEADERS))
    headers.setdefault("Content-Security-Policy", API_POLICY)
    headers.setdefault("Cache-Control", "private, no-cache" if "ETag" in headers else "no-store")
    if request.is_secure:
        headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
    if g.get("next_cursor"):
        headers["Link"] = f'<{_with_cursor(g.next_cursor)}>; rel="next"'
    if request.path not in QUIET_PATHS:
        caller = g.get("caller")
        log.info(
            "request",
            method=request.method,
            path=request.path,
            status=response.status_code,
            milliseconds=round((perf_counter() - g.started) * 1000, 1) if "started" in g else None,
            user_id=str(caller.user_id) if caller else None,
            address=client_address(),
        )
    return response


def _with_cursor(cursor: str) -> str:
    query = [(name, value) for name, value in request.args.items(multi=True) if name != "cursor"]
    return f"{request.path}?{urlencode([*query, ('cursor', cursor)])}"
