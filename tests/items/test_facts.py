"""What can be said about an item, and what cannot."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select, text

from api.events.models import Event
from tests.live import at_once, committed
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from tests.factories import Factory

ITEMS = "/api/v1/items"
TEAPOT = {"sku": "TEAPOT", "name": "Teapot", "unit_price": "12.75"}
FACTS = {
    "barcode": "4006381333931",
    "category": "Tableware",
    "tags": ["blue", "tea"],
    "attributes": {"colour": "blue", "cups": 4, "weight": 0.75, "lid": True, "made in": ["Stoke", "Leeds"]},
    "image_url": "https://example.com/teapot.jpg",
    "cost_price": "5.10",
    "reorder_point": 0,
    "reorder_quantity": 48,
}
MATCH = {"If-Match": '"1"'}


def test_every_fact_is_kept_on_creation_and_on_change(
    client: FlaskClient, make: Factory, admin: dict[str, str]
) -> None:
    headers = admin
    noise = make.item()

    created = client.post(ITEMS, json=TEAPOT | FACTS, headers=headers).get_json()
    changed = client.patch(f"{ITEMS}/{noise.id}", json=FACTS | {"barcode": "96385074"}, headers=headers | MATCH)

    assert FACTS.items() <= client.get(f"{ITEMS}/{created['id']}", headers=headers).get_json().items()
    assert (FACTS | {"barcode": "96385074"}).items() <= changed.get_json().items()


def test_a_new_item_without_facts_has_none(client: FlaskClient, admin: dict[str, str]) -> None:
    created = client.post(ITEMS, json=TEAPOT, headers=admin).get_json()

    assert {name: created[name] for name in FACTS} == dict.fromkeys(FACTS) | {"tags": [], "attributes": {}}


@pytest.mark.parametrize("name", sorted(FACTS.keys() - {"tags", "attributes"}))
def test_a_fact_can_be_taken_away(client: FlaskClient, make: Factory, admin: dict[str, str], name: str) -> None:
    item = make.item(**(FACTS | {"cost_price": 5}))

    changed = client.patch(f"{ITEMS}/{item.id}", json={name: None}, headers=admin | MATCH)

    assert changed.get_json()[name] is None


@pytest.mark.parametrize("name", ["tags", "attributes"])
def test_what_is_empty_is_never_null(client: FlaskClient, make: Factory, admin: dict[str, str], name: str) -> None:
    answer = client.patch(f"{ITEMS}/{make.item().id}", json={name: None}, headers=admin | MATCH)

    assert_problem(answer, 422, "null_not_allowed", name)


@pytest.mark.parametrize(("role", "sees"), [("customer", False), ("clerk", False), ("manager", True), ("admin", True)])
def test_what_an_item_costs_is_shown_to_those_who_may_see_it(
    client: FlaskClient, make: Factory, role: str, *, sees: bool
) -> None:
    item, headers = make.item(cost_price=5), make.headers(role=role)

    one = client.get(f"{ITEMS}/{item.id}", headers=headers).get_json()
    listed = client.get(ITEMS, headers=headers).get_json()["data"][0]
    asked = client.get(f"{ITEMS}?fields=sku,cost_price", headers=headers).get_json()["data"][0]

    assert ("cost_price" in one, "cost_price" in listed) == (sees, sees)
    assert asked == {"sku": item.sku} | ({"cost_price": "5.00"} if sees else {})
    alone = client.get(f"{ITEMS}?fields=cost_price", headers=headers).get_json()["data"][0]
    assert alone == ({"cost_price": "5.00"} if sees else {})


@pytest.mark.parametrize("barcode", ["96385074", "012345678905", "4006381333931", "10012345678902"])
def test_barcodes_of_every_length_are_kept_as_they_are_given(
    client: FlaskClient, admin: dict[str, str], barcode: str
) -> None:
    created = client.post(ITEMS, json=TEAPOT | {"barcode": barcode}, headers=admin)

    assert created.get_json()["barcode"] == barcode


@pytest.mark.parametrize(
    ("barcode", "code"),
    [
        ("4006381333932", "invalid_value"),
        ("96385073", "invalid_value"),
        ("963850740", "invalid_format"),
        ("", "wrong_length"),
        ("4006381-333931", "invalid_format"),
        ("٤٠٠٦٣٨١٣٣٣٩٣١", "invalid_format"),
        ("040063813339310", "wrong_length"),
        (4006381333931, "invalid_type"),
        ("4006381333931\n", "invalid_character"),
    ],
)
def test_what_is_no_barcode_is_refused(client: FlaskClient, admin: dict[str, str], barcode: object, code: str) -> None:
    assert_problem(client.post(ITEMS, json=TEAPOT | {"barcode": barcode}, headers=admin), 422, code, "barcode")


@pytest.mark.parametrize("barcode", ["012345678905", "0012345678905", "00012345678905"])
def test_a_barcode_is_taken_whatever_zeros_stand_before_it(
    client: FlaskClient, make: Factory, admin: dict[str, str], barcode: str
) -> None:
    headers = admin
    make.item(barcode="0012345678905")
    other = make.item()

    created = client.post(ITEMS, json=TEAPOT | {"barcode": barcode}, headers=headers)
    changed = client.patch(f"{ITEMS}/{other.id}", json={"barcode": barcode}, headers=headers | MATCH)

    assert_problem(created, 409, "barcode_taken", "barcode")
    assert_problem(changed, 409, "barcode_taken", "barcode")


def test_an_item_may_write_its_own_barcode_with_other_zeros(
    client: FlaskClient, make: Factory, admin: dict[str, str]
) -> None:
    item = make.item(barcode="012345678905")

    changed = client.patch(f"{ITEMS}/{item.id}", json={"barcode": "0012345678905"}, headers=admin | MATCH)

    assert (changed.status_code, changed.get_json()["barcode"]) == (200, "0012345678905")


def test_of_many_items_with_one_barcode_at_once_one_is_made(live_app: Flask) -> None:
    with committed(live_app) as make:
        headers = make.headers()
    request: dict[str, Any] = {"path": ITEMS, "method": "POST", "headers": headers}

    answers = at_once(
        live_app, *(request | {"json": TEAPOT | {"sku": f"S{n}", "barcode": "96385074"}} for n in range(4))
    )

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    for answer in answers:
        if answer.status_code == 409:
            assert_problem(answer, 409, "barcode_taken", "barcode")


def test_tags_are_lowered_sorted_and_kept_once(client: FlaskClient, admin: dict[str, str]) -> None:
    created = client.post(ITEMS, json=TEAPOT | {"tags": ["Tea", " tea ", "BLUE", "Straße"]}, headers=admin)

    assert created.get_json()["tags"] == ["blue", "strasse", "tea"]


@pytest.mark.parametrize(
    ("tags", "code", "field"),
    [
        (["t"] * 21, "wrong_length", "tags"),
        (["t" * 41], "wrong_length", "tags.0"),
        (["ok", ""], "wrong_length", "tags.1"),
        ([None], "null_not_allowed", "tags.0"),
        ([["t"]], "invalid_type", "tags.0"),
        ("t", "invalid_value", "tags"),
        ({"a": "b"}, "invalid_value", "tags"),
    ],
)
def test_what_is_no_list_of_tags_is_refused(
    client: FlaskClient, admin: dict[str, str], tags: object, code: str, field: str
) -> None:
    assert_problem(client.post(ITEMS, json=TEAPOT | {"tags": tags}, headers=admin), 422, code, field)


@pytest.mark.parametrize(
    ("attributes", "code", "field"),
    [
        ([], "invalid_type", "attributes"),
        ("{}", "invalid_type", "attributes"),
        ({"a": None}, "invalid_type", "attributes.a"),
        ({"a": {"b": 1}}, "invalid_type", "attributes.a"),
        ({"a": [1]}, "invalid_type", "attributes.a.0"),
        ({"a": ["x"] * 21}, "wrong_length", "attributes.a"),
        ({"a": ""}, "wrong_length", "attributes.a"),
        ({"a": "x" * 501}, "wrong_length", "attributes.a"),
        ({"": "x"}, "wrong_length", "attributes."),
        ({"k" * 41: "x"}, "wrong_length", f"attributes.{'k' * 41}"),
        ({"a": 2**53 + 1}, "out_of_range", "attributes.a"),
        ({"a": 1e22}, "out_of_range", "attributes.a"),
        ({"a": -(10**400)}, "out_of_range", "attributes.a"),
        ({"a": "b\x07"}, "invalid_character", "attributes.a"),
        ({"a": "1", " a": "2"}, "invalid_value", "attributes"),
        ({f"k{n}": n for n in range(51)}, "wrong_length", "attributes"),
        ({f"k{n}": "ü" * 250 for n in range(20)}, "wrong_length", "attributes"),
    ],
)
def test_what_are_no_attributes_is_refused(
    client: FlaskClient, admin: dict[str, str], attributes: object, code: str, field: str
) -> None:
    body = json.dumps(TEAPOT | {"attributes": attributes})

    answer = client.post(ITEMS, data=body, content_type="application/json", headers=admin)

    assert_problem(answer, 422, code, field)


@pytest.mark.parametrize("broken", ["\\u0000", "\\ud800"])
@pytest.mark.parametrize("place", ['"tags": ["{}"]', '"attributes": {{"a": "{}"}}', '"attributes": {{"{}": 1}}'])
def test_what_is_no_text_is_refused_wherever_it_stands(
    client: FlaskClient, admin: dict[str, str], broken: str, place: str
) -> None:
    body = f'{{"sku": "A", "name": "B", "unit_price": "1", {place.format(broken)}}}'

    answer = client.post(ITEMS, data=body, content_type="application/json", headers=admin)

    assert_problem(answer, 422, "invalid_character")


@pytest.mark.parametrize(
    "attributes",
    [
        {"a": 2**53, "b": -(2**53), "c": 1e-300, "d": 0.1, "e": 9007199254740991.0, "f": 1.0, "g": 0},
        {"a": True, "b": False, "c": [], "d": "true", "e": "1"},
        {},
    ],
)
def test_attributes_come_back_as_they_were_sent(
    client: FlaskClient, admin: dict[str, str], attributes: dict[str, Any]
) -> None:
    headers = admin

    created = client.post(ITEMS, json=TEAPOT | {"attributes": attributes}, headers=headers).get_json()
    read = client.get(f"{ITEMS}/{created['id']}", headers=headers).get_json()["attributes"]

    assert read == attributes
    assert {name: type(value) for name, value in read.items()} == {k: type(v) for k, v in attributes.items()}


@pytest.mark.parametrize(("before", "after"), [(1, True), (True, 1), (1, 1.0), (0, False)])
def test_a_change_of_an_attributes_type_is_a_change(
    client: FlaskClient, make: Factory, admin: dict[str, str], before: object, after: object
) -> None:
    item, headers = make.item(attributes={"a": before}), admin

    client.patch(f"{ITEMS}/{item.id}", json={"attributes": {"a": after}}, headers=headers | MATCH)
    read = client.get(f"{ITEMS}/{item.id}", headers=headers).get_json()

    assert (read["attributes"], type(read["attributes"]["a"]), read["version"]) == ({"a": after}, type(after), 2)


@pytest.mark.parametrize("facts", [{"attributes": {"a": -0.0}}, {"tags": ["B", "a"]}, {"attributes": {"a": 1e-7}}])
def test_sending_the_same_again_changes_nothing(
    client: FlaskClient, admin: dict[str, str], facts: dict[str, Any]
) -> None:
    headers = admin
    path = client.post(ITEMS, json=TEAPOT | facts, headers=headers).headers["Location"]

    assert client.patch(path, json=facts, headers=headers | MATCH).headers["ETag"] == '"1"'


@pytest.mark.parametrize(
    "address",
    [
        "ftp://example.com/a.jpg",
        "javascript:alert(1)",
        "https://",
        "https:///a.jpg",
        "//example.com/a.jpg",
        "https://user:secret@example.com/a.jpg",
        "https://user@example.com/a.jpg",
        "https://example.com:99999/",
        "https://example.com:x/",
        "https://[::1/",
        "https://exa mple.com/",
        'https://example.com/"onload="x',
        "https://example.com/" + "a" * 2000,
        7,
    ],
)
def test_what_is_no_web_address_is_refused(client: FlaskClient, admin: dict[str, str], address: object) -> None:
    answer = client.post(ITEMS, json=TEAPOT | {"image_url": address}, headers=admin)

    assert_problem(answer, 422, field="image_url", code=answer.get_json()["error"]["code"])


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"reorder_point": -1}, "out_of_range"),
        ({"reorder_point": 1_000_001}, "out_of_range"),
        ({"reorder_point": "3"}, "invalid_type"),
        ({"reorder_quantity": 0}, "out_of_range"),
        ({"cost_price": 5.1}, "invalid_type"),
        ({"cost_price": "-1"}, "invalid_type"),
        ({"cost_price": "1.00001"}, "too_many_decimals"),
        ({"category": ""}, "wrong_length"),
        ({"category": "c" * 101}, "wrong_length"),
        ({"words": []}, "unknown_field"),
    ],
)
def test_a_fact_out_of_bounds_is_refused(
    client: FlaskClient, admin: dict[str, str], facts: dict[str, Any], code: str
) -> None:
    answer = client.post(ITEMS, json=TEAPOT | facts, headers=admin)

    assert_problem(answer, 422, code, *facts)


def test_an_item_that_nothing_names_is_deleted(
    client: FlaskClient, make: Factory, admin: dict[str, str], session: Session
) -> None:
    item, noise, headers = make.item(), make.item(), admin

    deleted = client.delete(f"{ITEMS}/{item.id}", headers=headers | MATCH)

    assert (deleted.status_code, deleted.data) == (204, b"")
    assert_problem(client.get(f"{ITEMS}/{item.id}", headers=headers), 404, "item_not_found")
    assert client.get(f"{ITEMS}/{noise.id}", headers=headers).status_code == 200
    event = session.scalars(select(Event).where(Event.type == "item.deleted")).one()
    assert (event.subject_id, event.data["sku"]) == (item.id, event.data["sku"])


def test_an_item_that_has_stock_or_orders_is_archived_and_not_deleted(
    client: FlaskClient, make: Factory, admin: dict[str, str], session: Session
) -> None:
    stocked, ordered, headers = make.item(stock=1), make.item(is_stocked=False), admin
    make.order((ordered, 1))

    for item in (stocked, ordered):
        answer = client.delete(f"{ITEMS}/{item.id}", headers=headers | MATCH)
        assert_problem(answer, 409, "item_in_use", None)
        assert client.get(f"{ITEMS}/{item.id}", headers=headers).status_code == 200
    assert session.scalars(select(Event).where(Event.type == "item.deleted")).all() == []


def test_a_stale_copy_deletes_nothing(client: FlaskClient, make: Factory, admin: dict[str, str]) -> None:
    item = make.item()

    assert_problem(client.delete(f"{ITEMS}/{item.id}", headers=admin), 428, "precondition_required")
    stale = client.delete(f"{ITEMS}/{item.id}", headers=admin | {"If-Match": '"2"'})
    assert_problem(stale, 412, "precondition_failed")
    assert client.get(f"{ITEMS}/{item.id}", headers=admin).status_code == 200


def test_archiving_and_restoring_happen_once_however_often_they_are_asked_for(
    client: FlaskClient, make: Factory, admin: dict[str, str], session: Session
) -> None:
    item, noise, headers = make.item(), make.item(), admin

    def post(verb: str) -> tuple[int, bool, int]:
        answer = client.post(f"{ITEMS}/{item.id}/{verb}", headers=headers)
        return answer.status_code, answer.get_json()["archived_at"] is not None, answer.get_json()["version"]

    assert [post("archive"), post("archive")] == [(200, True, 2)] * 2
    listed = client.get(ITEMS, headers=headers).get_json()["data"]
    archived = client.get(f"{ITEMS}?archived=true", headers=headers).get_json()["data"]
    assert ([row["id"] for row in listed], [row["id"] for row in archived]) == ([str(noise.id)], [str(item.id)])
    assert [post("restore"), post("restore")] == [(200, False, 3)] * 2
    told = session.execute(text("SELECT type, subject_id FROM events WHERE type ~ 'archived|restored' ORDER BY number"))
    assert told.all() == [("item.archived", item.id), ("item.restored", item.id)]


@pytest.mark.parametrize("verb", ["archive", "restore"])
def test_an_item_nobody_made_is_neither_archived_nor_restored(
    client: FlaskClient, admin: dict[str, str], verb: str
) -> None:
    path = f"{ITEMS}/0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45/{verb}"

    assert_problem(client.post(path, headers=admin), 404, "item_not_found", None)


def test_archiving_by_many_at_once_is_one_change(live_app: Flask) -> None:
    with committed(live_app) as make:
        headers, path = make.headers(), f"{ITEMS}/{make.item().id}/archive"
    request: dict[str, Any] = {"path": path, "method": "POST", "headers": headers}

    answers = at_once(live_app, *(request for _ in range(6)))

    assert [(answer.status_code, answer.get_json()["version"]) for answer in answers] == [(200, 2)] * 6
