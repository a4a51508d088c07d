"""`flask orders`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from flask.testing import FlaskCliRunner

from tests.stock.reading import Level, level

if TYPE_CHECKING:
    from click.testing import Result
    from flask import Flask
    from sqlalchemy.orm import Session

    from api.items.models import Item
    from api.locations.models import Location
    from tests.factories import Factory


def run(app: Flask, *arguments: str, answer: str = "") -> Result:
    with app.app_context():
        return FlaskCliRunner(app).invoke(args=["orders", *arguments], input=answer)


def told(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def place(make: Factory) -> Location:
    return make.location(code="MAIN")


@pytest.fixture
def item(make: Factory, place: Location) -> Item:
    return make.item(sku="TEAPOT", stock=10, at=place)


@pytest.fixture
def number(make: Factory, session: Session, item: Item) -> str:
    order = make.order((item, 4), reference="WEB-1", email="ada@example.com")
    make.order((item, 1), reference="WEB-2")
    session.commit()
    return order.number


def test_orders_are_listed_by_what_is_known_of_them(app: Flask, number: str) -> None:
    assert [row["reference"] for row in told(run(app, "list", "--json"))] == ["WEB-2", "WEB-1"]
    assert [row["number"] for row in told(run(app, "list", "--email", "ada@example.com", "--json"))] == [number]
    assert told(run(app, "list", "--status", "shipped", "--json")) == []
    assert told(run(app, "list", "--backordered", "--json")) == []
    assert number in run(app, "list", "--limit", "2").stdout


def test_an_order_is_shown_by_number_or_id(app: Flask, number: str) -> None:
    (whole,) = told(run(app, "show", number, "--json"))

    assert (whole["reference"], whole["lines"][0]["quantity"]) == ("WEB-1", 4)
    assert told(run(app, "show", whole["id"], "--json")) == [whole]
    assert "TEAPOT" in run(app, "show", number).stdout


def test_a_part_is_cancelled_and_then_the_rest(
    app: Flask, session: Session, item: Item, place: Location, number: str
) -> None:
    (part,) = told(run(app, "cancel", number, "TEAPOT=1", "--reason", "one too many", "--yes", "--json"))
    assert (part["status"], part["lines"][0]["cancelled_quantity"]) == ("placed", 1)
    (tried,) = told(run(app, "cancel", number, "--dry-run", "--json"))
    assert tried["status"] == "cancelled"
    assert level(session, item, place) == Level(10, 4), "a rehearsal changes nothing"
    assert run(app, "cancel", number, answer="n\n").exit_code == 1
    assert run(app, "cancel", number, answer="y\n").exit_code == 0
    assert level(session, item, place) == Level(10, 1)


def test_an_order_is_shipped_in_parts(app: Flask, session: Session, item: Item, place: Location, number: str) -> None:
    first = told(run(app, "ship", number, "TEAPOT=1", "--from", "MAIN", "--carrier", "Post", "--yes", "--json"))
    rest = told(run(app, "ship", number, "--tracking-number", "JD01", "--yes", "--json"))

    assert [(one["carrier"], one["lines"][0]["quantity"]) for one in (*first, *rest)] == [("Post", 1), (None, 3)]
    assert told(run(app, "show", number, "--json"))[0]["status"] == "shipped"
    assert level(session, item, place) == Level(6, 1)


def test_the_timeline_tells_everything_that_happened(app: Flask, number: str) -> None:
    run(app, "cancel", number, "TEAPOT=1", "--yes")
    run(app, "ship", number, "--yes")

    types = [event["type"] for event in told(run(app, "timeline", number, "--json"))]

    assert types == ["order.placed", "order.units_cancelled", "order.shipped"]
    assert "order.shipped" in run(app, "timeline", number).stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "SO-999999"], "no such order"),
        (["show", "nonsense"], "order"),
        (["cancel", "SO-999999", "--yes"], "no such order"),
        (["cancel", "{number}", "KETTLE=1", "--yes"], "no such line"),
        (["cancel", "{number}", "TEAPOT=99", "--yes"], "4"),
        (["ship", "{number}", "TEAPOT=99", "--yes"], "4"),
        (["ship", "{number}", "--from", "NOWHERE", "--yes"], "no such location"),
        (["timeline", "SO-999999"], "no such order"),
    ],
    ids=["show", "nonsense", "cancel", "unknown line", "too many", "ship too many", "no place", "timeline"],
)
def test_what_cannot_be_done_is_said_in_a_sentence(app: Flask, number: str, arguments: list[str], said: str) -> None:
    result = run(app, *(argument.replace("{number}", number) for argument in arguments))

    assert result.exit_code == 2, result.output
    assert said in result.output
    assert "Traceback" not in result.output
