"""Paths and query strings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from tests.factories import Factory

LISTS = ["/api/v1/items", "/api/v1/orders", "/api/v1/users", "/api/v1/locations", "/api/v1/stock/movements"]
UUID = "0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45"
NOT_IDS = [
    *["%00", "%ff", "%0a", "9999999999999999999999", "0", "-1", "1%20OR%201=1", "..%2f..%2fetc%2fpasswd", "%2e%2e"],
    *[UUID + "%00", UUID + "%0a", UUID + "%20", UUID.replace("-", ""), "{" + UUID + "}", UUID[:-1], "a" * 5000],
]


@pytest.mark.parametrize("identifier", NOT_IDS)
def test_what_is_no_id_leads_nowhere(client: FlaskClient, admin: dict[str, str], identifier: str) -> None:
    for collection in ("items", "locations", "orders"):
        assert_problem(client.get(f"/api/v1/{collection}/{identifier}", headers=admin), 404, "not_found", None)
    assert_problem(client.get(f"/api/v1/items/{identifier}/availability", headers=admin), 404, "not_found")
    assert_problem(client.post(f"/api/v1/orders/{identifier}/cancel", json={}, headers=admin), 404, "not_found")


@pytest.mark.parametrize("path", ["/nowhere", "/api/v1", "/api/v2/items", "/API/v1/items", "/api/v1/Items", "/%00"])
def test_an_address_nobody_answers_is_not_found(client: FlaskClient, path: str) -> None:
    assert_problem(client.get(path), 404, "not_found", None)


@pytest.mark.parametrize("path", ["/docs/assets/%00", "/docs/assets/..%2f..%2fapp.py", "/docs/assets/../app.py"])
def test_no_file_but_an_asset_is_served(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/v1/items", {"GET", "POST"}),
        ("PUT", "/api/v1/items", {"GET", "POST"}),
        ("POST", f"/api/v1/items/{UUID}", {"GET", "PATCH"}),
        ("GET", "/api/v1/auth/token", {"POST"}),
        ("TRACE", "/api/v1/items", {"GET", "POST"}),
        ("PROPFIND", "/api/v1/items", {"GET", "POST"}),
        ("POST", "/health", {"GET"}),
    ],
)
def test_a_method_that_is_not_answered_is_told_which_are(
    client: FlaskClient, method: str, path: str, allowed: set[str]
) -> None:
    response = client.open(path, method=method)

    assert_problem(response, 405, "method_not_allowed", None)
    assert {name.strip() for name in response.headers["Allow"].split(",")} >= allowed


def test_another_method_cannot_be_smuggled_in_a_header(client: FlaskClient, make: Factory) -> None:
    headers = make.headers() | {"X-HTTP-Method-Override": "POST", "X-Method-Override": "POST"}

    assert client.get("/api/v1/items", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "parameter", ["nonsense", "page", "is_admin", "owner_id", "Limit", "order", "order_by", "query", "limit[]", ""]
)
def test_an_undocumented_parameter_is_refused(client: FlaskClient, admin: dict[str, str], parameter: str) -> None:
    for path in LISTS:
        response = client.get(path, query_string={parameter: "1"}, headers=admin)
        assert_problem(response, 422, "unknown_field", parameter)


def test_a_parameter_that_is_no_text_is_named_in_text(client: FlaskClient, admin: dict[str, str]) -> None:
    for path in ("/api/v1/items?%00=1", "/api/v1/items?%00=1&%00=2", "/api/v1/users/me?%00=1"):
        assert client.get(path, headers=admin).get_json()["error"]["field"] == r"\x00"


@pytest.mark.parametrize("query", ["limit=1&limit=1", "limit=1&limit=2", "cursor=a&cursor=b"])
def test_a_parameter_sent_twice_is_refused(client: FlaskClient, admin: dict[str, str], query: str) -> None:
    for path in LISTS:
        response = client.get(f"{path}?{query}", headers=admin)
        assert_problem(response, 422, "repeated_parameter", query.split("=", maxsplit=1)[0])


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("", "invalid_type"),
        ("five", "invalid_type"),
        ("1.5", "invalid_type"),
        ("1_0", "invalid_type"),
        ("+5", "invalid_type"),
        (" 5", "invalid_type"),
        ("5\n", "invalid_type"),
        ("1e2", "invalid_type"),
        ("007", "invalid_type"),
        ("0x5", "invalid_type"),
        ("true", "invalid_type"),
        ("\N{ARABIC-INDIC DIGIT FIVE}", "invalid_type"),
        ("9" * 30, "invalid_type"),
        ("9" * 5000, "invalid_type"),
        ("0", "out_of_range"),
        ("-1", "out_of_range"),
        ("201", "out_of_range"),
        (str(2**31), "out_of_range"),
        (str(2**62), "out_of_range"),
    ],
)
def test_a_page_of_an_impossible_size_is_refused(
    client: FlaskClient, admin: dict[str, str], value: str, code: str
) -> None:
    for path in LISTS:
        assert_problem(client.get(path, query_string={"limit": value}, headers=admin), 422, code, "limit")


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("2026-05-17T09:30:00", "invalid_format"),
        ("2026-05-17", "invalid_format"),
        ("2026-05-17 09:30:00Z", "invalid_format"),
        ("2026-02-30T00:00:00Z", "invalid_format"),
        ("2026-13-01T00:00:00Z", "invalid_format"),
        ("2026-05-17T24:00:00Z", "invalid_format"),
        ("2026-05-17T09:30:60Z", "invalid_format"),
        ("2026-05-17T09:30:00+25:00", "invalid_format"),
        ("2026-05-17T09:30:00 02:00", "invalid_format"),
        ("2026-W20-7T09:30:00Z", "invalid_format"),
        ("20260517T093000Z", "invalid_format"),
        ("1747474200", "invalid_format"),
        ("\N{ARABIC-INDIC DIGIT TWO}026-05-17T09:30:00Z", "invalid_format"),
        ("2026-05-17T09:30:00.1234567Z", "invalid_format"),
        ("now", "invalid_format"),
        ("", "invalid_format"),
        ("0000-01-01T00:00:00Z", "invalid_format"),
        ("0001-01-01T00:00:00+14:00", "out_of_range"),
        ("9999-12-31T23:59:59-14:00", "out_of_range"),
    ],
)
def test_a_time_that_is_none_or_could_be_several_is_refused(
    client: FlaskClient, admin: dict[str, str], value: str, code: str
) -> None:
    for name in ("placed_from", "placed_before"):
        assert_problem(client.get("/api/v1/orders", query_string={name: value}, headers=admin), 422, code, name)


@pytest.mark.parametrize("value", ["2026-05-17T09:30:00Z", "2026-05-17t09:30:00.5z", "2026-05-17T09:30:00+02:00"])
def test_a_time_with_its_offset_is_read(client: FlaskClient, admin: dict[str, str], value: str) -> None:
    assert client.get("/api/v1/orders", query_string={"placed_from": value}, headers=admin).status_code == 200


def test_a_period_that_ends_before_it_begins_is_refused(client: FlaskClient, admin: dict[str, str]) -> None:
    period = {"placed_from": "2026-05-17T09:30:00Z", "placed_before": "2026-05-17T09:30:00Z"}

    assert_problem(
        client.get("/api/v1/orders", query_string=period, headers=admin), 422, "out_of_range", "placed_before"
    )


@pytest.mark.parametrize("status", ["sent", "PLACED", "", "placed'--", "placed,cancelled"])
def test_a_status_there_is_not_is_refused(client: FlaskClient, admin: dict[str, str], status: str) -> None:
    response = client.get("/api/v1/orders", query_string={"status": status}, headers=admin)

    assert response.status_code == 422
    assert_problem(response, 422, response.get_json()["error"]["code"], "status")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("q=" + "a" * 100_000, "wrong_length"),
        ("q=", "wrong_length"),
        ("q=%20", "wrong_length"),
        ("q=%00", "invalid_character"),
        ("q=a%0ab", "invalid_character"),
        ("q=%E2%80%AE", "invalid_character"),
    ],
)
def test_a_search_for_what_no_name_can_hold_is_refused(
    client: FlaskClient, admin: dict[str, str], query: str, code: str
) -> None:
    assert_problem(client.get(f"/api/v1/items?{query}", headers=admin), 422, code, "q")


@pytest.mark.parametrize(
    "text", ["%", "_", "\\", "'", '"', ";--", "(", "[", ".*", "\N{REPLACEMENT CHARACTER}", "+", "&"]
)
def test_no_character_in_a_search_means_anything_but_the_end_of_a_word(
    client: FlaskClient, make: Factory, admin: dict[str, str], text: str
) -> None:
    wanted = make.item(name=f"before{text}after")
    make.item(name="beforeXafter")
    make.item(name="before")

    def found(q: str) -> list[str]:
        answer = client.get("/api/v1/items", query_string={"q": q}, headers=admin)
        return [item["id"] for item in answer.get_json()["data"]]

    assert found(f"before{text}after") == found(f"after{text}{text}befor") == [str(wanted.id)]
    assert found(text) == []


@pytest.mark.parametrize(
    "path",
    [f"/api/v1/items/{UUID}", f"/api/v1/items/{UUID}/availability", f"/api/v1/orders/{UUID}", "/api/v1/users/me"],
)
def test_an_address_without_parameters_takes_none(client: FlaskClient, admin: dict[str, str], path: str) -> None:
    assert_problem(client.get(f"{path}?nonsense=1", headers=admin), 422, "unknown_field", "nonsense")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/items"),
        ("PATCH", f"/api/v1/items/{UUID}"),
        ("POST", "/api/v1/orders"),
        ("POST", f"/api/v1/orders/{UUID}/cancel"),
        ("POST", "/api/v1/auth/logout"),
    ],
)
def test_a_write_takes_no_parameters(client: FlaskClient, admin: dict[str, str], method: str, path: str) -> None:
    response = client.open(f"{path}?dry_run=true", method=method, json={}, headers=admin | {"If-Match": '"1"'})

    assert_problem(response, 422, "unknown_field", "dry_run")


@pytest.mark.parametrize("path", ["/docs/assets/" + "a" * 5000, "/docs/assets/..%2fdocs.py", "/docs/assets/nothing.js"])
def test_an_asset_that_is_not_there_is_not_found(client: FlaskClient, path: str) -> None:
    assert_problem(client.get(path), 404, "not_found")


@pytest.mark.parametrize("path", ["/api//v1/items", "//api/v1/items", "/api/v1//items"])
def test_a_doubled_slash_is_another_address(client: FlaskClient, path: str) -> None:
    assert_problem(client.get(path, base_url="http://evil.example"), 404, "not_found")


@pytest.mark.parametrize("path", ["/health?x=1", "/ready?x=1"])
def test_public_addresses_refuse_parameters_too(client: FlaskClient, path: str) -> None:
    assert_problem(client.get(path), 422, "unknown_field", "x")
