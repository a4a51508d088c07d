"""`flask stock transfer` and `flask stock transfers`."""

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


def test_stock_is_moved_and_shown(app: Flask, session: Session, item: Item, source: Location, target: Location) -> None:
    result = run(app, "transfer", source.code, target.code, f"{item.sku}=4", "--reference", "WB-1", "--yes", "--json")

    (shown,) = json.loads(result.stdout)
    assert (shown["status"], shown["reference"], shown["lines"][0]["quantity"]) == ("completed", "WB-1", 4)
    assert level(session, item, target) == Level(4, 0)


def test_stock_is_not_moved_without_consent(
    app: Flask, session: Session, item: Item, source: Location, target: Location
) -> None:
    refused = run(app, "transfer", source.code, target.code, f"{item.sku}=4", answer="n")
    agreed = run(app, "transfer", source.code, target.code, f"{item.sku}=3", answer="y")

    assert "Move 4 units" in refused.stderr
    assert (refused.exit_code, agreed.exit_code) == (1, 0)
    assert level(session, item, target) == Level(3, 0)


def test_a_rehearsal_shows_everything_and_keeps_nothing(
    app: Flask, session: Session, item: Item, source: Location, target: Location
) -> None:
    result = run(app, "transfer", source.code, target.code, f"{item.sku}=4", "--dry-run")

    assert result.exit_code == 0
    assert "Would be completed" in result.stdout
    assert item.sku in result.stdout
    assert level(session, item, target) == Level(0, 0)


def test_what_is_wrong_is_said_in_sentences(app: Flask, item: Item, source: Location, target: Location) -> None:
    short = run(app, "transfer", source.code, target.code, f"{item.sku}=44", "--yes")
    wrong = run(app, "transfer", source.code, target.code, f"{item.sku}=four", "--yes")
    nowhere = run(app, "transfer", source.code, "no-such", f"{item.sku}=4", "--yes")

    assert [result.exit_code for result in (short, wrong, nowhere)] == [2, 2, 2]
    assert "Line 1: 44 were asked for and 10 are available." in short.stderr
    assert "lines.0.quantity" in wrong.stderr
    assert "There is no such location." in nowhere.stderr


def test_a_transfer_is_followed_to_its_end(
    app: Flask, session: Session, item: Item, source: Location, target: Location
) -> None:
    sent = run(app, "transfer", source.code, target.code, f"{item.sku}=9", "--in-transit", "--yes", "--json")
    transfer_id = json.loads(sent.stdout)[0]["id"]

    listed = run(app, "transfers", "list", "--status", "in_transit", "--json")
    received = run(app, "transfers", "receive", transfer_id, f"{item.sku}=5")
    unsure = run(app, "transfers", "write-off", transfer_id, f"{item.sku}=2", "--reason", "lost", answer="n")
    lost = run(app, "transfers", "write-off", transfer_id, f"{item.sku}=2", "--reason", "lost", "--yes")
    back = run(app, "transfers", "cancel", transfer_id, "--reason", "Van broke down", "--json")
    again = run(app, "transfers", "receive", transfer_id)
    shown = run(app, "transfers", "show", transfer_id)

    assert [row["id"] for row in json.loads(listed.stdout)] == [transfer_id]
    assert [result.exit_code for result in (received, unsure, lost, back, again, shown)] == [0, 1, 0, 0, 2, 0]
    (line,) = json.loads(back.stdout)[0]["lines"]
    assert (line["received_quantity"], line["lost_quantity"], line["returned_quantity"]) == (5, 2, 2)
    assert "A transfer that is completed cannot be received" in again.stderr
    assert "completed" in shown.stdout
    assert (level(session, item, source), level(session, item, target)) == (Level(3, 0), Level(5, 0))


def test_a_list_of_none_is_an_empty_table(app: Flask, session: Session) -> None:  # noqa: ARG001  # the transaction
    assert run(app, "transfers", "list").exit_code == 0


def run(app: Flask, *args: str, answer: str | None = None) -> Result:
    return app.test_cli_runner().invoke(args=["stock", *args], input=answer)


@pytest.fixture
def source(make: Factory) -> Location:
    return make.location()


@pytest.fixture
def target(make: Factory) -> Location:
    return make.location()


@pytest.fixture
def item(make: Factory, session: Session, source: Location, target: Location) -> Item:  # noqa: ARG001  # kept with it
    item = make.item(stock=10, at=source)
    session.commit()
    return item
