"""`flask items`."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, func, select

from api.items import service, tables
from api.items.models import Item

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result
    from flask import Flask
    from sqlalchemy.orm import Session

    from tests.factories import Factory

AWKWARD: dict[str, Any] = {
    "sku": "AWKWARD",
    "name": '=SUM(A1), "quoted"',
    "description": "'=two\r\nlines | and 'more'",
    "unit_price": Decimal("0.001"),
    "cost_price": Decimal("5.10"),
    "category": "'",
    "tags": ["@home", "a|b", "c\\|d", "ü"],
    "attributes": {"k": "=1", "n": 3, "l": ["x", "y"], "t": True, "f": 0.5},
    "barcode": "0012345678905",
    "image_url": "https://example.com/a,b",
    "reorder_point": 0,
    "reorder_quantity": 12,
    "unit": "ml",
    "is_stocked": False,
}


def run(app: Flask, *args: str, stdin: str | bytes | None = None) -> Result:
    return app.test_cli_runner().invoke(args=["items", *args], input=stdin)


def test_items_are_listed_as_a_table_and_as_json(app: Flask, make: Factory) -> None:
    make.item(sku="A", name="Teapot", category="Ware", tags=["x"], cost_price=Decimal(3))
    make.item(sku="B", name="Teapot")
    make.item(sku="C", name="Noise")

    table = run(app, "list", "--q", "teepot")
    rows = json.loads(run(app, "list", "--category", "Ware", "--tag", "X", "--json").output)

    assert ("Teapot" in table.output, "Noise" in table.output) == (True, False)
    assert [(row["sku"], row["cost_price"]) for row in rows] == [("A", "3.00")]


def test_a_list_says_when_there_is_more(app: Flask, make: Factory, session: Session) -> None:
    for sku in "CAB":
        make.item(sku=sku)
    service.archive(session, make.item(sku="Z").id, by=make.by)

    result = run(app, "list", "--limit", "2", "--sort=-sku", "--json")

    assert [row["sku"] for row in json.loads(result.stdout)] == ["C", "B"]
    assert "more than these 2" in result.stderr
    assert [row["sku"] for row in json.loads(run(app, "list", "--archived", "--json").stdout)] == ["Z"]


def test_an_option_that_means_nothing_is_refused_in_a_sentence(app: Flask, session: Session) -> None:
    assert session.is_active

    result = run(app, "list", "--sort", "price")

    assert (result.exit_code, "no sorting by" in result.output) == (2, True)


def test_an_item_is_shown_by_sku_and_by_id(app: Flask, make: Factory) -> None:
    item = make.item(sku="Teapot", attributes={"cups": 4}, tags=["x", "y"])

    table = run(app, "show", "teapot").output
    shown = json.loads(run(app, "show", str(item.id), "--json").output)

    assert '{"cups":4}' in table
    assert "x, y" in table
    assert (shown["sku"], shown["attributes"], "cost_price" in shown) == ("Teapot", {"cups": 4}, True)
    assert shown["created_at"].endswith("Z")


@pytest.mark.parametrize("name", ["nothing", "0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45"])
def test_an_item_nobody_made_is_not_shown(app: Flask, session: Session, name: str) -> None:
    assert session.is_active

    result = run(app, "show", name)

    assert (result.exit_code, "There is no such item." in result.output) == (2, True)


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_importing_what_was_exported_changes_nothing(app: Flask, make: Factory, tmp_path: Path, form: str) -> None:
    make.item(**AWKWARD)
    make.item(sku="PLAIN")
    file = tmp_path / f"items.{form}"

    exported = run(app, "export", str(file))
    result = run(app, "import", str(file), "--json")

    assert (exported.exit_code, result.exit_code) == (0, 0), result.output
    assert json.loads(result.output)["counts"] == {"created": 0, "updated": 0, "unchanged": 2}


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_what_was_exported_makes_the_same_items_elsewhere(
    app: Flask, make: Factory, session: Session, form: str
) -> None:
    make.item(**AWKWARD)
    exported = run(app, "export", "--format", form).stdout_bytes
    session.execute(delete(Item))

    result = run(app, "import", "-", "--format", form, stdin=exported)

    assert result.exit_code == 0, result.output
    session.expire_all()
    item = session.scalars(select(Item)).one()
    assert {name: getattr(item, name) for name in AWKWARD} == AWKWARD


def test_cells_that_a_spreadsheet_would_run_are_guarded(app: Flask, make: Factory) -> None:
    make.item(**AWKWARD)

    (row,) = csv.DictReader(io.StringIO(run(app, "export").output, newline=""))

    assert row["name"].startswith("'=SUM")
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row.values())


@given(st.text())
def test_a_guard_is_taken_away_as_it_was_put(cell: str) -> None:
    guarded = tables._guarded(cell)  # noqa: SLF001  # the pair has no other door

    assert tables._unguarded(guarded) == cell  # noqa: SLF001
    assert not guarded.startswith(("=", "@", "\t", "\r"))


@given(st.lists(st.text(min_size=1).filter(lambda tag: not {"\0", "\1"} & set(tag))))
def test_tags_come_out_of_a_cell_as_they_went_in(tags: list[str]) -> None:
    cell = tables._cell("tags", tags)  # noqa: SLF001

    assert [tag.replace("\0", "|").replace("\1", "\\") for tag in tables._split(cell)] == tags  # noqa: SLF001


def test_an_empty_cell_takes_away_what_can_be_taken_away(app: Flask, make: Factory, session: Session) -> None:
    item = make.item(**AWKWARD)

    result = run(
        app, "import", "-", stdin="\ufeffSKU,name,unit_price,unit,category,tags,reorder_point\nawkward,,,,,,\n"
    )

    assert result.exit_code == 0, result.output
    session.expire_all()
    assert (item.name, item.unit, item.category, item.tags, item.reorder_point) == (
        AWKWARD["name"],
        "ml",
        None,
        [],
        None,
    )
    assert item.attributes == AWKWARD["attributes"]


def test_every_bad_row_is_reported_and_nothing_is_written(app: Flask, make: Factory, session: Session) -> None:
    make.item(sku="OLD")
    session.commit()  # within the test's own transaction
    lines = [f"S{number},Good,1.00,,," for number in range(1500)]
    lines[3] = 'S3,"two\nlines",x,,,'
    lines[1200] = "S7,Again,1.00,,,"
    lines[1300] = "NEW,,,,,"
    lines[1400] = "OLD,Fine,1.00,,,4"
    text = "sku,name,unit_price,barcode,is_stocked,version\n" + "\n".join(lines) + "\n"

    result = run(app, "import", "-", "--json", stdin=text)

    report = json.loads(result.output)
    assert result.exit_code == 1
    assert [(one["line"], one["column"], one["code"]) for one in report["problems"]] == [
        (5, "name", "invalid_character"),
        (5, "unit_price", "invalid_type"),
        (1203, "sku", "repeated_sku"),
        (1303, "name", "required"),
        (1303, "unit_price", "required"),
        (1403, "version", "stale_version"),
    ]
    assert all(one["reason"] for one in report["problems"])
    assert session.scalar(select(func.count(Item.id))) == 1
    assert "repeated" in run(app, "import", "-", stdin=text).output


def test_a_line_that_is_no_json_is_a_bad_row(app: Flask, session: Session) -> None:
    good = json.dumps({"sku": "A", "name": "A", "unit_price": "1"})

    result = run(app, "import", "-", "--format", "ndjson", "--json", stdin=f"{good}\n\n{{nonsense\n[1]\n{good[:-1]}\n")

    assert result.exit_code == 1
    assert [(one["line"], one["code"]) for one in json.loads(result.output)["problems"]] == [
        (3, "invalid_type"),
        (4, "invalid_type"),
        (5, "invalid_type"),
    ]
    assert session.scalar(select(func.count(Item.id))) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Line 1"),
        ("name\nA\n", "Line 1"),
        ("sku,sku\nA,B\n", "Line 1"),
        ("sku,name\nA\n", "Line 2: There are 1 cells under 2 columns."),
        ('sku,name\nA,"B" C\n', "Line 2"),
        ('sku,name\nA,"B', "Line 2"),
    ],
)
def test_a_table_that_is_none_is_refused_in_a_sentence(app: Flask, session: Session, text: str, said: str) -> None:
    assert session.is_active

    result = run(app, "import", "-", stdin=text)

    assert (result.exit_code, said in result.output, "Traceback" in result.output) == (2, True, False), result.output


def test_a_file_that_is_not_utf_8_is_refused_in_a_sentence(app: Flask, session: Session, tmp_path: Path) -> None:
    assert session.is_active
    (tmp_path / "items.csv").write_bytes(b"sku,name\nA,\xff\n")

    result = run(app, "import", str(tmp_path / "items.csv"))

    assert (result.exit_code, "Line 2: It is not UTF-8." in result.output) == (2, True)


def test_a_dry_run_says_what_would_be_and_keeps_nothing(app: Flask, session: Session) -> None:
    text = "sku,name,unit_price\n" + "".join(f"S{number},Some,1\n" for number in range(1001))

    dry = json.loads(run(app, "import", "-", "--dry-run", "--json", stdin=text).output)
    kept = session.scalar(select(func.count(Item.id)))
    real = run(app, "import", "-", stdin=text)

    expected: dict[str, Any] = {"created": 1001, "updated": 0, "unchanged": 0}
    assert (dry["counts"], kept) == (expected, 0)
    assert ("1001" in real.output, session.scalar(select(func.count(Item.id)))) == (True, 1001)
