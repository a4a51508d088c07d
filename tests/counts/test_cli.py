"""`flask stock count`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.stock.reading import Level, level

if TYPE_CHECKING:
    from click.testing import Result
    from flask import Flask
    from sqlalchemy.orm import Session

    from api.items.models import Item
    from api.locations.models import Location
    from tests.factories import Factory


def test_a_count_is_opened_filled_and_posted_by_the_code_of_its_location(
    app: Flask, session: Session, place: Location, item: Item
) -> None:
    opened = run(app, "open", place.code, "--reference", "ST-1", "--json")
    entered = run(app, "enter", place.code, f"{item.sku}=4")
    recounted = run(app, "enter", place.code, f"{item.sku}=9", "--recount", "--json")
    shown = run(app, "show", place.code, "--differing")
    posted = run(app, "post", place.code, "--json")

    assert [result.exit_code for result in (opened, entered, recounted, shown, posted)] == [0] * 5
    assert json.loads(opened.stdout)[0]["reference"] == "ST-1"
    assert json.loads(recounted.stdout)[0]["quantity"] == 9
    assert item.sku in shown.stdout
    assert (json.loads(posted.stdout)[0]["status"], json.loads(posted.stdout)[0]["items_differing"]) == ("posted", 1)
    assert level(session, item, place) == Level(9, 0)


def test_a_count_that_is_over_is_shown_by_its_id(app: Flask, place: Location, item: Item) -> None:
    count_id = json.loads(run(app, "open", place.code, "--json").stdout)[0]["id"]
    run(app, "enter", count_id, f"{item.sku}=0")
    run(app, "cancel", count_id)

    by_id, by_code = run(app, "show", count_id, "--json"), run(app, "show", place.code)

    assert json.loads(by_id.stdout)[0]["counted"] == 0
    assert (by_code.exit_code, by_code.stderr) == (2, "Error: There is no such stock count.\n")


def test_a_rehearsal_shows_the_end_and_keeps_nothing(app: Flask, session: Session, place: Location, item: Item) -> None:
    run(app, "open", place.code)
    run(app, "enter", place.code, f"{item.sku}=9")

    result = run(app, "post", place.code, "--uncounted", "zero", "--dry-run")

    assert result.exit_code == 0
    assert "Would be posted" in result.stdout
    assert level(session, item, place) == Level(10, 0)
    assert run(app, "cancel", place.code).exit_code == 0


def test_nothing_uncounted_is_booked_away_without_consent(
    app: Flask, session: Session, place: Location, item: Item
) -> None:
    run(app, "open", place.code)
    uncounted = run(app, "show", place.code, "--uncounted", "--json")

    refused = run(app, "post", place.code, "--uncounted", "zero", answer="n")

    assert [row["sku"] for row in json.loads(uncounted.stdout)] == [item.sku]
    assert refused.exit_code == 1
    assert "Book away everything of 1 items" in refused.stderr
    assert level(session, item, place) == Level(10, 0)
    assert run(app, "post", place.code, "--uncounted", "zero", "--yes").exit_code == 0
    assert level(session, item, place) == Level(0, 0)


def test_what_is_wrong_is_said_in_sentences(app: Flask, make: Factory, place: Location, item: Item) -> None:
    make.order((item, 10), location_id=place.id)
    make.session.commit()
    run(app, "open", place.code)
    run(app, "enter", place.code, f"{item.sku}=9")

    promised = run(app, "post", place.code)
    twice = run(app, "open", place.code)
    unknown = run(app, "enter", place.code, "no-such=9")

    assert [result.exit_code for result in (promised, twice, unknown)] == [2, 2, 2]
    assert f"{item.sku}: 1 were asked for and 0 are available." in promised.stderr
    assert "A count of this location is open" in twice.stderr
    assert "Line 1: There is no such item." in unknown.stderr


def run(app: Flask, *args: str, answer: str | None = None) -> Result:
    return app.test_cli_runner().invoke(args=["stock", "count", *args], input=answer)


@pytest.fixture
def place(make: Factory) -> Location:
    return make.location()


@pytest.fixture
def item(make: Factory, session: Session, place: Location) -> Item:
    item = make.item(stock=10, at=place)
    session.commit()
    return item
