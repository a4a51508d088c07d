"""Bodies that are no proper JSON, or no JSON at all: every operation that takes one refuses them alike."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from api.items.models import Item
from tests.rest.envelope import assert_envelope, assert_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session
    from werkzeug.test import TestResponse

    from tests.factories import Factory

    type Send = Callable[..., Iterator[TestResponse]]

JSON = {"Content-Type": "application/json"}
MEGABYTE = 1024 * 1024

MALFORMED = [
    pytest.param(b'{"name":"a","name":"b"}', "duplicate_key", id="duplicate key"),
    pytest.param(b'{"name":{"x":[{"k":1,"k":2}]}}', "duplicate_key", id="duplicate key far down"),
    pytest.param(b'{"name":' + b"1" * 5000 + b"}", "malformed_json", id="integer of 5,000 digits"),
    pytest.param(b'{"name":' + b"[" * 32 + b"]" * 32 + b"}", "json_too_deep", id="33 levels"),
    pytest.param(b"[" * 100_000 + b"]" * 100_000, "json_too_deep", id="100,000 levels"),
    pytest.param(b'{"name":NaN}', "malformed_json", id="NaN"),
    pytest.param(b'{"name":Infinity}', "malformed_json", id="Infinity"),
    pytest.param(b'{"name":-Infinity}', "malformed_json", id="-Infinity"),
    pytest.param(b'{"name":1e999}', "malformed_json", id="1e999"),
    pytest.param(b"\xef\xbb\xbf{}", "malformed_json", id="byte order mark"),
    pytest.param('{"name":"a"}'.encode("utf-16"), "malformed_json", id="UTF-16"),
    pytest.param(b'{"name":"\xff"}', "malformed_json", id="invalid UTF-8"),
    pytest.param(b'{"name":"a\x01b"}', "malformed_json", id="raw control character"),
    pytest.param(b'{"name":"a\nb"}', "malformed_json", id="raw line break"),
    pytest.param(b'{"name":"a",}', "malformed_json", id="trailing comma"),
    pytest.param(b"{'name':'a'}", "malformed_json", id="single quotes"),
    pytest.param(b"{} {}", "malformed_json", id="two documents"),
    pytest.param(b'{"name":01}', "malformed_json", id="leading zero"),
    pytest.param(b'{"name":"a"', "malformed_json", id="cut off"),
    pytest.param(b"   ", "malformed_json", id="only spaces"),
    pytest.param(b"name=a&sku=b", "malformed_json", id="a form in disguise"),
]


@pytest.mark.parametrize(("raw", "code"), MALFORMED)
def test_a_body_that_is_no_proper_json_is_refused(every_body: Send, raw: bytes, code: str) -> None:
    for response in every_body(raw):
        assert_problem(response, 400, code, None)


@pytest.mark.parametrize("raw", [rb'{"name":"a\u0000b"}', rb'{"name":"\ud800"}', rb'{"name":["\udc00\ud800"]}'])
def test_text_that_cannot_be_stored_is_refused(every_body: Send, raw: bytes) -> None:
    for response in every_body(raw):
        details = assert_problem(response, 422, "invalid_character")
        assert details[0]["field"].startswith("name")


def test_a_key_that_cannot_be_stored_is_refused(every_body: Send) -> None:
    for response in every_body(rb'{"name\ud800":"a"}'):
        assert_problem(response, 422, "invalid_character", r"name\ud800")
    for response in every_body(rb'{"name\u0000":"a"}'):
        assert_problem(response, 422, "invalid_character", r"name\x00")


@pytest.mark.parametrize("raw", [b"[]", b"null", b'"text"', b"12", b"true", b"1.5", b'[{"name":"a"}]'])
def test_a_body_that_is_no_object_is_refused(every_body: Send, raw: bytes) -> None:
    for response in every_body(raw):
        assert_problem(response, 422, "invalid_type", None)


@pytest.mark.parametrize("name", ["nonsense", "json", "query", "form", "__proto__", "__class__", "Name", "näme", ""])
def test_a_field_nobody_documented_is_refused_by_name(every_body: Send, name: str) -> None:
    for response in every_body(json.dumps({name: 1}).encode()):
        details = assert_envelope(response)["details"]
        assert response.status_code == 422
        assert ("unknown_field", name) in {(problem["code"], problem["field"]) for problem in details}


def test_an_empty_body_is_refused(every_body: Send) -> None:
    for response in every_body(b""):
        assert_problem(response, 400, "body_missing", None)


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "text/json",
        "multipart/form-data; boundary=x",
        "application/octet-stream",
        "application/vnd.api+json",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "nonsense",
    ],
)
def test_a_body_declared_as_something_else_is_refused(every_body: Send, content_type: str | None) -> None:
    for response in every_body(b'{"name":"a"}', content_type):
        assert_problem(response, 415, "unsupported_media_type", None)


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON", "application/json; charset=UTF-8"])
def test_json_is_recognised_in_every_spelling_of_its_type(every_body: Send, content_type: str) -> None:
    for response in every_body(b"[]", content_type):
        assert_problem(response, 422, "invalid_type")


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "identity, gzip", "GZIP"])
def test_a_compressed_body_is_refused_unopened(every_body: Send, encoding: str) -> None:
    raw = gzip.compress(b'{"name":"a"}')

    for response in every_body(raw, headers={"Content-Encoding": encoding}):
        assert_problem(response, 415, "content_encoding_unsupported", None)


def test_a_body_over_the_limit_is_refused(every_body: Send) -> None:
    for response in every_body(b" " * (2 * MEGABYTE + 1)):
        assert_problem(response, 413, "body_too_large", None)


def test_a_body_at_the_limit_is_read(every_body: Send) -> None:
    raw = b"[]" + b" " * (2 * MEGABYTE - 2)

    for response in every_body(raw):
        assert_problem(response, 422, "invalid_type")


def test_a_body_over_the_limit_is_refused_where_there_is_nothing(client: FlaskClient) -> None:
    assert client.post("/nowhere", data=b" " * (2 * MEGABYTE + 1), headers=JSON).status_code in {404, 413}


def test_a_stranger_is_told_so_before_anything_about_the_body(client: FlaskClient) -> None:
    assert_problem(client.post("/api/v1/items", data=b"{", headers=JSON), 401, "authentication_required")


def test_more_lines_than_an_order_may_have_are_counted_and_not_read(client: FlaskClient, admin: dict[str, str]) -> None:
    raw = b'{"lines":[' + b"{}," * 100_000 + b"{}]}"

    response = client.post("/api/v1/orders", data=raw, headers=admin | JSON)

    details = assert_problem(response, 422, "wrong_length", "lines")
    assert len(details) == 1


def test_a_flood_of_unknown_fields_gets_a_short_answer(client: FlaskClient, admin: dict[str, str]) -> None:
    raw = json.dumps({f"field{number}": 0 for number in range(100_000)}).encode()

    response = client.post("/api/v1/items", data=raw, headers=admin | JSON)

    details = assert_problem(response, 422, "required")
    assert len(details) == 1000


def test_every_problem_is_reported_at_once(client: FlaskClient, admin: dict[str, str]) -> None:
    body = {"lines": [{"quantity": 0, "sku": "A"}, {"quantity": 1}, {"sku": "B", "quantity": "1"}], "color": "red"}

    details = assert_problem(client.post("/api/v1/orders", json=body, headers=admin), 422, "out_of_range")

    assert {(problem["code"], problem["field"]) for problem in details} == {
        ("out_of_range", "lines.0.quantity"),
        ("required", "lines.1.item_id"),
        ("invalid_type", "lines.2.quantity"),
        ("unknown_field", "color"),
    }


def test_a_refused_body_leaves_nothing_behind(session: Session, every_body: Send) -> None:
    before = session.scalar(select(func.count(Item.id)))

    list(every_body(b'{"sku":"NEW","name":"New","unit_price":"1","nonsense":1}'))

    assert session.scalar(select(func.count(Item.id))) == before


def test_a_form_over_the_limit_is_refused(client: FlaskClient) -> None:
    form = {"username": "ada@example.com", "password": "x" * (2 * MEGABYTE)}

    assert_problem(client.post("/api/v1/auth/token", data=form), 413, "body_too_large")


def test_the_limit_is_a_setting(start: Callable[..., Flask]) -> None:
    client = start(max_request_bytes=1024).test_client()

    assert_problem(client.post("/api/v1/auth/token", data=b" " * 1025, headers=JSON), 413, "body_too_large")


@pytest.fixture
def every_body(client: FlaskClient, make: Factory, admin: dict[str, str]) -> Send:
    """Send a body to every operation that takes one, in turn."""
    noise = make.item()
    targets: list[tuple[str, str, dict[str, str]]] = [
        ("POST", "/api/v1/items", {}),
        ("PATCH", f"/api/v1/items/{noise.id}", {"If-Match": f'"{noise.version}"'}),
        ("POST", "/api/v1/orders", {"Idempotency-Key": "a-key"}),
        ("POST", f"/api/v1/orders/{noise.id}/cancel", {}),
        ("POST", "/api/v1/auth/token", {}),
    ]

    def send(
        raw: bytes, content_type: str | None = "application/json", headers: dict[str, str] | None = None
    ) -> Iterator[TestResponse]:
        for method, path, extra in targets:
            yield client.open(
                path, method=method, data=raw, content_type=content_type, headers=admin | extra | (headers or {})
            )

    return send
