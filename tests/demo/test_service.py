from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from api.core.caller import Caller
from api.demo import repository, service
from api.demo.errors import AlreadyLoaded, DoesNotAddUp, LoadUnderWay, TooMuchSold
from api.extensions import db
from api.items import service as items
from api.stock import service as stock
from tests.demo.files import line, sorted_out
from tests.factories import GBP

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flask import Flask
    from sqlalchemy.orm import Session

    from api.core.orm import AnyRow
    from tests.factories import Factory


def load(session: Session, directory: Path, *lines: Sequence[str]) -> service.Figures:
    return service.load(session, sorted_out(directory, *lines), currency=GBP, by=Caller.system())


def ask(session: Session, question: str, **values: object) -> Sequence[AnyRow]:
    return session.execute(text(question), values).all()


def test_an_invoice_becomes_an_order_at_its_own_date_and_price(session: Session, tmp_path: Path) -> None:
    load(
        session, tmp_path, line(price="0.001"), line(stockcode="post", quantity="1", price="18", description="POSTAGE")
    )

    ((number, placed_at, total, metadata),) = ask(session, "SELECT reference, placed_at, total, metadata FROM orders")
    assert (number, placed_at, total) == ("489434", datetime(2009, 12, 1, 7, 45, tzinfo=UTC), Decimal("18.01"))
    assert metadata == {"customer": "13085", "country": "United Kingdom"}
    assert ask(session, "SELECT sku, name, quantity, unit_price, is_stocked FROM order_lines ORDER BY line_no") == [
        ("85048", "GLASS BALL", 12, Decimal("0.001"), True),
        ("post", "POSTAGE", 1, Decimal(18), False),
    ]


def test_an_order_without_a_customer_says_only_where_it_went(session: Session, tmp_path: Path) -> None:
    load(session, tmp_path, line(customer=""))

    assert ask(session, "SELECT metadata FROM orders") == [({"country": "United Kingdom"},)]


def test_opening_stock_is_what_was_sold_and_a_margin_received_before_the_first_order(
    session: Session, tmp_path: Path
) -> None:
    load(session, tmp_path, line(quantity="1"), line(stockcode="MANY", quantity="900"))

    ledger = ask(
        session,
        """SELECT i.sku, m.kind, m.on_hand_change, m.reserved_change, m.on_hand - m.reserved, m.reference
        FROM stock_movements AS m JOIN items AS i ON i.id = m.item_id ORDER BY m.occurred_at, i.sku""",
    )
    assert ledger == [
        ("85048", "receipt", 13, 0, 13, "opening stock"),
        ("MANY", "receipt", 990, 0, 990, "opening stock"),
        ("85048", "reserve", 0, 1, 12, None),
        ("MANY", "reserve", 0, 900, 90, None),
    ]
    opening = datetime(2009, 12, 1, tzinfo=UTC)
    moments = ask(session, "SELECT DISTINCT occurred_at FROM stock_movements WHERE kind = 'receipt'")
    assert moments == [(opening,)]
    assert ask(session, "SELECT code FROM locations") == [("MAIN",)]


def test_cancelled_units_return_to_the_shelf_at_the_moment_of_cancellation(session: Session, tmp_path: Path) -> None:
    figures = load(
        session,
        tmp_path,
        line(quantity="10"),
        line(invoice="C2", quantity="-4", invoicedate="2009-12-03 08:00:00"),
    )

    released = ask(session, "SELECT reserved_change, reserved, occurred_at FROM stock_movements WHERE kind = 'release'")
    assert released == [(-4, 6, datetime(2009, 12, 3, 8, tzinfo=UTC))]
    assert ask(session, "SELECT status FROM orders") == [("placed",)]
    assert figures.units_cancelled == 4


def test_an_order_cancelled_bit_by_bit_is_cancelled_when_nothing_is_left(session: Session, tmp_path: Path) -> None:
    figures = load(
        session,
        tmp_path,
        line(quantity="10"),
        line(quantity="3", stockcode="M"),
        line(invoice="C2", quantity="-4", invoicedate="2009-12-03 08:00:00"),
        line(invoice="C2", quantity="-1", invoicedate="2009-12-03 08:00:00"),
        line(invoice="C3", quantity="-3", invoicedate="2009-12-04 08:00:00", stockcode="m"),
        line(invoice="C4", quantity="-9", invoicedate="2009-12-05 08:00:00"),
    )

    released = ask(session, "SELECT reserved_change FROM stock_movements WHERE kind = 'release' ORDER BY sequence")
    assert released == [(-5,), (-5,)]
    when = datetime(2009, 12, 5, 8, tzinfo=UTC)
    assert ask(session, "SELECT status, cancelled_at FROM orders") == [("cancelled", when)]
    assert (figures.units, figures.units_cancelled) == (13, 13)
    assert stock.verify(session).agrees


def test_batches_leave_the_same_in_the_database_as_one(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "LINES_PER_BATCH", 2)
    monkeypatch.setattr(service, "LINES_PER_RECEIPT", 2)
    done: list[int] = []
    past = sorted_out(
        tmp_path,
        *(line(invoice=str(number), stockcode=f"S{number % 5}") for number in range(7)),
        line(invoice="C8", stockcode="S1", quantity="-20", invoicedate="2009-12-02 08:00:00"),
    )

    figures = service.load(session, past, currency=GBP, by=Caller.system(), advance=done.append)

    assert (figures.orders, figures.lines, figures.items, figures.units_cancelled) == (7, 7, 5, 20)
    assert sum(done) == 7
    assert done.count(2) == 3


def test_items_the_catalogue_has_already_are_used_as_they_are(session: Session, make: Factory, tmp_path: Path) -> None:
    present = make.item(sku="85048a", name="Mine", is_stocked=False)

    load(session, tmp_path, line(stockcode="85048A"), line(stockcode="NEW"))

    assert [line.name for line in ask(session, "SELECT name FROM order_lines ORDER BY line_no")] == [
        "Mine",
        "GLASS BALL",
    ]
    assert items.get(session, present.id).unit_price == Decimal("2.50")
    assert ask(session, "SELECT 1 FROM stock_levels WHERE item_id = :id", id=present.id) == []


def test_loading_the_same_invoices_again_is_refused(session: Session, tmp_path: Path) -> None:
    load(session, tmp_path, line(), line(invoice="489435"))

    with pytest.raises(AlreadyLoaded, match=r"\(489435, 1 in all\); nothing was loaded\."):
        load(session, tmp_path, line(invoice="489435"), line(invoice="489436"))


def test_more_than_a_stock_level_can_hold_is_refused(session: Session, tmp_path: Path) -> None:
    lines = [line(invoice=str(number // 999), quantity="1000000") for number in range(2000)]

    with pytest.raises(TooMuchSold, match="2000000000 units of 85048"):
        load(session, tmp_path, *lines)


def test_a_load_after_which_something_does_not_add_up_is_refused(
    session: Session, make: Factory, tmp_path: Path
) -> None:
    make.item(stock=5)
    session.execute(text("UPDATE stock_levels SET on_hand = 6"))

    with pytest.raises(DoesNotAddUp, match="1 of the figures did not add up"):
        load(session, tmp_path, line())


def test_only_one_loads_at_a_time(live_app: Flask, tmp_path: Path) -> None:
    with live_app.app_context(), db.engine.connect() as other:
        assert other.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": repository.LOADING})

        with pytest.raises(LoadUnderWay):
            load(db.session(), tmp_path, line())
