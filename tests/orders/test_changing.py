"""Orders are changed, cancelled in part, held, and say what they come to."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from api.extensions import db
from api.orders import service as orders
from api.orders.errors import (
    AlreadyShipped,
    ChargedByHand,
    DiscountTooLarge,
    ExceedsOutstanding,
    FieldNotAllowed,
    InvalidTransition,
    ItemArchived,
    LineUnknown,
    PriceNotAllowed,
)
from api.returns import service as returns
from api.stock.errors import InsufficientStock
from tests.factories import GBP
from tests.live import at_once, committed
from tests.rest.envelope import assert_problem
from tests.stock.reading import Level, differences, level

if TYPE_CHECKING:
    from uuid import UUID

    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.items.models import Item
    from api.locations.models import Location
    from tests.factories import Factory

ORDERS = "/api/v1/orders"


@pytest.fixture
def place(make: Factory) -> Location:
    return make.location()


@pytest.fixture
def cup(make: Factory, place: Location) -> Item:
    return make.item(stock=10, at=place, unit_price=Decimal("2.50"))


@pytest.fixture
def pot(make: Factory, place: Location) -> Item:
    return make.item(stock=10, at=place, unit_price=Decimal("12.75"))


def edit(make: Factory, order_id: UUID, *, by: Caller | None = None, **changes: Any) -> orders.Order:
    by = by or make.by
    order = orders.locked(make.session, order_id, by=by, to="annotate")
    return orders.edit(make.session, order, changes, currency=GBP, by=by)  # type: ignore[arg-type]  # as it comes


def of(item: Item, quantity: int, **more: Any) -> orders.LineRequest:
    return orders.LineRequest(item_id=item.id, quantity=quantity, **more)  # type: ignore[typeddict-item,no-any-return]  # as a test wants it


class TestEditing:
    def test_gives_the_order_the_lines_it_is_to_have_in_one_booking(
        self, make: Factory, session: Session, cup: Item, pot: Item, place: Location
    ) -> None:
        mug = make.item(stock=10, at=place, unit_price=Decimal("1.00"))
        order = make.order((cup, 4), (pot, 2))

        changed = edit(make, order.id, lines=[of(cup, 1), of(mug, 3)])

        assert [(line.line_no, line.item_id, line.quantity) for line in changed.lines] == [
            (1, cup.id, 1),
            (3, mug.id, 3),
        ]
        assert (changed.total, changed.line_count, changed.version) == (Decimal("5.50"), 2, 2)
        assert [level(session, item, place) for item in (cup, pot, mug)] == [Level(10, 1), Level(10, 0), Level(10, 3)]
        assert differences(session) == []

    def test_keeps_prices_unless_one_is_given_by_whoever_may(
        self, make: Factory, session: Session, cup: Item, pot: Item
    ) -> None:
        order = make.order((cup, 1), (pot, 1))
        session.execute(text("UPDATE items SET unit_price = 99"))

        kept = edit(make, order.id, lines=[of(cup, 2), of(pot, 1, unit_price=Decimal("10.00"))])

        assert [line.unit_price for line in kept.lines] == [Decimal("2.50"), Decimal("10.00")]
        clerk = make.caller(role="clerk")
        with pytest.raises(PriceNotAllowed):
            edit(make, order.id, by=clerk, lines=[of(cup, 2, unit_price=Decimal(1))])

    def test_is_refused_whole_when_stock_is_short_and_points_at_the_line(
        self, make: Factory, session: Session, cup: Item, pot: Item, place: Location
    ) -> None:
        order = make.order((cup, 4))

        with pytest.raises(InsufficientStock) as refused, session.begin_nested():
            edit(make, order.id, lines=[of(cup, 1), of(pot, 11)])

        (problem,) = refused.value.problems
        assert (problem.field, problem.facts["requested"], problem.facts["available"]) == ("lines.1.quantity", 11, 10)
        assert level(session, cup, place) == Level(10, 4)
        assert differences(session) == []

    def test_may_use_the_units_the_order_itself_gives_back(
        self, make: Factory, session: Session, cup: Item, place: Location
    ) -> None:
        order = make.order((cup, 6), (cup, 4))

        edit(make, order.id, lines=[of(cup, 10)])

        assert level(session, cup, place) == Level(10, 10)
        assert differences(session) == []

    def test_keeps_what_was_cancelled_of_a_line(self, make: Factory, session: Session, cup: Item, pot: Item) -> None:
        order = make.order((cup, 4), (pot, 1))
        orders.cancel(session, order.id, currency=GBP, by=make.by, lines=[orders.LineChoice(line_no=1, quantity=1)])

        more = edit(make, order.id, lines=[of(cup, 5), of(pot, 1)])
        after_more = [(line.quantity, line.cancelled_quantity) for line in more.lines]
        without = edit(make, order.id, lines=[of(pot, 1)])

        assert after_more == [(6, 1), (1, 0)]
        assert [(line.quantity, line.cancelled_quantity) for line in without.lines] == [(1, 1), (1, 0)]
        assert (without.total, without.cancelled_total, without.balance_due) == (
            Decimal("15.25"),
            Decimal("2.50"),
            Decimal("12.75"),
        )
        assert differences(session) == []

    def test_of_lines_ends_with_the_first_shipment_and_notes_never(self, make: Factory, cup: Item) -> None:
        order = make.order((cup, 4))
        make.shipment(order, (cup, 1))

        with pytest.raises(InvalidTransition):
            edit(make, order.id, lines=[of(cup, 2)])
        orders.hold(make.session, order.id, reason="review", by=make.by)
        with pytest.raises(AlreadyShipped):
            edit(make, order.id, lines=[of(cup, 2)])

        assert edit(make, order.id, note="Ring twice.").note == "Ring twice."

    def test_of_addresses_and_words_changes_no_total(self, make: Factory, cup: Item) -> None:
        order = make.order((cup, 4))

        changed = edit(
            make, order.id, email="ada@example.com", shipping_address={"city": "Leeds"}, reference="WEB-1", note=None
        )

        assert (changed.email, changed.shipping_address, changed.reference) == (
            "ada@example.com",
            {"city": "Leeds"},
            "WEB-1",
        )
        assert changed.total == order.total

    def test_of_charges_is_for_those_who_may_set_prices(self, make: Factory, cup: Item) -> None:
        ada = make.user(role="customer")
        order = make.order((cup, 4), by=make.caller(role="customer", user=ada))

        with pytest.raises(FieldNotAllowed):
            edit(make, order.id, by=make.caller(role="customer", user=ada), discounts=[])
        changed = edit(
            make,
            order.id,
            discounts=[{"label": "TEN", "amount": Decimal("1.00")}],
            taxes=[{"label": "VAT", "rate": "20", "amount": Decimal("1.80")}],
        )

        assert (changed.subtotal, changed.discount_total, changed.tax_total, changed.total) == (
            Decimal(10),
            Decimal(1),
            Decimal("1.80"),
            Decimal("10.80"),
        )

    def test_over_http_takes_the_version_and_exactly_one_of_many_wins(self, live_app: Flask) -> None:
        with committed(live_app) as make:
            item = make.item(stock=100)
            order = make.order((item, 1))
            headers, url, item_id = make.headers(), f"{ORDERS}/{order.id}", str(item.id)
        wanted = [{"lines": [{"item_id": item_id, "quantity": number + 2}]} for number in range(8)]
        client = live_app.test_client()

        blind = client.patch(url, json=wanted[0], headers=headers)
        answers = at_once(
            live_app,
            *(
                {"method": "PATCH", "path": url, "json": one, "headers": headers | {"If-Match": '"1"'}}
                for one in wanted
            ),
        )
        stale = client.patch(url, json=wanted[0], headers=headers | {"If-Match": '"1"'})

        assert_problem(blind, 428, "precondition_required", None)
        assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7
        assert stale.status_code == 412
        winner = next(answer for answer in answers if answer.status_code == 200).get_json()
        with live_app.app_context():
            assert differences(db.session()) == []
            reserved = db.session().execute(text("SELECT sum(reserved) FROM stock_levels")).scalar_one()
        assert reserved == winner["lines"][0]["quantity"]


class TestCancellingInPart:
    def test_gives_back_the_units_named_and_counts_them(
        self, make: Factory, session: Session, cup: Item, pot: Item, place: Location
    ) -> None:
        order = make.order((cup, 4), (pot, 2))
        lines = [orders.LineChoice(sku=cup.sku.lower(), quantity=3), orders.LineChoice(line_no=2, quantity=1)]

        changed = orders.cancel(session, order.id, currency=GBP, by=make.by, lines=lines)

        assert [line.cancelled_quantity for line in changed.lines] == [3, 1]
        assert (changed.status, changed.cancelled_total, changed.balance_due) == (
            "placed",
            Decimal("20.25"),
            Decimal("15.25"),
        )
        assert [level(session, item, place) for item in (cup, pot)] == [Level(10, 1), Level(10, 1)]

    def test_until_nothing_is_left_cancels_the_order_and_its_charges(
        self, make: Factory, session: Session, cup: Item
    ) -> None:
        order = make.order((cup, 4), taxes=[{"label": "VAT", "amount": Decimal(2)}])
        line = orders.LineChoice(item_id=cup.id, quantity=2)

        first = orders.cancel(session, order.id, currency=GBP, by=make.by, lines=[line])
        half = first.status, first.balance_due
        second = orders.cancel(session, order.id, currency=GBP, by=make.by, lines=[line])

        assert half == ("placed", Decimal(7))
        assert (second.status, second.balance_due, second.payment_status) == ("cancelled", Decimal(0), "nothing_due")

    def test_of_more_than_is_outstanding_or_of_no_line_of_it_is_refused(
        self, make: Factory, session: Session, cup: Item, pot: Item
    ) -> None:
        order = make.order((cup, 4))

        with pytest.raises(ExceedsOutstanding) as refused:
            orders.cancel(
                session, order.id, currency=GBP, by=make.by, lines=[orders.LineChoice(item_id=cup.id, quantity=5)]
            )
        with pytest.raises(LineUnknown):
            orders.cancel(
                session, order.id, currency=GBP, by=make.by, lines=[orders.LineChoice(item_id=pot.id, quantity=1)]
            )

        assert refused.value.problems[0].facts == {"requested": 5, "available": 4}

    def test_of_an_item_on_several_lines_takes_them_in_their_order(
        self, make: Factory, session: Session, cup: Item
    ) -> None:
        order = make.order((cup, 2), (cup, 3))
        line = orders.LineChoice(item_id=cup.id, quantity=2)

        orders.cancel(session, order.id, currency=GBP, by=make.by, lines=[line])
        changed = orders.cancel(session, order.id, currency=GBP, by=make.by, lines=[line])

        assert [line.cancelled_quantity for line in changed.lines] == [2, 2]
        assert differences(session) == []


class TestTotals:
    def test_are_exact_and_rounded_once_half_to_even(self, make: Factory, place: Location) -> None:
        bead = make.item(stock=1000, at=place, unit_price=Decimal("0.001"))

        order = make.order((bead, 5), (bead, 10), discounts=[{"label": "D", "amount": Decimal("0.01")}])

        assert (order.subtotal, order.total) == (Decimal("0.015"), Decimal("0.00"))

    def test_are_never_less_than_nothing(self, make: Factory, cup: Item) -> None:
        with pytest.raises(DiscountTooLarge):
            make.order((cup, 1), discounts=[{"label": "D", "amount": Decimal("2.51")}])


class TestWhoDecidesWhat:
    @pytest.mark.parametrize(
        "facts",
        [{"discounts": []}, {"taxes": []}, {"hold_reason": "review"}, {"allocation_policy": "by_priority"}],
        ids=lambda facts: next(iter(facts)),
    )
    def test_customers_leave_it_to_the_house(self, make: Factory, cup: Item, facts: dict[str, Any]) -> None:
        with pytest.raises(FieldNotAllowed):
            make.order((cup, 1), by=make.caller(role="customer"), **facts)

    def test_staff_order_for_a_customer_who_then_sees_it(self, make: Factory, session: Session, cup: Item) -> None:
        ada = make.user(role="customer")

        order = make.order((cup, 1), customer_id=ada.id)

        assert orders.get(session, order.id, by=make.caller(role="customer", user=ada)).customer_id == ada.id

    def test_an_order_can_begin_on_hold(self, make: Factory, session: Session, cup: Item) -> None:
        order = make.order((cup, 1), hold_reason="Payment review")

        assert (order.status, order.held_at is None) == ("on_hold", False)
        assert orders.resume(session, order.id, by=make.by).status == "placed"


class TestTheTimeline:
    def test_tells_everything_in_order_and_customers_not_why_it_was_held(
        self, make: Factory, client: FlaskClient, cup: Item
    ) -> None:
        ada = make.user(role="customer")
        order = make.order((cup, 2), by=make.caller(role="customer", user=ada))
        orders.hold(make.session, order.id, reason="fraud?", by=make.by)
        orders.resume(make.session, order.id, by=make.by)
        edit(make, order.id, note="Ring twice.")
        make.payment(order, "5.00")
        make.shipment(order)
        url = f"{ORDERS}/{order.id}/timeline"

        staff = client.get(url, headers=make.headers(role="clerk")).get_json()["data"]
        customer = client.get(url, headers=make.headers(user=ada)).get_json()["data"]

        assert [one["type"] for one in staff] == [
            "order.placed",
            "order.held",
            "order.resumed",
            "order.edited",
            "order.payment_recorded",
            "order.shipped",
        ]
        assert staff[0]["actor_id"] == str(ada.id)
        assert [one["type"] for one in customer] == [
            "order.placed",
            "order.edited",
            "order.payment_recorded",
            "order.shipped",
        ]
        assert "actor_id" not in customer[0]
        shown = client.get(f"{ORDERS}/{order.id}", headers=make.headers(user=ada)).get_json()
        assert {"hold_reason", "created_by"}.isdisjoint(shown)


class TestWhatAnEditMeans:
    def test_an_item_is_named_by_the_sku_it_has_now(
        self, make: Factory, session: Session, cup: Item, pot: Item
    ) -> None:
        order = make.order((cup, 2), (pot, 1))
        session.execute(text("UPDATE items SET sku = 'NEW', unit_price = 99 WHERE id = :id"), {"id": cup.id})
        session.execute(text("UPDATE items SET sku = :sku WHERE id = :id"), {"sku": order.lines[0].sku, "id": pot.id})

        changed = edit(
            make, order.id, lines=[{"sku": "new", "quantity": 1}, {"sku": order.lines[0].sku, "quantity": 3}]
        )

        assert [(line.line_no, line.item_id, line.quantity, line.unit_price) for line in changed.lines] == [
            (1, cup.id, 1, Decimal("2.50")),
            (2, pot.id, 3, Decimal("12.75")),
        ]

    def test_customers_get_more_at_the_price_of_now_only(self, make: Factory, session: Session, cup: Item) -> None:
        ada = make.user(role="customer")
        order = make.order((cup, 2), customer_id=ada.id)
        session.execute(text("UPDATE items SET unit_price = 3 WHERE id = :id"), {"id": cup.id})

        changed = edit(make, order.id, by=make.caller(role="customer", user=ada), lines=[of(cup, 5)])

        assert [(line.quantity, line.unit_price) for line in changed.lines] == [
            (2, Decimal("2.50")),
            (3, Decimal("3.00")),
        ]
        assert differences(session) == []

    def test_customers_leave_an_order_whole_whose_charges_were_worked_out(
        self, make: Factory, session: Session, cup: Item
    ) -> None:
        ada = make.user(role="customer")
        by = make.caller(role="customer", user=ada)
        order = make.order((cup, 4), customer_id=ada.id, discounts=[{"label": "TEN", "amount": Decimal(5)}])

        with pytest.raises(ChargedByHand):
            edit(make, order.id, by=by, lines=[of(cup, 5)])
        with pytest.raises(ChargedByHand):
            orders.cancel(session, order.id, currency=GBP, by=by, lines=[orders.LineChoice(line_no=1, quantity=2)])

        assert orders.cancel(session, order.id, currency=GBP, by=by).status == "cancelled"

    def test_how_it_was_placed_still_holds(self, make: Factory, session: Session, place: Location) -> None:
        item = make.item(stock=2, at=place, backorders="allow")
        make.receive(item, 9, at=make.location())
        here = make.order((item, 1), location_id=place.id, allow_backorders=False)

        with pytest.raises(InsufficientStock), session.begin_nested():
            edit(make, here.id, lines=[of(item, 3)])
        edit(make, here.id, lines=[of(item, 2)])

        assert level(session, item, place) == Level(2, 2)

    def test_more_of_what_is_no_longer_sold_is_refused(self, make: Factory, session: Session, cup: Item) -> None:
        order = make.order((cup, 2))
        session.execute(text("UPDATE items SET archived_at = now() WHERE id = :id"), {"id": cup.id})

        with pytest.raises(ItemArchived):
            edit(make, order.id, lines=[of(cup, 3)])
        assert edit(make, order.id, lines=[of(cup, 1)]).lines[0].quantity == 1

    def test_what_was_granted_and_cancelled_is_never_more_than_was_ordered(
        self, make: Factory, session: Session, cup: Item
    ) -> None:
        order = make.order((cup, 2))
        make.payment(order, "5.00")
        make.shipment(order, (cup, 1))
        returns.receive(session, order.id, make.return_(order).id, by=make.by, refund_amount=Decimal(5))
        make.payment(order, "5.00", kind="refund")

        left = orders.cancel(session, order.id, currency=GBP, by=make.by)

        assert (left.status, left.balance_due) == ("returned", Decimal(0))


def test_units_that_come_change_the_tag_of_those_who_wait(make: Factory, client: FlaskClient, place: Location) -> None:
    item = make.item(stock=1, at=place, backorders="allow")
    headers = make.headers()
    placed = client.post(ORDERS, json={"lines": [{"item_id": str(item.id), "quantity": 3}]}, headers=headers)
    url, tag = f"{ORDERS}/{placed.get_json()['id']}", placed.headers["ETag"]

    same = client.get(url, headers=headers | {"If-None-Match": tag})
    make.receive(item, 5, at=place)
    other = client.get(url, headers=headers | {"If-None-Match": tag})
    changed = client.patch(url, json={"note": "Soon."}, headers=headers | {"If-Match": other.headers["ETag"]})

    assert (same.status_code, other.status_code, changed.status_code) == (304, 200, 200)
