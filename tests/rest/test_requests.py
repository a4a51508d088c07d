"""What happens around every request."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from werkzeug.test import create_environ
from werkzeug.wrappers import Request

from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@pytest.mark.parametrize("path", ["/health", "/api/v1/items", "/nowhere", "/docs", "/openapi.json"])
def test_every_answer_carries_the_headers_that_keep_browsers_safe(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers

    assert ALWAYS.items() <= dict(headers).items()
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "Strict-Transport-Security" not in headers


def test_over_tls_browsers_are_told_to_stay_there(client: FlaskClient) -> None:
    assert "max-age" in client.get("/health", base_url="https://localhost").headers["Strict-Transport-Security"]


def test_answers_are_kept_by_nobody_else(client: FlaskClient, admin: dict[str, str]) -> None:
    assert client.get("/api/v1/items", headers=admin).headers["Cache-Control"] == "no-store"
    assert client.get("/api/v1/users/me", headers=admin).headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("offered", ["a", "A-b_c.9", "x" * 128])
def test_a_request_id_that_is_offered_is_used(client: FlaskClient, offered: str) -> None:
    response = client.get("/nowhere", headers={"X-Request-ID": offered})

    assert response.headers["X-Request-ID"] == offered
    assert response.get_json()["error"]["request_id"] == offered


@pytest.mark.parametrize("offered", ["", "a b", "x" * 129, "a;b", "<script>", "\N{LATIN SMALL LETTER E WITH ACUTE}"])
def test_a_request_id_that_could_do_harm_is_replaced(client: FlaskClient, offered: str) -> None:
    given = client.get("/health", headers={"X-Request-ID": offered}).headers["X-Request-ID"]

    assert given != offered
    assert UUID(given).version == 7


def test_every_request_has_an_id_of_its_own(client: FlaskClient) -> None:
    assert client.get("/health").headers["X-Request-ID"] != client.get("/health").headers["X-Request-ID"]


def test_the_request_id_is_written_beside_what_the_request_did(
    client: FlaskClient, admin: dict[str, str], recorded_request_id: Callable[[], str | None]
) -> None:
    client.post(
        "/api/v1/items",
        json={"sku": "NEW", "name": "New", "unit_price": "1"},
        headers=admin | {"X-Request-ID": "find-me"},
    )

    assert recorded_request_id() == "find-me"


def test_a_request_without_a_host_is_refused(client: FlaskClient) -> None:
    response = client.open(without_host("HTTP/1.1"))

    assert_problem(response, 400, "host_missing", None)


def test_an_old_client_may_leave_the_host_out(client: FlaskClient) -> None:
    assert client.open(without_host("HTTP/1.0")).status_code == 200


def test_only_trusted_hosts_are_answered_where_they_are_named(start: Callable[..., Flask]) -> None:
    client = start(trusted_hosts=("shop.example.com",)).test_client()

    assert client.get("/health", base_url="http://shop.example.com").status_code == 200
    assert_problem(client.get("/health", base_url="http://evil.example.com"), 400, "bad_request", None)


@pytest.mark.parametrize("origin", ["https://evil.example.com", "null", "https://shop.example.com.evil.org"])
def test_no_other_origin_may_read_answers(start: Callable[..., Flask], origin: str) -> None:
    closed = start().test_client()
    open_to_one = start(cors_origins=("https://shop.example.com",)).test_client()

    for client in (closed, open_to_one):
        response = client.get("/health", headers={"Origin": origin})
        assert "Access-Control-Allow-Origin" not in response.headers


def test_an_allowed_origin_may_read_answers_and_their_headers(start: Callable[..., Flask]) -> None:
    client = start(cors_origins=("https://shop.example.com",)).test_client()

    headers = client.get("/health", headers={"Origin": "https://shop.example.com"}).headers

    assert headers["Access-Control-Allow-Origin"] == "https://shop.example.com"
    assert "ETag" in headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in headers


def test_the_documentation_can_be_hidden(start: Callable[..., Flask]) -> None:
    client = start(docs_enabled=False).test_client()

    for path in ("/docs", "/redoc", "/openapi.json", "/docs/assets/swagger-ui.css"):
        assert_problem(client.get(path), 404, "not_found")


def without_host(protocol: str) -> Request:
    """Build a request as it arrives from a client that names no host."""
    environ = create_environ("/health")
    del environ["HTTP_HOST"]
    return Request(environ | {"SERVER_PROTOCOL": protocol})
