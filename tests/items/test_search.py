"""Finding items: by words, by facts, in any order, page by page."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import text, update

from api.items import service
from api.items.models import Item
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from tests.factories import Factory

ITEMS = "/api/v1/items"
SORTS = ("sku", "name", "unit_price", "category", "created_at", "updated_at")
READ = {
    "sku": lambda item: item.sku,
    "name": lambda item: item.name,
    "unit_price": lambda item: item.unit_price,
    "category": lambda item: item.category or "",
    "created_at": lambda item: item.created_at,
    "updated_at": lambda item: item.updated_at,
}


def found(client: FlaskClient, headers: dict[str, str], **query: Any) -> list[str]:
    answer = client.get(ITEMS, query_string=query, headers=headers)
    assert answer.status_code == 200, answer.text
    return [row["sku"] for row in answer.get_json()["data"]]


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("cakestand", ["22423", "9-CAKE"]),
        ("CAKEST", ["22423", "9-CAKE"]),
        ("tier regency", ["22423"]),
        ("regency teapot", []),
        ("22", ["22423", "22423-B"]),
        ("22423", ["22423", "22423-B"]),
        ("22423B", ["22423-B"]),
        ("22423 b", ["22423-B"]),
        ("crème", ["CREME"]),
        ("creme", ["CREME"]),
        ("brulee", ["CREME"]),
        ("kitchenware", ["CREME"]),
        ("wedd", ["22423"]),
        ("4006381333931", ["22423-B"]),
        ("regancy", ["22423"]),
        ("caekstand", ["22423", "9-CAKE"]),
        ("teepot", ["22423-B"]),
        ("stand", ["22423", "9-CAKE"]),
        ("regancy caekstand", ["22423"]),
        ("zzzzzz", []),
        ("regency zzzzzz", []),
        ("archived", []),
        ("?!", []),
        ("%", []),
        ("_", []),
        ("cake%", ["22423", "9-CAKE"]),
        ("' | 'x':* & !", []),
    ],
)
def test_items_are_found_by_the_beginnings_of_words_and_by_misspelt_ones(
    client: FlaskClient, make: Factory, admin: dict[str, str], session: Session, q: str, expected: list[str]
) -> None:
    make.item(sku="9-CAKE", name="Small cakestand")
    make.item(sku="22423-B", name="Teapot, green", barcode="4006381333931")
    make.item(sku="22423", name="Regency cakestand 3 tier", tags=["wedding"])
    make.item(sku="CREME", name="Crème brûlée dish", category="Kitchenware")
    gone = make.item(sku="GONE", name="Archived plate")
    session.execute(update(Item).where(Item.id == gone.id).values(archived_at=datetime.now(UTC)))

    assert found(client, admin, q=q) == expected


def test_only_the_first_eight_words_count(client: FlaskClient, make: Factory, admin: dict[str, str]) -> None:
    make.item(sku="A", name="b c d e f g h")

    assert found(client, admin, q="a b c d e f g h nonsense") == ["A"]
    assert found(client, admin, q="a b c d e f g nonsense") == []


def test_a_search_goes_with_filters_a_sort_and_pages(client: FlaskClient, make: Factory, admin: dict[str, str]) -> None:
    for number in range(7):
        make.item(sku=f"S{number}", name="Teapot", unit_price=Decimal(number), category="Ware" if number else None)
    make.item(name="Noise", category="Ware")
    query = {"q": "teepot", "category": "Ware", "sort": "-unit_price", "limit": 4, "fields": "sku", "count": "true"}

    first = client.get(ITEMS, query_string=query, headers=admin).get_json()
    second = client.get(ITEMS, query_string=query | {"cursor": first["next_cursor"]}, headers=admin).get_json()

    assert (first["total"], second["next_cursor"]) == (6, None)
    assert first["data"] + second["data"] == [{"sku": f"S{number}"} for number in (6, 5, 4, 3, 2, 1)]


@pytest.mark.parametrize("q", ["a" * 201, "", "\u200b"])
def test_a_text_that_cannot_be_searched_is_refused(client: FlaskClient, admin: dict[str, str], q: str) -> None:
    assert client.get(ITEMS, query_string={"q": q}, headers=admin).status_code == 422


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example("\\' | x:*")
@example("x" * 200)
@example("ǆ ß ŉ ﷺ")
@given(q=st.text(min_size=1, max_size=200))
def test_no_text_breaks_the_search(session: Session, q: str) -> None:
    service.search(session, q=q).page(session, limit=2, after=None)


def test_a_word_that_an_item_has_lost_finds_it_no_more(
    client: FlaskClient, make: Factory, admin: dict[str, str]
) -> None:
    item = make.item(sku="A", name="Teapot")

    client.patch(f"{ITEMS}/{item.id}", json={"name": "Kettle"}, headers=admin | {"If-Match": '"1"'})

    assert (found(client, admin, q="teapot"), found(client, admin, q="kettle")) == ([], ["A"])


def test_items_that_are_imported_are_found(client: FlaskClient, session: Session, admin: dict[str, str]) -> None:
    service.import_many(session, [{"sku": "A", "name": "Teapot", "unit_price": Decimal(1)}])

    assert found(client, admin, q="teapot") == ["A"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"sku": "a"}, ["A"]),
        ({"barcode": "96385074"}, ["A"]),
        ({"barcode": "0000096385074"}, ["A"]),
        ({"barcode": "6385074"}, []),
        ({"category": "Ware"}, ["A", "B"]),
        ({"category": "ware"}, []),
        ({"tag": "Red"}, ["A", "B"]),
        ({"tag": "red,blue"}, ["B"]),
        ({"tag": "red,none"}, []),
        ({"attribute": "colour:red"}, ["A"]),
        ({"attribute": "colour: red "}, ["A"]),
        ({"attribute": "size:3"}, ["A", "C"]),
        ({"attribute": "size:3.0"}, ["A"]),
        ({"attribute": "new:true"}, ["B"]),
        ({"attribute": "made in:Leeds"}, ["C"]),
        ({"attribute": "time:12:30"}, ["C"]),
        ({"attribute": "time:NaN"}, []),
        ({"attribute": "time:1e999"}, []),
        ({"attribute": "time:" + "9" * 500}, []),
        ({"attribute": "time:null"}, []),
        ({"is_stocked": "false"}, ["C"]),
        ({"price_min": "2"}, ["B", "C"]),
        ({"price_max": "2.0"}, ["A", "B"]),
        ({"price_min": "1.5", "price_max": "2.5"}, ["B"]),
        ({"updated_since": "2100-01-01T00:00:00Z"}, []),
        ({"created_since": "2001-01-01T00:00:00Z"}, ["A", "B", "C"]),
        ({"archived": "true"}, ["Z"]),
        ({"archived": "true", "category": "Ware"}, ["Z"]),
        ({"category": "Ware", "tag": "blue", "price_min": "1", "is_stocked": "true"}, ["B"]),
    ],
)
def test_filters_narrow_a_list(
    client: FlaskClient,
    make: Factory,
    admin: dict[str, str],
    session: Session,
    query: dict[str, str],
    expected: list[str],
) -> None:
    make.item(
        sku="A",
        unit_price=Decimal(1),
        barcode="96385074",
        category="Ware",
        tags=["red"],
        attributes={"colour": "red", "size": 3},
    )
    make.item(sku="B", unit_price=Decimal(2), category="Ware", tags=["blue", "red"], attributes={"new": True})
    make.item(
        sku="C",
        unit_price=Decimal(3),
        attributes={"size": "3", "made in": ["Stoke", "Leeds"], "time": "12:30"},
        is_stocked=False,
    )
    gone = make.item(sku="Z", category="Ware")
    session.execute(update(Item).where(Item.id == gone.id).values(archived_at=datetime.now(UTC)))

    assert found(client, admin, **query) == expected


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ({"sort": "price"}, "unknown_choice", "sort"),
        ({"sort": "sku,-sku"}, "unknown_choice", "sort"),
        ({"sort": "sku,sku"}, "unknown_choice", "sort"),
        ({"sort": ""}, "unknown_choice", "sort"),
        ({"sort": "--sku"}, "unknown_choice", "sort"),
        ({"sort": "\ud83d"}, None, "sort"),
        ({"sort": "words"}, "unknown_choice", "sort"),
        ({"fields": "sku,words"}, "unknown_choice", "fields"),
        ({"fields": ""}, None, "fields"),
        ({"shown": "sku"}, "unknown_field", "shown"),
        ({"tag": "a,,b"}, "wrong_length", "tag"),
        ({"tag": ",".join("abcdefghijklmnopqrstu")}, "wrong_length", "tag"),
        ({"attribute": "colour"}, "invalid_format", "attribute"),
        ({"attribute": ":red"}, "invalid_format", "attribute"),
        ({"barcode": "x"}, "invalid_format", "barcode"),
        ({"price_min": "3", "price_max": "2"}, "out_of_range", "price_max"),
        ({"price_min": "-1"}, "invalid_type", "price_min"),
        ({"updated_since": "yesterday"}, "invalid_format", "updated_since"),
        ({"archived": "yes"}, "invalid_type", "archived"),
    ],
)
def test_a_query_that_means_nothing_is_refused(
    client: FlaskClient, admin: dict[str, str], query: dict[str, str], code: str | None, field: str
) -> None:
    encoded = {name: value.encode("utf-8", "surrogatepass") for name, value in query.items()}

    answer = client.get(ITEMS, query_string=encoded, headers=admin)

    assert_problem(answer, 422, code or answer.get_json()["error"]["code"], field)


def test_only_the_fields_that_are_asked_for_are_shown(
    client: FlaskClient, make: Factory, admin: dict[str, str]
) -> None:
    item = make.item()

    answer = client.get(f"{ITEMS}?fields=sku,id,sku&count=true", headers=admin).get_json()

    assert answer == {
        "data": [{"id": str(item.id), "sku": item.sku}],
        "next_cursor": None,
        "total": 1,
        "total_is_exact": True,
    }


@pytest.mark.parametrize(
    "sort",
    [
        *SORTS,
        *(f"-{name}" for name in SORTS),
        "category,-unit_price",
        "-category,unit_price",
        "unit_price,name,-created_at",
        "name,sku,-unit_price",
        "category,name",
        "-unit_price,-category",
    ],
)
def test_pages_in_any_order_are_the_whole_list_cut_up(
    client: FlaskClient, admin: dict[str, str], session: Session, shelf: list[Item], sort: str
) -> None:
    keys = [*sort.split(","), *{"category": ["sku"], "-category": ["-sku"]}.get(sort, [])]
    expected = sorted(shelf, key=lambda item: item.id, reverse=keys[-1].startswith("-"))
    for name in reversed(keys):
        expected.sort(key=READ[name.removeprefix("-")], reverse=name.startswith("-"))

    rows: list[str] = []
    query: dict[str, Any] = {"sort": sort, "limit": 7, "fields": "id"}
    while query.get("cursor", "") is not None:
        page = client.get(ITEMS, query_string=query, headers=admin).get_json()
        rows += [row["id"] for row in page["data"]]
        query["cursor"] = page["next_cursor"]

    assert session.scalar(text("SELECT datcollate FROM pg_database WHERE datname = current_database()")) == "C"
    assert rows == [str(item.id) for item in expected]


def test_a_cursor_is_good_for_its_own_order_only(client: FlaskClient, admin: dict[str, str], shelf: list[Item]) -> None:
    assert len(shelf) > 1
    cursor = client.get(f"{ITEMS}?sort=name&limit=1", headers=admin).get_json()["next_cursor"]

    for query in ({"sort": "-name"}, {"sort": "name,sku"}, {}, {"sort": "name", "tag": "x"}):
        answer = client.get(ITEMS, query_string=query | {"cursor": cursor}, headers=admin)
        assert_problem(answer, 400, "cursor_invalid", "cursor")


@pytest.fixture
def shelf(session: Session, make: Factory) -> list[Item]:
    """Forty items with ties in everything but the SKU, and one that is archived."""
    chance = random.Random(7)  # noqa: S311  # the same noise every time
    start = datetime(2026, 5, 17, tzinfo=UTC)
    skus = [f"S{number:02d}" for number in range(40)]
    chance.shuffle(skus)
    items = [
        make.item(
            sku=sku,
            name=chance.choice(["Cup", "Pot", "Lid"]),
            unit_price=Decimal(chance.choice([1, 2, 3])),
            category=chance.choice([None, "A", "B"]),
        )
        for sku in skus
    ]
    for item in items:
        moment = start + timedelta(days=chance.randrange(3), microseconds=chance.randrange(3))
        session.execute(update(Item).where(Item.id == item.id).values(created_at=moment, updated_at=moment))
    gone = make.item(sku="S20-gone")
    session.execute(update(Item).where(Item.id == gone.id).values(archived_at=start))
    session.expire_all()
    return items
