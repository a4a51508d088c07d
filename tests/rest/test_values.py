"""Single values: each field accepts one spelling and refuses every other, on creation and on change."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from tests.factories import Factory

ARABIC_FIVE = "\N{ARABIC-INDIC DIGIT FIVE}"
FULL_WIDTH_ONE = "\N{FULLWIDTH DIGIT ONE}"
NOT_INTEGERS = ["5", 1.9, 5.0, True, False, "", "1_0", ARABIC_FIVE, [], {}, [5], "1e3", "0x10"]
NOT_QUANTITIES = [0, -1, 1_000_001, 2**31, 2**63, 2**64, -(2**63), 10**40]
NOT_PRICES = [
    *["1e1000000", "1E2", "NaN", "sNaN", "Infinity", "-0", "-1", "+1", "1_000", " 1 ", "1 ", "1,00", "1.", ".5"],
    *["00.5", "01", "", "0x1", ARABIC_FIVE, FULL_WIDTH_ONE, "1\n", "9" * 19, "1." + "0" * 31, "9" * 100_000],
    *[1, 2.5, 0, True, [], {}, ["1"]],
]
JSON = "application/json"
ITEM = {"sku": "NEW-1", "name": "New", "unit_price": "1.00"}

ITEM_VALUES = [
    *[("unit_price", value, "invalid_type") for value in NOT_PRICES],
    ("unit_price", "1.00005", "too_many_decimals"),
    ("unit_price", "1.00000", "too_many_decimals"),
    ("unit_price", "10000000000", "out_of_range"),
    ("unit_price", None, "null_not_allowed"),
    ("name", None, "null_not_allowed"),
    ("name", "", "wrong_length"),
    ("name", "   ", "wrong_length"),
    ("name", "\N{NO-BREAK SPACE}", "wrong_length"),
    ("name", "a" * 201, "wrong_length"),
    ("name", "a" * 1_000_000, "wrong_length"),
    ("name", "\N{LATIN SMALL LETTER E WITH ACUTE}" * 201, "wrong_length"),
    ("name", 12, "invalid_type"),
    ("name", ["a"], "invalid_type"),
    ("name", {"a": "b"}, "invalid_type"),
    ("name", True, "invalid_type"),
    ("name", "a\tb", "invalid_character"),
    ("name", "a\nb", "invalid_character"),
    ("name", "a\x1b[31mb", "invalid_character"),
    ("name", "a\x7fb", "invalid_character"),
    ("name", "a\N{RIGHT-TO-LEFT OVERRIDE}b", "invalid_character"),
    ("name", "a\N{RIGHT-TO-LEFT ISOLATE}b", "invalid_character"),
    ("name", "a\N{ZERO WIDTH SPACE}b", "invalid_character"),
    ("name", "a\N{ZERO WIDTH NO-BREAK SPACE}b", "invalid_character"),
    ("name", "a\N{SOFT HYPHEN}b", "invalid_character"),
    ("name", "a\x85b", "invalid_character"),
    ("sku", None, "null_not_allowed"),
    ("sku", "", "wrong_length"),
    ("sku", "a" * 65, "wrong_length"),
    ("sku", "a" * 1_000_000, "wrong_length"),
    ("sku", "-a", "invalid_format"),
    ("sku", "a-", "invalid_format"),
    ("sku", "a;DROP TABLE items", "invalid_format"),
    ("sku", "\N{CYRILLIC SMALL LETTER A}bc", "invalid_format"),
    ("sku", FULL_WIDTH_ONE, "invalid_format"),
    ("sku", "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}", "invalid_format"),
    ("sku", 22423, "invalid_type"),
    ("sku", "a\n", "invalid_character"),
    ("description", "a" * 5001, "wrong_length"),
    ("description", "a\x0bb", "invalid_character"),
    ("description", 1, "invalid_type"),
]


def _ids(rows: list[tuple[str, Any, str]]) -> list[Any]:
    return [
        pytest.param(*row, id=f"{number} {row[0]} {ascii(row[1])[:25]}".replace("\\", "/"))
        for number, row in enumerate(rows)
    ]


@pytest.mark.parametrize(("field", "value", "code"), _ids(ITEM_VALUES))
def test_an_item_with_a_wrong_value_is_refused_new_and_changed(
    client: FlaskClient, make: Factory, admin: dict[str, str], field: str, value: object, code: str
) -> None:
    item = make.item(name="As it was")

    created = client.post("/api/v1/items", json=ITEM | {field: value}, headers=admin)
    changed = client.patch(f"/api/v1/items/{item.id}", json={field: value}, headers=admin | {"If-Match": '"1"'})

    assert_problem(created, 422, code, field)
    assert_problem(changed, 422, code, field)
    assert (item.version, item.name) == (1, "As it was")


@pytest.mark.parametrize(
    ("field", "value", "code"),
    _ids(
        [
            ("unit", "kg", "unknown_choice"),
            ("unit", "EACH", "unknown_choice"),
            ("unit", None, "null_not_allowed"),
            ("is_stocked", "true", "invalid_type"),
            ("is_stocked", 1, "invalid_type"),
            ("is_stocked", 0, "invalid_type"),
            ("is_stocked", "yes", "invalid_type"),
            ("is_stocked", None, "null_not_allowed"),
        ]
    ),
)
def test_a_new_item_of_an_unknown_kind_is_refused(
    client: FlaskClient, admin: dict[str, str], field: str, value: object, code: str
) -> None:
    assert_problem(client.post("/api/v1/items", json=ITEM | {field: value}, headers=admin), 422, code, field)


@pytest.mark.parametrize(
    "field",
    ["id", "version", "created_at", "updated_at", "archived_at", "role", "is_admin", "price", "customer_id", "tenant"],
)
def test_an_item_cannot_be_given_what_is_not_the_callers_to_give(
    client: FlaskClient, make: Factory, admin: dict[str, str], field: str
) -> None:
    item = make.item()

    created = client.post("/api/v1/items", json=ITEM | {field: "1"}, headers=admin)
    changed = client.patch(f"/api/v1/items/{item.id}", json={field: "1"}, headers=admin | {"If-Match": '"1"'})

    assert_problem(created, 422, "unknown_field", field)
    assert_problem(changed, 422, "unknown_field", field)


@pytest.mark.parametrize("field", ["unit", "is_stocked"])
def test_what_an_item_is_counted_in_cannot_change(
    client: FlaskClient, make: Factory, admin: dict[str, str], field: str
) -> None:
    item = make.item()

    response = client.patch(f"/api/v1/items/{item.id}", json={field: "g"}, headers=admin | {"If-Match": '"1"'})

    assert_problem(response, 422, "unknown_field", field)


@pytest.mark.parametrize(
    "field",
    ["id", "number", "status", "paid_total", "total", "currency", "version", "placed_at", "created_at", "discount"],
)
def test_an_order_cannot_be_given_what_is_not_the_callers_to_give(
    client: FlaskClient, make: Factory, admin: dict[str, str], field: str
) -> None:
    lines = [{"item_id": str(make.item(stock=5).id), "quantity": 1}]

    response = client.post("/api/v1/orders", json={"lines": lines, field: "1"}, headers=admin)

    assert_problem(response, 422, "unknown_field", field)


@pytest.mark.parametrize(("path", "body"), [("/api/v1/users", {}), ("/api/v1/locations", {}), ("/api/v1/items", {})])
def test_required_fields_are_named_when_they_are_missing(
    client: FlaskClient, admin: dict[str, str], path: str, body: dict[str, Any]
) -> None:
    details = assert_problem(client.post(path, json=body, headers=admin), 422, "required")

    assert {problem["code"] for problem in details} == {"required"}
    assert len(details) >= 2


QUANTITIES = [
    *[("quantity", value, "invalid_type") for value in NOT_INTEGERS],
    *[("quantity", value, "out_of_range") for value in NOT_QUANTITIES],
    ("quantity", None, "null_not_allowed"),
]


@pytest.mark.parametrize(("field", "value", "code"), _ids(QUANTITIES))
def test_no_proper_quantity_is_refused_in_an_order_and_in_a_receipt(
    client: FlaskClient, make: Factory, admin: dict[str, str], field: str, value: object, code: str
) -> None:
    good = {"item_id": str(make.item(stock=9).id), "quantity": 1}
    lines = {"lines": [good, good | {field: value}]}
    receipt = json.dumps(lines | {"location_id": str(make.location().id)})  # orjson writes no more than 64 bits

    ordered = client.post("/api/v1/orders", data=json.dumps(lines), content_type=JSON, headers=admin)
    received = client.post("/api/v1/stock/receipts", data=receipt, content_type=JSON, headers=admin)

    assert_problem(ordered, 422, code, f"lines.1.{field}")
    assert_problem(received, 422, code, f"lines.1.{field}")


@pytest.mark.parametrize("value", [0, 1_000_001, -1_000_001, 2**63, -(2**63)])
def test_an_adjustment_by_an_impossible_quantity_is_refused(
    client: FlaskClient, make: Factory, admin: dict[str, str], value: int
) -> None:
    body = {
        "location_id": str(make.location().id),
        "reason": "found",
        "lines": [{"item_id": str(make.item().id), "quantity": value}],
    }

    response = client.post("/api/v1/stock/adjustments", json=body, headers=admin)

    assert_problem(response, 422, "out_of_range", "lines.0.quantity")


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("1", "invalid_type"),
        (1.5, "invalid_type"),
        (True, "invalid_type"),
        (None, "null_not_allowed"),
        (-1, "out_of_range"),
        (1001, "out_of_range"),
        (2**31, "out_of_range"),
        (2**63, "out_of_range"),
    ],
)
def test_a_location_of_an_impossible_priority_is_refused(
    client: FlaskClient, make: Factory, admin: dict[str, str], value: object, code: str
) -> None:
    location = make.location()
    match = admin | {"If-Match": '"1"'}

    created = client.post("/api/v1/locations", json={"code": "N", "name": "New", "priority": value}, headers=admin)
    changed = client.patch(f"/api/v1/locations/{location.id}", json={"priority": value}, headers=match)

    assert_problem(created, 422, code, "priority")
    assert_problem(changed, 422, code, "priority")


@pytest.mark.parametrize(
    "value",
    [
        "not-a-uuid",
        "0198c1f03f9e7c3a9d0e2b8f1c6a7d45",
        "{0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45}",
        "urn:uuid:0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45",
        " 0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45",
        "0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d4" + FULL_WIDTH_ONE,
        "",
        12,
        True,
        [],
        {},
    ],
)
def test_an_item_id_in_any_other_form_is_refused(client: FlaskClient, admin: dict[str, str], value: object) -> None:
    response = client.post("/api/v1/orders", json={"lines": [{"item_id": value, "quantity": 1}]}, headers=admin)

    assert_problem(response, 422, "invalid_format", "lines.0.item_id")


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({"a": 1}, "metadata.a.value"),
        ({"a": None}, "metadata.a.value"),
        ({"a": {"b": "c"}}, "metadata.a.value"),
        ({"a": "b" * 501}, "metadata.a.value"),
        ({"a" * 41: "b"}, f"metadata.{'a' * 41}.key"),
        ({"": "b"}, "metadata..key"),
        ({f"key{number}": "x" for number in range(51)}, "metadata"),
        ([], "metadata"),
        ("text", "metadata"),
        (None, "metadata"),
    ],
)
def test_metadata_that_is_more_than_a_few_strings_is_refused(
    client: FlaskClient, make: Factory, admin: dict[str, str], metadata: object, field: str
) -> None:
    lines = [{"item_id": str(make.item(stock=5).id), "quantity": 1}]

    response = client.post("/api/v1/orders", json={"lines": lines, "metadata": metadata}, headers=admin)

    assert response.status_code == 422
    assert_problem(response, 422, response.get_json()["error"]["code"], field)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("0", "0.00"),
        ("0.001", "0.001"),
        ("2.5", "2.50"),
        ("2.5500", "2.55"),
        ("12.3456", "12.3456"),
        ("9999999999.9999", "9999999999.9999"),
    ],
)
def test_a_price_is_kept_to_the_last_place(client: FlaskClient, admin: dict[str, str], sent: str, shown: str) -> None:
    created = client.post("/api/v1/items", json=ITEM | {"unit_price": sent}, headers=admin)
    read = client.get(created.headers["Location"], headers=admin)

    assert read.get_json()["unit_price"] == shown
    assert Decimal(shown) == Decimal(sent)


def test_a_name_is_kept_in_one_normal_form_and_trimmed(client: FlaskClient, admin: dict[str, str]) -> None:
    decomposed = " Cafe\N{COMBINING ACUTE ACCENT} \N{GRINNING FACE} "

    created = client.post("/api/v1/items", json=ITEM | {"name": decomposed}, headers=admin)

    assert created.get_json()["name"] == "Caf\N{LATIN SMALL LETTER E WITH ACUTE} \N{GRINNING FACE}"


def test_a_description_may_have_several_lines(client: FlaskClient, admin: dict[str, str]) -> None:
    created = client.post("/api/v1/items", json=ITEM | {"description": "one\n\ttwo"}, headers=admin)

    assert created.get_json()["description"] == "one\n\ttwo"


def test_markup_in_a_name_goes_out_as_data(client: FlaskClient, admin: dict[str, str]) -> None:
    created = client.post("/api/v1/items", json=ITEM | {"name": "<script>alert(1)</script>"}, headers=admin)

    assert created.get_json()["name"] == "<script>alert(1)</script>"
    assert created.mimetype == "application/json"
    assert created.headers["X-Content-Type-Options"] == "nosniff"
