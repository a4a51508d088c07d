from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from api.demo.cli import SAMPLE, load_sample
from api.extensions import db
from api.stock import service as stock
from tests.demo.files import line, write

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result
    from flask import Flask

FIGURES = {
    "orders": 604,
    "lines": 12_686,
    "gross": "263961.96",
    "currency": "GBP",
    "items": 2_039,
    "codes_folded": 26,
    "units": 143_098,
    "units_cancelled": 709,
    "lines_read": 13_075,
    "buckets": {
        "sale": 12_686,
        "cancelled": 53,
        "cancelled_in_part": 0,
        "unmatched": 242,
        "no_customer": 14,
        "not_negative": 0,
        "adjustment": 1,
        "no_units": 53,
        "no_price": 26,
        "too_long": 0,
        "too_late": 0,
        "malformed": 0,
    },
    "malformed": [],
    "differences": 0,
}


def run(app: Flask, *arguments: str | Path) -> Result:
    return app.test_cli_runner().invoke(args=["demo", "load", *map(str, arguments)])


def count(table: str) -> int:
    return int(db.session.scalar(text(f"SELECT count(*) FROM {table}")))  # noqa: S608  # the test's own words


def test_the_sample_gives_exactly_these_figures(live_app: Flask) -> None:
    result = run(live_app, SAMPLE, "--json")

    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert figures.pop("seconds") > 0
    assert figures.pop("lines_per_second") > 0
    assert figures == FIGURES
    with live_app.app_context():
        assert stock.verify(db.session()).agrees
        assert count("orders WHERE placed_at >= '2010-07-12' AND placed_at < '2010-07-23'") == 604
        assert count("order_lines WHERE cancelled_quantity > 0") > 0
        assert count("allocations AS a JOIN order_lines AS l ON (order_id, l.line_no) = (owner_id, a.line_no)") > 12_000
        db.session.remove()


def test_the_demonstration_loads_the_sample_once(live_app: Flask) -> None:
    with live_app.app_context():
        summary = load_sample()
        again = load_sample()
        orders = count("orders")
        db.session.remove()

    assert summary is not None
    assert summary.startswith("604 orders, 12,686 lines, £263,961.96 gross")
    assert again is None
    assert orders == 604


def test_the_demonstration_leaves_other_peoples_data_alone(live_app: Flask, tmp_path: Path) -> None:
    run(live_app, write(tmp_path, line()))

    with live_app.app_context():
        assert load_sample() is None
        assert count("orders") == 1
        db.session.remove()


def test_people_are_told_what_was_loaded_and_what_became_of_every_line(live_app: Flask, tmp_path: Path) -> None:
    file = write(
        tmp_path,
        line(quantity="1000", price="1.2345", stockcode="85048x"),
        line(stockcode="85048X"),
        line(invoice="C2", quantity="-1", stockcode="85048x", invoicedate="2009-12-02 08:00:00"),
        line(quantity="many"),
    )

    result = run(live_app, file)

    assert result.exit_code == 0, result.output
    assert "Loaded 1 order, 2 lines, £1,317.90 gross." in result.output
    assert "1 item; 1 code differed" in result.output
    assert "1,012 units, 1 of them cancelled." in result.output
    assert "Line 5: Quantity 'many' is not a whole number." in result.output
    assert "Ledger, balances, promises and orders agree." in result.output
    assert "order lines per second" in result.output
    cells = [row.replace("│", " ").split() for row in result.output.splitlines()]
    assert ["sale", "2"] in cells
    assert ["malformed", "1"] in cells
    assert ["in", "all", "4"] in cells


def test_of_many_malformed_lines_the_first_are_shown_and_json_has_all(live_app: Flask, tmp_path: Path) -> None:
    lines = [line(quantity="many")] * 23

    shown = run(live_app, write(tmp_path, line(), *lines)).output
    listed = json.loads(run(live_app, write(tmp_path, line(invoice="2"), *lines), "--json").stdout)

    assert "Line 22: " in shown
    assert "Line 23: " not in shown
    assert "3 more malformed lines" in shown
    assert [one["line"] for one in listed["malformed"]] == list(range(3, 26))


def test_only_the_days_asked_for_are_loaded(live_app: Flask, tmp_path: Path) -> None:
    file = write(tmp_path, line(invoice="1"), line(invoice="2", invoicedate="2009-12-02 08:00:00"))

    figures = json.loads(run(live_app, file, "--limit-days", "1", "--json").stdout)

    assert (figures["orders"], figures["buckets"]["too_late"]) == (1, 1)


def test_loading_twice_is_refused_and_changes_nothing(live_app: Flask, tmp_path: Path) -> None:
    run(live_app, write(tmp_path, line()))

    result = run(live_app, write(tmp_path, line(), line(invoice="2", stockcode="NEW")))

    assert result.exit_code == 2
    assert "numbers of this file exist already (489434, 1 in all); nothing was loaded." in result.output
    with live_app.app_context():
        assert [count(table) for table in ("orders", "items", "stock_movements")] == [1, 1, 2]
        db.session.remove()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read: No such file or directory."),
        ("sku,name\n", "has other columns than Invoice, StockCode"),
        ("Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country\n", "contains no sale."),
    ],
    ids=["missing", "other columns", "nothing in it"],
)
def test_a_file_that_cannot_be_loaded_ends_with_a_sentence_and_code_2(
    live_app: Flask, tmp_path: Path, content: str | None, sentence: str
) -> None:
    file = tmp_path / "invoices.csv"
    if content is not None:
        file.write_text(content, "utf-8")

    result = run(live_app, file)

    assert result.exit_code == 2
    assert sentence in result.output
    assert "Traceback" not in result.output
