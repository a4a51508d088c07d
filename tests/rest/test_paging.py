"""Walking through lists, page by page."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.testing import FlaskClient

    from tests.factories import Factory


def walk(client: FlaskClient, path: str, headers: dict[str, str], **query: object) -> list[list[str]]:
    """Read every page by its `next_cursor`; gives the ids of each."""
    pages: list[list[str]] = []
    cursor: dict[str, str] = {}
    while True:
        body = client.get(path, query_string=query | cursor, headers=headers).get_json()
        pages.append([row["id"] for row in body["data"]])
        if body["next_cursor"] is None:
            return pages
        cursor = {"cursor": body["next_cursor"]}


def test_all_pages_together_hold_every_row_once(client: FlaskClient, make: Factory, admin: dict[str, str]) -> None:
    skus = ["b", "A-2", "a-1", "B 2", "z", "10", "9", "a.b", "a_b", "a-b", "AB"]
    made = {str(make.item(sku=sku).id) for sku in skus}

    pages = walk(client, "/api/v1/items", admin, limit=2)

    assert [len(page) for page in pages] == [2, 2, 2, 2, 2, 1]
    listed = [identifier for page in pages for identifier in page]
    assert len(listed) == len(set(listed))
    assert set(listed) == made


def test_pages_come_in_the_order_of_the_whole_list(client: FlaskClient, make: Factory, admin: dict[str, str]) -> None:
    for sku in ["b", "A-2", "a-1", "B 2", "z", "10", "9"]:
        make.item(sku=sku)

    whole = walk(client, "/api/v1/items", admin, limit=200)
    parts = walk(client, "/api/v1/items", admin, limit=3)

    assert [row for page in parts for row in page] == whole[0]


def test_pages_of_orders_of_one_moment_hold_every_order_once(
    client: FlaskClient, make: Factory, admin: dict[str, str]
) -> None:
    item = make.item(stock=100)
    placed = {str(make.order((item, 1)).id) for _ in range(7)}  # one transaction, so one and the same placed_at

    pages = walk(client, "/api/v1/orders", admin, limit=3)

    assert [len(page) for page in pages] == [3, 3, 1]
    assert {row for page in pages for row in page} == placed


def test_a_filter_holds_on_every_page(client: FlaskClient, make: Factory, admin: dict[str, str]) -> None:
    wanted = {str(make.item(name=f"Cake {number}").id) for number in range(5)}
    for number in range(5):
        make.item(name=f"Noise {number}")

    pages = walk(client, "/api/v1/items", admin, limit=2, q="cake")

    assert [len(page) for page in pages] == [2, 2, 1]
    assert {row for page in pages for row in page} == wanted


def test_rows_that_come_and_go_disturb_nobodys_walk(client: FlaskClient, make: Factory, admin: dict[str, str]) -> None:
    for sku in ["B", "D", "F", "H"]:
        make.item(sku=sku)
    first = client.get("/api/v1/items?limit=2", headers=admin).get_json()

    make.item(sku="A")
    make.item(sku="E")
    second = client.get(
        "/api/v1/items", query_string={"limit": 2, "cursor": first["next_cursor"]}, headers=admin
    ).get_json()

    assert [row["sku"] for row in first["data"] + second["data"]] == ["B", "D", "E", "F"]


@pytest.mark.parametrize("path", ["/api/v1/items", "/api/v1/locations", "/api/v1/users", "/api/v1/stock/levels"])
def test_a_list_of_exactly_one_page_has_no_next(
    client: FlaskClient, make: Factory, admin: dict[str, str], path: str
) -> None:
    for _ in range(2):
        make.item(stock=1)
    total = len(client.get(f"{path}?limit=200", headers=admin).get_json()["data"])

    response = client.get(f"{path}?limit={total}", headers=admin)

    assert len(response.get_json()["data"]) == total
    assert response.get_json()["next_cursor"] is None
    assert "Link" not in response.headers


def test_an_empty_list_is_one_empty_page(client: FlaskClient, admin: dict[str, str]) -> None:
    assert client.get("/api/v1/items", headers=admin).get_json() == {"data": [], "next_cursor": None}


def test_the_link_header_leads_to_the_next_page(client: FlaskClient, make: Factory, admin: dict[str, str]) -> None:
    for number in range(3):
        make.item(name=f"Tea & cake {number}")
    make.item(name="Noise")
    first = client.get("/api/v1/items", query_string={"limit": 2, "q": "tea & cake"}, headers=admin)

    target, relation = first.headers["Link"].split(";")
    second = client.get(target.strip("<>"), headers=admin)

    assert relation.strip() == 'rel="next"'
    assert parse_qs(urlsplit(target.strip("<>")).query)["cursor"] == [first.get_json()["next_cursor"]]
    assert [row["name"] for row in second.get_json()["data"]] == ["Tea & cake 2"]
    assert "Link" not in second.headers


def test_the_link_header_replaces_the_cursor_it_came_from(
    client: FlaskClient, make: Factory, admin: dict[str, str]
) -> None:
    for _ in range(3):
        make.item()
    first = client.get("/api/v1/items?limit=1", headers=admin)

    second = client.get(first.headers["Link"].split(";")[0].strip("<>"), headers=admin)

    assert second.headers["Link"].count("cursor=") == 1
    assert first.headers["Link"] != second.headers["Link"]


@pytest.mark.parametrize("limit", [1, 200])
def test_a_page_may_be_as_small_or_as_large_as_documented(
    client: FlaskClient, make: Factory, admin: dict[str, str], limit: int
) -> None:
    make.item()
    make.item()

    response = client.get(f"/api/v1/items?limit={limit}", headers=admin)

    assert len(response.get_json()["data"]) == min(limit, 2)


def test_a_page_has_fifty_rows_unless_asked_otherwise(
    client: FlaskClient, make: Factory, admin: dict[str, str]
) -> None:
    for _ in range(51):
        make.item()

    assert len(client.get("/api/v1/items", headers=admin).get_json()["data"]) == 50


def _flip(cursor: str) -> str:
    return cursor[:-5] + ("A" if cursor[-5] != "A" else "B") + cursor[-4:]


def _replace_payload(cursor: str) -> str:
    return base64.urlsafe_b64encode(b'["zzz"]').decode().rstrip("=") + "." + cursor.rpartition(".")[2]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(_flip, id="one character changed"),
        pytest.param(_replace_payload, id="other values under the same signature"),
        pytest.param(lambda cursor: cursor[1:], id="cut in front"),
        pytest.param(lambda cursor: cursor[:-1], id="cut behind"),
        pytest.param(lambda cursor: cursor.rpartition(".")[0], id="without signature"),
        pytest.param(lambda cursor: cursor.swapcase(), id="other letter case"),
        pytest.param(lambda cursor: cursor + "A", id="longer"),
        pytest.param(lambda _: "nonsense", id="nonsense"),
        pytest.param(lambda _: "." * 100, id="dots"),
        pytest.param(lambda _: "\N{LATIN SMALL LETTER E WITH ACUTE}.\N{SNOWMAN}", id="not ASCII"),
        pytest.param(lambda _: "../../etc/passwd", id="a path"),
        pytest.param(lambda _: "A" * 2000, id="long"),
    ],
)
def test_a_cursor_that_was_tampered_with_is_refused(
    client: FlaskClient, make: Factory, admin: dict[str, str], spoil: Callable[[str], str]
) -> None:
    cursor = cursor_of(client, make, admin)

    response = client.get("/api/v1/items", query_string={"limit": 1, "cursor": spoil(cursor)}, headers=admin)

    assert_problem(response, 400, "cursor_invalid", "cursor")


@pytest.mark.parametrize(
    ("path", "query"),
    [
        pytest.param("/api/v1/locations", {}, id="another list"),
        pytest.param("/api/v1/orders", {}, id="a list in another order"),
        pytest.param("/api/v1/items", {"q": "a"}, id="a filter more"),
        pytest.param("/api/v1/items", {"sku": "A"}, id="another filter"),
    ],
)
def test_a_cursor_of_another_list_or_filter_is_refused(
    client: FlaskClient, make: Factory, admin: dict[str, str], path: str, query: dict[str, Any]
) -> None:
    cursor = cursor_of(client, make, admin)

    response = client.get(path, query_string={"limit": 1, "cursor": cursor} | query, headers=admin)

    assert_problem(response, 400, "cursor_invalid", "cursor")


def test_a_cursor_of_a_filter_is_refused_without_it(client: FlaskClient, make: Factory, admin: dict[str, str]) -> None:
    cursor = cursor_of(client, make, admin, q="some")

    assert_problem(client.get(f"/api/v1/items?limit=1&cursor={cursor}", headers=admin), 400, "cursor_invalid")


def test_somebody_elses_cursor_is_refused(
    client: FlaskClient, make: Factory, admin: dict[str, str], log_in: Callable[[str], dict[str, str]]
) -> None:
    cursor = cursor_of(client, make, admin)

    response = client.get(f"/api/v1/items?limit=1&cursor={cursor}", headers=log_in("admin"))

    assert_problem(response, 400, "cursor_invalid", "cursor")


def test_a_cursor_may_be_used_with_pages_of_another_size(
    client: FlaskClient, make: Factory, admin: dict[str, str]
) -> None:
    cursor = cursor_of(client, make, admin)

    assert len(client.get(f"/api/v1/items?limit=200&cursor={cursor}", headers=admin).get_json()["data"]) == 2


@pytest.mark.parametrize(("cursor", "code"), [("", "wrong_length"), ("A" * 2001, "wrong_length")])
def test_a_cursor_of_impossible_length_is_refused(
    client: FlaskClient, admin: dict[str, str], cursor: str, code: str
) -> None:
    response = client.get("/api/v1/items", query_string={"cursor": cursor}, headers=admin)

    assert_problem(response, 422, code, "cursor")


def cursor_of(client: FlaskClient, make: Factory, headers: dict[str, str], **query: object) -> str:
    """Make three items and give the cursor after the first."""
    for _ in range(3):
        make.item()
    cursor: str = client.get("/api/v1/items", query_string={"limit": 1} | query, headers=headers).get_json()[
        "next_cursor"
    ]
    return cursor
