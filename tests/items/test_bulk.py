"""Many items in one call: what becomes of each row."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, text

from api.core.caller import Caller
from api.events.models import Event
from api.extensions import db
from api.items import service
from api.items.models import Item
from tests.live import at_once, committed
from tests.rest.envelope import assert_problem
from tests.statements import counted

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from tests.factories import Factory

ITEMS = "/api/v1/items"
BULK = f"{ITEMS}/bulk"
NEW = {"sku": "NEW", "name": "New", "unit_price": "1.00"}
FULL = NEW | {
    "description": "Line one\nline two",
    "barcode": "4006381333931",
    "category": "Tableware",
    "tags": ["blue", 'with "quotes" {braces} and \\'],
    "attributes": {"colour": "blue", "cups": 4, "weight": 0.75, "lid": True, "made in": ["Stoke"]},
    "image_url": "https://example.com/teapot.jpg",
    "unit": "g",
    "cost_price": "0.1234",
    "reorder_point": 3,
    "reorder_quantity": 48,
    "is_stocked": False,
}
MOST_STATEMENTS = 12


def test_rows_create_change_and_leave_as_it_is(
    client: FlaskClient, make: Factory, admin: dict[str, str], session: Session
) -> None:
    changed, same, noise = make.item(sku="Old"), make.item(sku="same", name="Same"), make.item()
    rows = [NEW, {"sku": "oLD", "name": "Changed"}, {"sku": "SAME", "name": "Same", "unit_price": "2.50"}]

    answer = client.post(BULK, json={"items": rows}, headers=admin).get_json()

    assert [(one["line"], one["sku"], one["outcome"], one["version"]) for one in answer["outcomes"]] == [
        (0, "NEW", "created", 1),
        (1, "Old", "updated", 2),
        (2, "same", "unchanged", 1),
    ]
    assert [one["id"] for one in answer["outcomes"][1:]] == [str(changed.id), str(same.id)]
    assert (answer["counts"], answer["dry_run"]) == ({"created": 1, "updated": 1, "unchanged": 1, "refused": 0}, False)
    session.expire_all()
    assert (changed.name, changed.version, changed.unit_price) == ("Changed", 2, Decimal("2.50"))
    assert (same.version, noise.version) == (1, 1)
    told = session.execute(select(Event.type, Event.subject_id).where(Event.type != "item.created"))
    assert told.all() == [("item.updated", changed.id)]


def test_every_fact_of_a_row_is_kept_and_the_item_is_found_by_it(client: FlaskClient, admin: dict[str, str]) -> None:
    (outcome,) = client.post(BULK, json={"items": [FULL]}, headers=admin).get_json()["outcomes"]

    read = client.get(f"{ITEMS}/{outcome['id']}", headers=admin).get_json()
    assert FULL.items() <= read.items()
    for q in ("tableware", "quot", "4006381333931"):
        assert [row["sku"] for row in client.get(ITEMS, query_string={"q": q}, headers=admin).get_json()["data"]] == [
            "NEW"
        ]
    again = client.post(BULK, json={"items": [FULL]}, headers=admin).get_json()
    assert again["counts"]["unchanged"] == 1


def test_a_change_is_found_by_its_new_words_and_not_by_the_old(
    client: FlaskClient, make: Factory, admin: dict[str, str]
) -> None:
    make.item(sku="A", name="Teapot")

    client.post(BULK, json={"items": [{"sku": "A", "name": "Kettle"}]}, headers=admin)

    found = {
        q: len(client.get(ITEMS, query_string={"q": q}, headers=admin).get_json()["data"]) for q in ("teapot", "kettle")
    }
    assert found == {"teapot": 0, "kettle": 1}


def test_what_a_row_does_not_say_stays(client: FlaskClient, admin: dict[str, str]) -> None:
    client.post(BULK, json={"items": [FULL]}, headers=admin)

    (outcome,) = client.post(BULK, json={"items": [{"sku": "new", "category": None}]}, headers=admin).get_json()[
        "outcomes"
    ]

    read = client.get(f"{ITEMS}/{outcome['id']}", headers=admin).get_json()
    assert (FULL | {"category": None}).items() <= read.items()


@pytest.mark.parametrize(
    ("row", "problems"),
    [
        ({"sku": "X"}, [("required", "name"), ("required", "unit_price")]),
        ({}, [("required", "sku")]),
        (7, [("invalid_type", None)]),
        (None, [("invalid_type", None)]),
        ([], [("invalid_type", None)]),
        (NEW | {"sku": "-"}, [("invalid_format", "sku")]),
        (NEW | {"unit_price": 1, "tags": [""]}, [("invalid_type", "unit_price"), ("wrong_length", "tags.0")]),
        (NEW | {"nonsense": 1}, [("unknown_field", "nonsense")]),
        (NEW | {"version": 1}, [("stale_version", "version")]),
        ({"sku": "held", "version": 2}, [("stale_version", "version")]),
        ({"sku": "held", "version": 0}, [("out_of_range", "version")]),
        ({"sku": "held", "unit": "g"}, [("unit_fixed", "unit")]),
        ({"sku": "held", "is_stocked": False}, [("unit_fixed", "is_stocked")]),
        (NEW | {"barcode": "0096385074000"}, [("invalid_value", "barcode")]),
        (NEW | {"barcode": "0000096385074"}, [("barcode_taken", "barcode")]),
        ({"sku": "first", "name": "Again"}, [("repeated_sku", "sku")]),
        (NEW | {"idempotency_key": "ü"}, [("invalid_format", "idempotency_key")]),
    ],
)
def test_a_row_that_is_refused_says_why_and_spoils_no_other(
    client: FlaskClient, make: Factory, admin: dict[str, str], row: Any, problems: list[tuple[str, str | None]]
) -> None:
    make.item(sku="HELD", barcode="96385074")
    rows = [NEW | {"sku": "First"}, row, NEW | {"sku": "Last"}]

    answer = client.post(BULK, json={"items": rows}, headers=admin).get_json()

    assert [one["outcome"] for one in answer["outcomes"]] == ["created", "refused", "created"]
    refused = answer["outcomes"][1]
    assert sorted((one["code"], one["field"]) for one in refused["problems"]) == sorted(problems)
    assert all(one["message"].endswith(".") for one in refused["problems"])
    assert client.get(ITEMS, headers=admin).get_json()["data"][1]["version"] == 1


def test_a_row_at_the_right_version_is_applied(client: FlaskClient, make: Factory, admin: dict[str, str]) -> None:
    make.item(sku="A")

    (outcome,) = client.post(BULK, json={"items": [{"sku": "A", "name": "B", "version": 1}]}, headers=admin).get_json()[
        "outcomes"
    ]

    assert (outcome["outcome"], outcome["version"]) == ("updated", 2)


def test_two_rows_of_one_call_never_have_the_same_barcode(
    client: FlaskClient, make: Factory, admin: dict[str, str]
) -> None:
    make.item(sku="GIVES", barcode="4006381333931")
    rows = [
        NEW | {"sku": "A", "barcode": "96385074"},
        NEW | {"sku": "B", "barcode": "00000096385074"},
        {"sku": "GIVES", "barcode": None},
        NEW | {"sku": "C", "barcode": "4006381333931"},
    ]

    answer = client.post(BULK, json={"items": rows}, headers=admin).get_json()

    assert [one["outcome"] for one in answer["outcomes"]] == ["created", "refused", "updated", "refused"]


def test_two_items_cannot_swap_barcodes_in_one_call(client: FlaskClient, make: Factory, admin: dict[str, str]) -> None:
    make.item(sku="A", barcode="4006381333931")
    make.item(sku="B", barcode="96385074")
    rows = [{"sku": "A", "barcode": "96385074"}, {"sku": "B", "barcode": "4006381333931"}]

    answer = client.post(BULK, json={"items": rows}, headers=admin).get_json()

    assert answer["counts"] == {"created": 0, "updated": 0, "unchanged": 0, "refused": 2}


@pytest.mark.parametrize("size", [0, 1001])
def test_a_call_has_from_1_to_1000_rows(client: FlaskClient, admin: dict[str, str], size: int) -> None:
    assert_problem(client.post(BULK, json={"items": [NEW] * size}, headers=admin), 422, "wrong_length", "items")


def test_a_dry_run_says_what_would_happen_and_writes_nothing(
    client: FlaskClient, make: Factory, admin: dict[str, str], session: Session
) -> None:
    make.item(sku="A")
    make.item(sku="B")
    rows: list[dict[str, Any]] = [
        NEW | {"idempotency_key": "k"},
        {"sku": "a", "name": "Changed"},
        {"sku": "b", "name": "Something"},
        {"sku": "c"},
        NEW | {"barcode": "96385074"},
    ]
    before = everything(session)

    dry = client.post(BULK, json={"items": rows, "dry_run": True}, headers=admin).get_json()

    assert everything(session) == before
    real = client.post(BULK, json={"items": rows}, headers=admin).get_json()
    assert (dry["dry_run"], dry["counts"]) == (True, real["counts"])
    assert [dict(one, id="") for one in dry["outcomes"]] == [dict(one, id="") for one in real["outcomes"]]
    assert dry["outcomes"][0]["id"] is None
    assert dry["outcomes"][1]["id"] == real["outcomes"][1]["id"]


def test_a_thousand_rows_take_as_many_statements_as_two(
    client: FlaskClient, admin: dict[str, str], session: Session
) -> None:
    for size in (2, 1000):
        rows: list[dict[str, Any]] = [
            NEW | {"sku": f"{size}-{n}", "barcode": gtin(size * 1000 + n)} for n in range(size)
        ]
        with counted() as creating:
            created = client.post(BULK, json={"items": rows}, headers=admin)
        mixed = [row | {"name": "Changed"} for row in rows[: size // 2]]
        mixed += [row | {"sku": f"new-{row['sku']}", "barcode": None} for row in rows[size // 2 :]]
        keyed = [row | {"idempotency_key": str(row["sku"])} for row in mixed]
        with counted() as mixing:
            answer = client.post(BULK, json={"items": keyed}, headers=admin | {"Idempotency-Key": f"k{size}"})

        assert created.get_json()["counts"]["created"] == size
        assert answer.get_json()["counts"] == {"created": size / 2, "updated": size / 2, "unchanged": 0, "refused": 0}
        assert len(creating) <= 6, creating
        assert len(mixing) <= MOST_STATEMENTS, mixing
    assert session.scalar(select(func.count(Item.id))) == 1503
    assert session.scalar(select(func.count(Event.id)).where(Event.type == "item.created")) == 1503


def test_events_tell_of_each_item_what_is_told_of_one(
    client: FlaskClient, admin: dict[str, str], session: Session
) -> None:
    client.post(ITEMS, json=NEW | {"sku": "ONE"}, headers=admin)
    client.post(BULK, json={"items": [NEW]}, headers=admin)

    one, other = session.scalars(select(Event).where(Event.type == "item.created").order_by(Event.number))
    assert other.data == one.data | {"sku": "NEW"}
    assert other.actor_id == one.actor_id
    assert other.request_id is not None


def test_many_calls_with_the_same_new_items_at_once_create_each_once(live_app: Flask) -> None:
    with committed(live_app) as make:
        headers = make.headers()
    skus = [f"S{n}" for n in range(40)]
    calls = []
    for number in range(6):
        order = skus if number % 2 else skus[::-1]
        rows = [NEW | {"sku": sku, "name": f"By {number}"} for sku in order]
        calls.append({"path": BULK, "method": "POST", "headers": headers, "json": {"items": rows}})

    answers = at_once(live_app, *calls)

    assert [answer.status_code for answer in answers] == [200] * 6, [answer.text[:300] for answer in answers]
    counts: Counter[str] = sum((Counter(answer.get_json()["counts"]) for answer in answers), Counter())
    assert counts == {"created": 40, "updated": 200}
    with live_app.app_context():
        assert {(item.version, item.name[:3]) for item in db.session.scalars(select(Item))} == {(6, "By ")}
        assert db.session.scalar(select(func.count(Event.id)).where(Event.type.like("item.%"))) == 240


def test_of_many_calls_that_want_one_barcode_at_once_one_gets_it(live_app: Flask) -> None:
    with committed(live_app) as make:
        headers = make.headers()
        for number in range(3):
            make.item(sku=f"OLD{number}")
    calls: list[dict[str, Any]] = []
    for number in range(6):
        wanted = {"sku": f"OLD{number}"} if number < 3 else NEW | {"sku": f"NEW{number}"}
        rows = [wanted | {"barcode": "96385074"}, NEW | {"sku": f"SPARE{number}"}]
        calls.append({"path": BULK, "method": "POST", "headers": headers, "json": {"items": rows}})

    answers = at_once(live_app, *calls)

    assert [answer.status_code for answer in answers] == [200] * 6, [answer.text[:300] for answer in answers]
    firsts = [answer.get_json()["outcomes"][0] for answer in answers]
    assert Counter(one["outcome"] == "refused" for one in firsts) == {True: 5, False: 1}
    assert {problem["code"] for one in firsts for problem in one["problems"]} == {"barcode_taken"}
    assert [answer.get_json()["outcomes"][1]["outcome"] for answer in answers] == ["created"] * 6


def test_of_many_calls_on_one_version_at_once_one_is_applied(live_app: Flask) -> None:
    with committed(live_app) as make:
        headers = make.headers()
        make.item(sku="A")
    row = {"sku": "A", "version": 1}
    calls = [
        {"path": BULK, "method": "POST", "headers": headers, "json": {"items": [row | {"name": f"By {number}"}]}}
        for number in range(6)
    ]

    answers = at_once(live_app, *calls)

    outcomes = Counter(answer.get_json()["outcomes"][0]["outcome"] for answer in answers)
    assert outcomes == {"updated": 1, "refused": 5}


def test_a_call_and_a_change_of_one_item_at_once_both_count(live_app: Flask) -> None:
    with committed(live_app) as make:
        headers = make.headers()
        path = f"{ITEMS}/{make.item(sku='A').id}"
    calls: list[dict[str, Any]] = [
        {"path": path, "method": "PATCH", "headers": headers | {"If-Match": '"1"'}, "json": {"category": "Kept"}},
        {"path": BULK, "method": "POST", "headers": headers, "json": {"items": [{"sku": "A", "name": "By call"}]}},
    ]

    changed, answer = at_once(live_app, *calls)

    with live_app.app_context():
        item = db.session.scalars(select(Item)).one()
        assert (answer.status_code, item.name) == (200, "By call")
        assert (item.category, item.version) == (("Kept", 3) if changed.status_code == 200 else (None, 2))


def test_what_the_service_is_given_nothing_for_it_does_nothing(session: Session) -> None:
    assert service.upsert(session, [], by=Caller.system()) == []


def everything(session: Session) -> list[Any]:
    tables = ("items", "item_words", "events", "idempotency_keys")
    return [sorted(session.scalars(text(f"SELECT t::text FROM {table} AS t"))) for table in tables]  # noqa: S608


def gtin(number: int) -> str:
    digits = f"{number:012d}"
    total = sum(int(digit) * (3, 1)[place % 2] for place, digit in enumerate(reversed(digits)))
    return f"{digits}{-total % 10}"


def test_ids_of_created_items_are_theirs(client: FlaskClient, admin: dict[str, str], session: Session) -> None:
    (outcome,) = client.post(BULK, json={"items": [NEW]}, headers=admin).get_json()["outcomes"]

    item = session.get(Item, UUID(outcome["id"]))
    assert item is not None
    assert item.sku == "NEW"
