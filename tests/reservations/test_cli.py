"""`flask reservations`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.reservations.clock import end
from tests.stock.reading import Level, level

if TYPE_CHECKING:
    from click.testing import Result
    from flask import Flask
    from sqlalchemy.orm import Session

    from api.items.models import Item
    from api.locations.models import Location
    from api.reservations.models import Reservation
    from tests.factories import Factory


def test_reservations_are_listed_by_their_status_of_now(
    app: Flask, make: Factory, session: Session, item: Item
) -> None:
    held, over = make.reservation((item, 1), reference="CART-1"), make.reservation((item, 1), reference="CART-2")
    end(session, over.id)
    session.commit()

    def listed(*args: str) -> list[str]:
        return [row["id"] for row in json.loads(run(app, "list", "--json", *args).stdout)]

    assert listed() == [str(over.id), str(held.id)]
    assert listed("--status", "held") == [str(held.id)]
    assert listed("--status", "lapsed") == listed("--reference", "CART-2") == [str(over.id)]
    assert listed("--limit", "1") == [str(over.id)]
    assert "CART-1" in run(app, "list").stdout


def test_a_reservation_is_shown_with_its_lines(app: Flask, item: Item, reservation: Reservation) -> None:
    table = run(app, "show", str(reservation.id))
    (whole,) = json.loads(run(app, "show", str(reservation.id), "--json").stdout)

    assert "held" in table.stdout
    assert item.sku in table.stdout
    assert (whole["status"], whole["lines"][0]["quantity"]) == ("held", 4)


def test_a_reservation_is_released_once(
    app: Flask, session: Session, item: Item, place: Location, reservation: Reservation
) -> None:
    rehearsed = run(app, "release", str(reservation.id), "--dry-run")
    kept = level(session, item, place)
    released = run(app, "release", str(reservation.id))
    again = run(app, "release", str(reservation.id))

    assert [result.exit_code for result in (rehearsed, released, again)] == [0, 0, 2]
    assert "Would be released" in rehearsed.stdout
    assert (kept, level(session, item, place)) == (Level(10, 4), Level(10, 0))
    assert "This reservation is released and keeps nothing any more" in again.stderr


def test_a_reservation_that_is_not_there_is_said_so(app: Flask, session: Session) -> None:  # noqa: ARG001  # the transaction
    result = run(app, "show", str(uuid4()))

    assert (result.exit_code, "There is no such reservation." in result.stderr) == (2, True)


def run(app: Flask, *args: str) -> Result:
    return app.test_cli_runner().invoke(args=["reservations", *args])


@pytest.fixture
def place(make: Factory) -> Location:
    return make.location()


@pytest.fixture
def item(make: Factory, session: Session, place: Location) -> Item:
    item = make.item(stock=10, at=place)
    session.commit()
    return item


@pytest.fixture
def reservation(make: Factory, session: Session, item: Item) -> Reservation:
    reservation = make.reservation((item, 4))
    session.commit()
    return reservation
