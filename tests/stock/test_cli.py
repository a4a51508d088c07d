"""`flask stock receive`, `adjust`, `show` and what `audit` advises."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from tests.stock.reading import Level, differences, ledger, level

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result
    from flask import Flask
    from sqlalchemy.orm import Session

    from api.items.models import Item
    from api.locations.models import Location
    from tests.factories import Factory


def run(app: Flask, *arguments: str, answer: str | None = None) -> Result:
    return app.test_cli_runner().invoke(args=["stock", *arguments], input=answer)


class TestReceive:
    def test_takes_stock_in_with_what_it_cost_and_when_it_came(
        self, app: Flask, session: Session, item: Item, place: Location
    ) -> None:
        line = f"{item.sku.lower()}=24@5.10"
        result = run(
            app, "receive", "main", line, "--reference", "DN-1", "--occurred-at", "2026-05-17T09:30:00Z", "--json"
        )

        (shown,) = json.loads(result.stdout)
        (row,) = ledger(session, item)
        assert (shown["quantity"], shown["value"], shown["occurred_at"]) == (24, "122.40", "2026-05-17T09:30:00Z")
        assert (row.on_hand, str(row.value), row.reference, row.actor_id) == (24, "122.4000", "DN-1", None)
        assert level(session, item, place) == Level(24, 0)

    def test_rehearsed_keeps_nothing(self, app: Flask, session: Session, item: Item, place: Location) -> None:
        result = run(app, "receive", "MAIN", f"{item.sku}=24", "--dry-run")

        assert result.exit_code == 0
        assert "Would be written" in result.stdout
        assert level(session, item, place) == Level(0, 0)

    @pytest.mark.parametrize(
        ("line", "sentence"),
        [
            ("NONE=1", "Line 1: There is no such item."),
            ("CUP", "sku"),
            ("CUP=", "quantity"),
            ("CUP=x", "quantity"),
            ("CUP=0", "quantity"),
            ("CUP=1@", "unit_cost"),
            ("CUP=1@free", "unit_cost"),
        ],
    )
    def test_says_what_is_wrong_with_a_line(self, app: Flask, line: str, sentence: str) -> None:
        result = run(app, "receive", "MAIN", line)

        assert result.exit_code == 2
        assert sentence in result.stderr

    def test_knows_no_place_that_does_not_exist(self, app: Flask, item: Item) -> None:
        result = run(app, "receive", "ELSEWHERE", f"{item.sku}=1")

        assert (result.exit_code, "There is no such location." in result.stderr) == (2, True)


class TestAdjust:
    def test_asks_before_it_takes_away(self, app: Flask, session: Session, item: Item, place: Location) -> None:
        run(app, "receive", "MAIN", f"{item.sku}=10")

        refused = run(app, "adjust", "MAIN", f"{item.sku}=-3", "--reason", "damaged", answer="n")
        agreed = run(app, "adjust", "MAIN", f"{item.sku}=-2", "--reason", "damaged", answer="y")
        added = run(app, "adjust", "MAIN", f"{item.sku}=+5", "--reason", "found")
        unasked = run(app, "adjust", "MAIN", f"{item.sku}=-1", "--reason", "lost", "--yes")

        assert "Take 3 units away at MAIN?" in refused.stderr
        assert [one.exit_code for one in (refused, agreed, added, unasked)] == [1, 0, 0, 0]
        assert level(session, item, place) == Level(12, 0)


class TestShow:
    def test_tells_where_an_item_lies_and_what_it_is_worth_now_and_then(
        self, app: Flask, item: Item, place: Location
    ) -> None:
        run(app, "receive", "MAIN", f"{item.sku}=10@2.00", "--occurred-at", "2026-05-17T09:30:00Z")
        run(app, "receive", "MAIN", f"{item.sku}=5@2.00")

        now = run(app, "show", item.sku)
        then = run(app, "show", item.sku, "--as-of", "2026-05-18T00:00:00Z", "--json")

        assert all(word in now.stdout for word in (place.code, "15", "30.00"))
        (row,) = json.loads(then.stdout)
        assert (row["on_hand"], row["value"]) == (10, "20.00")

    def test_of_what_does_not_exist_is_refused(self, app: Flask) -> None:
        result = run(app, "show", "NONE")

        assert (result.exit_code, "There is no such item." in result.stderr) == (2, True)


class TestTheFixReport:
    def test_tells_who_wrote_last_and_what_would_set_it_right(
        self, app: Flask, session: Session, make: Factory, item: Item, place: Location, tmp_path: Path
    ) -> None:
        make.receive(item, 10, at=place)
        session.execute(text("UPDATE stock_levels SET on_hand = 12"))
        report = tmp_path / "report.json"

        result = run(app, "audit", "--fix-report", str(report))

        (found,) = json.loads(report.read_text("utf-8"))
        assert result.exit_code == 1
        assert (found["found"], found["expected"], found["sequence"]) == (12, 10, 1)
        assert len(differences(session)) == 1, "it only tells"
        session.execute(text(found["remedy"]))
        assert differences(session) == []

    def test_is_empty_where_all_is_well(self, app: Flask, tmp_path: Path) -> None:
        report = tmp_path / "report.json"

        assert run(app, "audit", "--fix-report", str(report)).exit_code == 0
        assert json.loads(report.read_text("utf-8")) == []


@pytest.fixture
def place(make: Factory) -> Location:
    return make.location(code="MAIN")


@pytest.fixture(autouse=True)
def item(make: Factory, place: Location) -> Item:  # noqa: ARG001  # commands name both
    return make.item(sku="CUP", name="A cup")
