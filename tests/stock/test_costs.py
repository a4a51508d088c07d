"""What stock is worth: the weighted average of what came in, by the ledger, now and in the past."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from api.core import money
from api.core.caller import Caller
from api.core.errors import Conflict
from api.stock import service as stock
from tests.factories import Factory
from tests.stock.reading import differences, ledger

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from api.items.models import Item
    from api.locations.models import Location

RECEIPTS, VALUATION = "/api/v1/stock/receipts", "/api/v1/stock/valuation"
MAY, DAY = datetime(2026, 5, 1, tzinfo=UTC), timedelta(days=1)
SYSTEM = Caller.system()


def receive(
    session: Session, item: Item, place: Location, quantity: int, cost: str | None = None, at: datetime | None = None
) -> None:
    line = stock.Line(item_id=item.id, quantity=quantity)
    if cost is not None:
        line["unit_cost"] = Decimal(cost)
    stock.receive(session, location_id=place.id, lines=[line], by=SYSTEM, occurred_at=at)


def adjust(session: Session, item: Item, place: Location, quantity: int, at: datetime | None = None) -> None:
    lines = [stock.Line(item_id=item.id, quantity=quantity)]
    stock.adjust(session, location_id=place.id, lines=lines, reason="correction", by=SYSTEM, occurred_at=at)


def worth(session: Session, item: Item) -> tuple[int, Decimal, Decimal | None]:
    (row,), _ = stock.levels(session, item_id=item.id).page(session, limit=5, after=None)
    return row.on_hand, row.value, row.average_cost


class TestTheAverage:
    def test_is_weighted_by_what_came_in(self, make: Factory, session: Session) -> None:
        item, place = make.item(), make.location()

        receive(session, item, place, 10, "2.00")
        receive(session, item, place, 30, "4.00")

        assert worth(session, item) == (40, Decimal(140), Decimal("3.5"))

    def test_stays_when_units_go(self, make: Factory, session: Session) -> None:
        item, place = make.item(), make.location()
        receive(session, item, place, 40, "3.50")

        adjust(session, item, place, -15)

        assert worth(session, item) == (25, Decimal("87.5"), Decimal("3.5"))
        assert ledger(session, item)[-1].value_change == Decimal("-52.5")

    def test_leaves_nothing_behind_when_the_last_unit_goes(self, make: Factory, session: Session) -> None:
        item, place = make.item(), make.location()
        receive(session, item, place, 3, "0.3333")
        receive(session, item, place, 4, "0.1111")

        for _ in range(7):
            adjust(session, item, place, -1)

        assert worth(session, item) == (0, Decimal(0), None)
        assert sum(row.value_change for row in ledger(session, item)) == 0
        assert differences(session) == []

    def test_does_not_change_when_stock_is_promised_or_given_back(self, make: Factory, session: Session) -> None:
        item, place = make.item(), make.location()
        receive(session, item, place, 10, "2.00")

        make.order((item, 4))

        assert worth(session, item) == (10, Decimal(20), Decimal(2))
        assert ledger(session, item)[-1].value_change == 0


class TestUnitsThatWentInThePast:
    def test_take_what_they_were_worth_then(self, make: Factory, session: Session) -> None:
        item, place = make.item(), make.location()
        receive(session, item, place, 100, "9.00")
        receive(session, item, place, 5, "1.00", MAY)

        adjust(session, item, place, -5, MAY + DAY)

        (then,) = stock.valuation(session, currency="GBP", as_of=MAY + 2 * DAY, item_id=item.id).locations or [None]
        assert then is None, "nothing lay there, worth nothing"
        assert worth(session, item) == (100, Decimal(900), Decimal(9))

    def test_never_leave_a_level_worth_less_than_nothing(self, make: Factory, session: Session) -> None:
        item, place = make.item(), make.location()
        receive(session, item, place, 10, "9.00", MAY)
        adjust(session, item, place, -9, MAY + 2 * DAY)
        receive(session, item, place, 10, "1.00", MAY + 4 * DAY)

        adjust(session, item, place, -1, MAY + DAY)

        for half_days in range(12):
            valuation = stock.valuation(session, currency="GBP", as_of=MAY + half_days * DAY / 2)
            assert valuation.value >= 0
        assert worth(session, item) == (10, Decimal(10), Decimal(1))

    def test_travel_with_what_they_were_worth_then(self, make: Factory, session: Session) -> None:
        item, here, there = make.item(), make.location(), make.location()
        receive(session, item, here, 100, "9.00")
        receive(session, item, here, 5, "1.00", MAY)

        make.transfer((item, 5), source=here, target=there, in_transit=False, occurred_at=MAY + DAY)

        found = {row.location_id: row.value for row in stock.valuation(session, currency="GBP").locations}
        assert found == {here.id: Decimal(900), there.id: Decimal(5)}


class TestUnitsWithoutACost:
    def test_come_at_the_items_cost_price(self, make: Factory, session: Session) -> None:
        item, place = make.item(cost_price=Decimal("1.20")), make.location()

        receive(session, item, place, 5)
        adjust(session, item, make.location(), 5)

        assert [row.value for row in ledger(session, item)] == [Decimal(6), Decimal(6)]

    def test_or_else_at_the_average_of_those_that_lie_there(self, make: Factory, session: Session) -> None:
        item, place = make.item(), make.location()
        receive(session, item, place, 10, "2.00")

        receive(session, item, place, 5)
        adjust(session, item, place, 5)

        assert worth(session, item) == (20, Decimal(40), Decimal(2))

    def test_are_worth_nothing_where_nothing_is_known(self, make: Factory, session: Session) -> None:
        item, place = make.item(), make.location()

        receive(session, item, place, 5)

        assert worth(session, item) == (5, Decimal(0), Decimal(0))

    def test_that_are_found_do_not_change_the_average_whatever_the_cost_price(
        self, make: Factory, session: Session
    ) -> None:
        item, place = make.item(cost_price=Decimal(9)), make.location()
        receive(session, item, place, 10, "2.00")

        adjust(session, item, place, 1)

        assert worth(session, item) == (11, Decimal(22), Decimal(2))


class TestValuation:
    def test_adds_up_over_locations_now_and_then(self, make: Factory, client: FlaskClient, session: Session) -> None:
        here, there = make.location(code="a-here"), make.location(code="b-there")
        item, other = make.item(), make.item()
        receive(session, item, here, 10, "2.00", MAY)
        receive(session, other, there, 1, "0.0001", MAY)
        receive(session, item, there, 4, "3.00", MAY + DAY)
        adjust(session, item, here, -5, MAY + 2 * DAY)

        def shown(**query: object) -> dict[str, object]:
            found = client.get(VALUATION, query_string=query, headers=headers).get_json()
            assert found["currency"] == "GBP"
            places = {row["location_code"]: (row["on_hand"], row["value"]) for row in found["locations"]}
            return {"on_hand": found["on_hand"], "value": found["value"], **places}

        headers = make.headers(role="manager")
        assert shown() == {
            "on_hand": 10,
            "value": "22.0001",
            "a-here": (5, "10.00"),
            "b-there": (5, "12.0001"),
        }
        assert shown(as_of="2026-05-01T12:00:00Z", location_id=here.id) == {
            "on_hand": 10,
            "value": "20.00",
            "a-here": (10, "20.00"),
        }
        assert shown(as_of="2026-05-02T12:00:00Z", item_id=item.id) == {
            "on_hand": 14,
            "value": "32.00",
            "a-here": (10, "20.00"),
            "b-there": (4, "12.00"),
        }

    def test_and_every_cost_is_kept_from_those_who_may_not_see_it(
        self, make: Factory, client: FlaskClient, session: Session
    ) -> None:
        item, place = make.item(), make.location()
        receive(session, item, place, 10, "2.00")
        clerk = make.headers(role="clerk")
        body = {"location_id": str(place.id), "lines": [{"sku": item.sku, "quantity": 1, "unit_cost": "5.00"}]}

        valuation = client.get(VALUATION, headers=clerk)
        answers = [
            client.get("/api/v1/stock/levels", headers=clerk),
            client.get("/api/v1/stock/movements", headers=clerk),
            client.post(RECEIPTS, json=body, headers=clerk),
        ]
        export = client.get("/api/v1/stock/movements/export", headers=clerk)

        assert valuation.status_code == 403
        for answer in answers:
            assert answer.get_json()["data"]
            for row in answer.get_json()["data"]:
                assert not {"value", "value_change", "average_cost"} & row.keys()
        assert "value" not in export.text.splitlines()[0]

    def test_is_shown_to_those_who_may(self, make: Factory, client: FlaskClient, session: Session) -> None:
        item, place, manager = make.item(), make.location(), make.headers(role="manager")
        receive(session, item, place, 3, "2.50")

        (level,) = client.get("/api/v1/stock/levels", headers=manager).get_json()["data"]
        (movement,) = client.get("/api/v1/stock/movements", headers=manager).get_json()["data"]

        assert (level["value"], level["average_cost"]) == ("7.50", "2.50")
        assert (movement["value_change"], movement["value"]) == ("7.50", "7.50")


steps = st.lists(
    st.tuples(st.integers(-30, 40), st.sampled_from([None, "0.0001", "0.3333", "2.5", "9999999.9999"])), max_size=12
)


@given(steps=steps)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_value_is_kept_to_the_last_ten_thousandth_whatever_comes_and_goes(
    session: Session, steps: list[tuple[int, str | None]]
) -> None:
    with session.begin_nested() as attempt:
        make = Factory(session)
        item, place = make.item(), make.location()
        for quantity, cost in steps:
            try:
                with session.begin_nested():
                    if quantity > 0:
                        receive(session, item, place, quantity, cost)
                    else:
                        adjust(session, item, place, quantity or -1)
            except Conflict:
                continue
        rows = ledger(session, item)
        assert all(row.value >= 0 for row in rows)
        assert all(row.on_hand or not row.value for row in rows)
        assert sum(row.value_change for row in rows) == (rows[-1].value if rows else 0)
        assert differences(session) == []
        attempt.rollback()


flows = st.lists(
    st.tuples(st.integers(1, 9), st.integers(-5, 9), st.sampled_from(["1.5", "0.0007"]), st.booleans()), max_size=14
)


@given(flows=flows)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_valuation_of_any_moment_is_the_sum_of_the_ledger_whenever_days_were_closed(
    session: Session, flows: list[tuple[int, int, str, bool]]
) -> None:
    with session.begin_nested() as attempt:
        make = Factory(session)
        item, place = make.item(), make.location()
        for day, quantity, cost, is_closed in flows:
            with suppress(Conflict), session.begin_nested():
                if quantity > 0:
                    receive(session, item, place, quantity, cost, MAY + day * DAY)
                else:
                    adjust(session, item, place, quantity or -1, MAY + day * DAY)
            if is_closed:
                stock.close_days(session, margin=timedelta())
        rows = ledger(session, item)
        for half_days in range(22):
            moment = MAY + half_days * DAY / 2
            past = [row for row in rows if row.occurred_at <= moment]
            valuation = stock.valuation(session, currency="GBP", as_of=moment)
            assert valuation.on_hand == sum(row.on_hand_change for row in past)
            assert valuation.value == sum(row.value_change for row in past)
        assert differences(session) == []
        attempt.rollback()


class TestClosingDays:
    def test_is_done_once_for_each_day_with_movements_that_is_over(self, make: Factory, session: Session) -> None:
        item, place = make.item(), make.location()
        for day in (0, 0, 2):
            receive(session, item, place, 1, "2.00", MAY + day * DAY)
        receive(session, item, place, 1, "2.00")

        assert stock.close_days(session) == 0, "what was recorded within the hour may have company in flight"
        assert stock.close_days(session, margin=timedelta()) == 2
        assert stock.close_days(session, margin=timedelta()) == 0

        rows = session.execute(text("SELECT closed_at, on_hand, value FROM stock_closings ORDER BY closed_at")).all()
        assert [tuple(row) for row in rows] == [(MAY + DAY, 2, 4), (MAY + 3 * DAY, 3, 6)]


@given(st.decimals(0, 10**19, places=4), st.integers(1, 10**6), st.data())
def test_a_share_is_never_more_than_the_whole_and_the_rest_is_what_remains(
    value: Decimal, whole: int, data: st.DataObject
) -> None:
    part = data.draw(st.integers(1, whole))

    share = money.share(value, part, whole)

    assert 0 <= share <= value
    assert share == value if part == whole else abs(share * whole - value * part) * 10_000 <= whole
    assert share == share.quantize(Decimal("0.0001"))
