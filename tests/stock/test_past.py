"""How it was: levels at any moment, movements that are dated back, and what the past does not allow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from api.core.caller import Caller
from api.core.errors import Conflict
from api.stock import service as stock
from api.stock.errors import InsufficientStockThen, InTheFuture, PastUnknown, TooLongAgo
from tests.factories import Factory
from tests.stock.reading import differences, ledger

if TYPE_CHECKING:
    from uuid import UUID

    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from api.items.models import Item
    from api.locations.models import Location

LEVELS, ADJUSTMENTS = "/api/v1/stock/levels", "/api/v1/stock/adjustments"
MAY = datetime(2026, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def moved(session: Session, item: Item, place: Location, quantity: int, at: datetime | None) -> stock.Posting:
    lines = [stock.Line(item_id=item.id, quantity=quantity)]
    return stock.adjust(
        session, location_id=place.id, lines=lines, reason="correction", by=Caller.system(), occurred_at=at
    )


def at_the_time(session: Session, item_id: UUID, as_of: datetime) -> tuple[int, int]:
    """Add up the ledger the slow way."""
    query = text(
        "SELECT coalesce(sum(on_hand_change), 0), coalesce(sum(reserved_change), 0) FROM stock_movements"
        " WHERE item_id = :item AND occurred_at <= :as_of"
    )
    return tuple(session.execute(query, {"item": item_id, "as_of": as_of}).one())


def told(session: Session, item_id: UUID, as_of: datetime) -> tuple[int, int]:
    (row,), _ = stock.levels(session, item_id=item_id, as_of=as_of).page(session, limit=5, after=None)
    return row.on_hand, row.reserved


class TestTheLedger:
    def test_marks_what_happened_before_a_movement_with_a_lower_number(self, make: Factory, session: Session) -> None:
        item, place = make.item(), make.location()

        for day in (10, 20, 15, 20, 25, None, 30):
            moved(session, item, place, 1, None if day is None else MAY + day * DAY)

        assert [row.is_late for row in ledger(session, item)] == [False, False, True, False, False, False, True]
        assert differences(session) == []

    def test_keeps_both_when_it_happened_and_when_it_was_written(self, make: Factory, session: Session) -> None:
        item, place = make.item(), make.location()

        (movement,) = moved(session, item, place, 1, MAY).movements

        assert movement.occurred_at == MAY
        assert movement.recorded_at is not None
        assert movement.recorded_at > MAY

    def test_never_runs_backwards_even_if_the_clock_does(self, make: Factory, session: Session) -> None:
        item, place = make.item(), make.location()
        moved(session, item, place, 5, None)
        ahead = session.execute(
            text("UPDATE stock_levels SET moved_at = moved_at + interval '1 hour' RETURNING moved_at")
        ).scalar_one()

        (movement,) = moved(session, item, place, 1, None).movements

        assert (movement.occurred_at, movement.is_late) == (ahead, False)

    @pytest.mark.parametrize("ahead", [timedelta(minutes=2), timedelta(days=400)])
    def test_knows_nothing_of_the_future(self, make: Factory, session: Session, ahead: timedelta) -> None:
        item, place = make.item(), make.location()

        with pytest.raises(InTheFuture) as refusal:
            moved(session, item, place, 1, datetime.now(UTC) + ahead)

        assert refusal.value.problem.field == "occurred_at"

    def test_takes_a_slip_of_the_pen_for_one(self, make: Factory, session: Session) -> None:
        item, place = make.item(), make.location()

        with pytest.raises(TooLongAgo) as refusal:
            moved(session, item, place, 1, datetime(1926, 11, 20, tzinfo=UTC))

        assert refusal.value.problem.field == "occurred_at"

    def test_takes_a_clock_that_is_a_little_ahead_for_now(self, make: Factory, session: Session) -> None:
        item, place = make.item(), make.location()

        (movement,) = moved(session, item, place, 1, datetime.now(UTC) + timedelta(seconds=20)).movements

        assert movement.occurred_at == movement.recorded_at


class TestLevels:
    def test_are_shown_as_they_were(self, make: Factory, client: FlaskClient, session: Session) -> None:
        place, other = make.location(), make.location()
        item, noise = make.item(cost_price="2.00"), make.item(stock=4, at=other)
        moved(session, item, place, 10, MAY)
        moved(session, item, place, -3, MAY + 2 * DAY)
        moved(session, noise, other, 8, MAY)

        def shown(as_of: datetime) -> dict[str, object]:
            query = {"as_of": as_of.isoformat().replace("+00:00", "Z"), "item_id": item.id}
            (row,) = client.get(LEVELS, query_string=query, headers=headers).get_json()["data"]
            return {name: row[name] for name in ("on_hand", "available", "version", "value", "reorder_point", "is_low")}

        headers = make.headers()
        nothing_known = {"reorder_point": None, "is_low": None}
        assert shown(MAY - DAY) == {"on_hand": 0, "available": 0, "version": 0, "value": "0.00", **nothing_known}
        assert shown(MAY) == {"on_hand": 10, "available": 10, "version": 1, "value": "20.00", **nothing_known}
        assert shown(MAY + DAY) == shown(MAY)
        assert shown(MAY + 2 * DAY) == {"on_hand": 7, "available": 7, "version": 2, "value": "14.00", **nothing_known}

    def test_of_the_past_change_with_what_is_dated_back(self, make: Factory, session: Session) -> None:
        item, place = make.item(), make.location()
        moved(session, item, place, 10, MAY)
        moved(session, item, place, 10, MAY + 10 * DAY)

        moved(session, item, place, 5, MAY + 5 * DAY)

        assert [told(session, item.id, MAY + day * DAY)[0] for day in (0, 4, 5, 9, 10)] == [10, 10, 15, 15, 25]

    def test_of_the_future_are_not_known(self, make: Factory, client: FlaskClient) -> None:
        response = client.get(LEVELS, query_string={"as_of": "2900-01-01T00:00:00Z"}, headers=make.headers())

        assert response.status_code == 422
        problem = response.get_json()["error"]
        assert (problem["code"], problem["field"]) == ("occurred_in_future", "as_of")

    def test_of_the_past_cannot_be_asked_for_being_low(self, session: Session) -> None:
        with pytest.raises(PastUnknown):
            stock.levels(session, low=True, as_of=MAY)


class TestDatingBack:
    def test_cannot_take_away_what_was_promised_or_gone_at_any_time_since(
        self, make: Factory, session: Session
    ) -> None:
        item, place = make.item(), make.location()
        moved(session, item, place, 10, MAY)
        moved(session, item, place, -8, MAY + 10 * DAY)
        moved(session, item, place, 20, MAY + 20 * DAY)

        with pytest.raises(InsufficientStockThen) as refusal:
            moved(session, item, place, -3, MAY + 5 * DAY)
        moved(session, item, place, -2, MAY + 5 * DAY)

        (problem,) = refusal.value.problems
        assert problem.facts == {"item_id": str(item.id), "sku": item.sku, "requested": 3, "available": 2}
        assert told(session, item.id, MAY + 15 * DAY) == (0, 0)
        assert differences(session) == []

    def test_to_before_the_first_receipt_takes_from_nothing(self, make: Factory, session: Session) -> None:
        item, place = make.item(), make.location()
        moved(session, item, place, 10, MAY)

        with pytest.raises(InsufficientStockThen):
            moved(session, item, place, -1, MAY - DAY)
        moved(session, item, place, -1, MAY)

        assert told(session, item.id, MAY) == (9, 0)

    def test_over_http_names_the_line_and_changes_nothing(
        self, make: Factory, client: FlaskClient, session: Session
    ) -> None:
        item, place = make.item(), make.location()
        moved(session, item, place, 10, MAY)
        body = {
            "location_id": str(place.id),
            "reason": "lost",
            "occurred_at": "2026-04-30T00:00:00Z",
            "lines": [{"sku": item.sku.lower(), "quantity": -1}],
        }

        response = client.post(ADJUSTMENTS, json=body, headers=make.headers(role="clerk"))

        assert response.status_code == 409
        (problem,) = response.get_json()["error"]["details"]
        assert (problem["code"], problem["field"]) == ("insufficient_stock_then", "lines.0.quantity")
        assert len(ledger(session, item)) == 1


steps = st.lists(st.tuples(st.integers(-6, 9), st.integers(0, 12)), min_size=1, max_size=15)


@given(steps=steps)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_past_is_the_sum_of_what_had_happened_and_never_negative(
    session: Session, steps: list[tuple[int, int]]
) -> None:
    with session.begin_nested() as attempt:
        make = Factory(session)
        item, place = make.item(), make.location()
        for quantity, day in steps:
            try:
                with session.begin_nested():
                    moved(session, item, place, quantity or 1, MAY + day * DAY if day else None)
            except Conflict:
                continue
        for day in range(14):
            moment = MAY + day * DAY
            exists = bool(ledger(session, item))
            assert not exists or told(session, item.id, moment) == at_the_time(session, item.id, moment)
            assert min(at_the_time(session, item.id, moment)) >= 0
        assert differences(session) == []
        attempt.rollback()
