"""Stock is kept for a while: never longer, never for two, and never without the ledger knowing."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from api.core import ids
from api.core.caller import Caller
from api.items import service as items
from api.locations import service as locations
from api.locations.errors import LocationArchived, LocationUnknown
from api.reservations import service as reservations
from api.reservations.errors import (
    CustomerUnknown,
    ExpiryTooEarly,
    FieldNotAllowed,
    ItemArchived,
    KeptTooLong,
    ReservationEnded,
    ReservationLimitReached,
    ReservationNotFound,
)
from api.stock import service as stock
from api.stock.errors import InsufficientStock, ItemNotStocked, ItemUnknown, RepeatedItem
from tests.reservations.clock import end, grow_old
from tests.stock.reading import Level, differences, ledger, level
from tests.stock.test_plans import explained, nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Row
    from sqlalchemy.orm import Session

    from api.items.models import Item
    from api.locations.models import Location
    from api.reservations.models import Reservation
    from tests.factories import Factory

DAY = 86_400
MANY_HELD = text("""
    INSERT INTO reservations (id, status, expires_at)
    SELECT gen_random_uuid(), 'held', clock_timestamp() + (n - 2) * interval '1 minute'
    FROM generate_series(1, 3000) AS n
""")


class TestAReservation:
    def test_keeps_units_from_everybody_else(
        self, make: Factory, session: Session, item: Item, place: Location
    ) -> None:
        reservation = make.reservation((item, 4), reference="CART-7", note="Two\nlines")

        assert (reservation.status, reservation.status_now, reservation.version_now) == ("held", "held", 1)
        assert (reservation.reference, reservation.note, reservation.ended_now) == ("CART-7", "Two\nlines", None)
        (line,) = reservation.lines
        assert (line.line_no, line.item_id, line.sku, line.name, line.quantity) == (1, item.id, item.sku, item.name, 4)
        assert level(session, item, place) == Level(10, 4)
        with pytest.raises(InsufficientStock):
            make.order((item, 7))
        with pytest.raises(InsufficientStock):
            make.reservation((item, 7))
        assert differences(session) == []

    def test_lasts_as_long_as_asked_by_the_clock_of_the_database(
        self, make: Factory, session: Session, item: Item
    ) -> None:
        before = stock.clock(session)
        reservation = make.reservation((item, 1), ttl_seconds=60)
        after = stock.clock(session)

        assert before <= reservation.expires_at - timedelta(seconds=60) <= after
        kept = session.execute(text("SELECT expires_at FROM allocations WHERE owner_id = :id"), {"id": reservation.id})
        assert kept.scalars().all() == [reservation.expires_at]

    def test_is_all_or_nothing_and_names_every_shortage(
        self, make: Factory, session: Session, item: Item, place: Location
    ) -> None:
        other = make.item(stock=1, at=place)

        with pytest.raises(InsufficientStock) as refused:
            make.reservation((item, 11), (other, 2))

        assert [problem.field for problem in refused.value.problems] == ["lines.0.quantity", "lines.1.quantity"]
        assert (level(session, item, place), level(session, other, place)) == (Level(10, 0), Level(1, 0))
        assert reservations.listing(session, by=make.by).count(session, at_most=1) == 0

    def test_never_waits_for_units_that_may_be_backordered(self, make: Factory, place: Location) -> None:
        item = make.item(stock=1, at=place, backorders="allow")

        with pytest.raises(InsufficientStock):
            make.reservation((item, 2))

    def test_keeps_units_where_it_is_told_to(self, make: Factory, session: Session, item: Item) -> None:
        elsewhere = make.location()
        make.receive(item, 3, at=elsewhere)

        make.reservation((item, 3), location_id=elsewhere.id)

        assert level(session, item, elsewhere) == Level(3, 3)
        with pytest.raises(InsufficientStock):
            make.reservation((item, 1), location_id=elsewhere.id)

    def test_goes_by_the_policy_for_locations(self, make: Factory, session: Session) -> None:
        first, second = make.location(priority=1), make.location(priority=2)
        item = make.item(stock=1, at=first)
        make.receive(item, 5, at=second)
        strictly = reservations.Terms(units=9, reservations=9, policy="by_priority")

        make.reservation((item, 3), terms=strictly)

        assert (level(session, item, first), level(session, item, second)) == (Level(1, 1), Level(5, 2))

    def test_needs_a_place_that_is_there_and_in_use(self, make: Factory, session: Session, item: Item) -> None:
        archived = make.location()
        locations.archive(session, archived.id, by=make.by)

        for refusal, location_id in ((LocationUnknown, uuid4()), (LocationArchived, archived.id)):
            with pytest.raises(refusal):
                make.reservation((item, 1), location_id=location_id)

    def test_is_of_items_that_lie_somewhere_and_are_sold(self, make: Factory, session: Session, item: Item) -> None:
        service, archived, gone = make.item(is_stocked=False), make.item(), make.item()
        items.archive(session, archived.id, by=make.by)
        items.archive(session, gone.id, by=make.by)

        with pytest.raises(ItemNotStocked) as refused:
            make.reservation((item, 1), (service, 1))
        assert refused.value.problem.field == "lines.1.item_id"
        with pytest.raises(ItemArchived) as dead:
            make.reservation((archived, 1), (item, 1), (gone, 1))
        assert [problem.field for problem in dead.value.problems] == ["lines.0.item_id", "lines.2.item_id"]
        with pytest.raises(RepeatedItem):
            make.reservation((item, 1), (item, 1))

    def test_is_of_items_that_are_there(self, make: Factory, session: Session) -> None:
        lines, terms = [stock.Line(item_id=uuid4(), quantity=1)], reservations.Terms(units=9, reservations=9)

        with pytest.raises(ItemUnknown):
            reservations.create(session, lines=lines, ttl_seconds=9, terms=terms, by=make.by)

    def test_of_a_customer_is_their_own(self, make: Factory, item: Item) -> None:
        user = make.user(role="customer")
        customer, clerk = make.caller(user=user, role="customer"), make.caller(role="clerk")

        own, for_them = (
            make.reservation((item, 1), by=customer),
            make.reservation((item, 1), by=clerk, customer_id=user.id),
        )
        guests = make.reservation((item, 1), by=clerk)

        assert (own.customer_id, own.created_by) == (user.id, user.id)
        assert (for_them.customer_id, for_them.created_by) == (user.id, clerk.user_id)
        assert (guests.customer_id, guests.created_by) == (None, clerk.user_id)
        with pytest.raises(FieldNotAllowed):
            make.reservation((item, 1), by=customer, customer_id=uuid4())
        with pytest.raises(CustomerUnknown):
            make.reservation((item, 1), by=clerk, customer_id=uuid4())

    def test_of_somebody_else_is_not_there(self, make: Factory, session: Session, item: Item) -> None:
        stranger = make.caller(role="customer")
        theirs = [make.reservation((item, 1)), make.reservation((item, 1), by=make.caller(role="customer"))]

        for reservation_id in [*(one.id for one in theirs), uuid4()]:
            for act in (reservations.get, reservations.release, extend, take):
                with pytest.raises(ReservationNotFound):
                    act(session, reservation_id, by=stranger)

    def test_tells_what_becomes_of_it(self, make: Factory, session: Session, item: Item) -> None:
        first, second, third = (make.reservation((item, 1), reference="CART-7") for _ in range(3))
        extend(session, first.id, by=make.by)
        reservations.release(session, first.id, by=make.by)
        order_id = take(session, second.id, by=make.by).order_id
        end(session, third.id)
        reservations.lapse(session, by=make.by)

        assert [row.type for row in news(session, first)] == [
            "reservation.created", "reservation.extended", "reservation.released"
        ]  # fmt: skip
        assert [row.type for row in news(session, third)] == ["reservation.created", "reservation.lapsed"]
        created, ordered = news(session, second)
        assert created.data["lines"] == [{"item_id": str(item.id), "sku": item.sku, "quantity": 1}]
        assert (created.data["reference"], ordered.data["order_id"]) == ("CART-7", str(order_id))


class TestExtending:
    def test_keeps_the_units_until_later(self, make: Factory, session: Session, item: Item) -> None:
        reservation = make.reservation((item, 4), ttl_seconds=60)
        before = reservation.expires_at

        extended = extend(session, reservation.id, by=make.by, ttl_seconds=600)

        assert (extended.version_now, extended.status_now) == (2, "held")
        assert timedelta(seconds=530) < extended.expires_at - before < timedelta(seconds=600)
        kept = session.execute(text("SELECT expires_at FROM allocations WHERE owner_id = :id"), {"id": reservation.id})
        assert kept.scalars().all() == [extended.expires_at]

    def test_never_shortens_it(self, make: Factory, session: Session, item: Item) -> None:
        reservation = make.reservation((item, 1), ttl_seconds=600)

        with pytest.raises(ExpiryTooEarly) as refused:
            extend(session, reservation.id, by=make.by, ttl_seconds=500)

        assert refused.value.problem.field == "ttl_seconds"
        assert reservation.expires_at.isoformat() in refused.value.problem.message

    def test_ends_thirty_days_after_it_was_made(self, make: Factory, session: Session, item: Item) -> None:
        reservation = make.reservation((item, 1))
        grow_old(session, reservation.id, seconds=20 * DAY)

        extend(session, reservation.id, by=make.by, ttl_seconds=10 * DAY - 3600)
        with pytest.raises(KeptTooLong):
            extend(session, reservation.id, by=make.by, ttl_seconds=10 * DAY + 3600)


class TestReleasing:
    def test_gives_everything_back(self, make: Factory, session: Session, item: Item, place: Location) -> None:
        other = make.item(stock=3, at=place)
        reservation = make.reservation((item, 4), (other, 3))

        released = reservations.release(session, reservation.id, by=make.by)

        assert (released.status_now, released.version_now) == ("released", 2)
        assert released.ended_now is not None
        assert (level(session, item, place), level(session, other, place)) == (Level(10, 0), Level(3, 0))
        assert differences(session) == []

    def test_lets_those_who_wait_have_the_units(self, make: Factory, session: Session, place: Location) -> None:
        item = make.item(stock=5, at=place, backorders="allow")
        reservation = make.reservation((item, 5))
        order = make.order((item, 3))

        reservations.release(session, reservation.id, by=make.by)

        assert [row.quantity for row in stock.promises(session, order.id)] == [3]
        assert level(session, item, place) == Level(5, 3)


class TestBecomingAnOrder:
    def test_hands_the_units_over_for_good(self, make: Factory, session: Session, item: Item, place: Location) -> None:
        reservation = make.reservation((item, 4))
        placed = order_of(make, reservation)

        ended = reservations.get(session, reservation.id, by=make.by)

        assert (ended.status_now, ended.order_id, ended.version_now) == ("ordered", placed.id, 2)
        assert level(session, item, place) == Level(10, 4)
        kept = session.execute(text("SELECT owner_id, line_no, quantity, expires_at FROM allocations")).all()
        assert [tuple(row) for row in kept] == [(placed.id, 1, 4, None)]
        assert [row.kind for row in ledger(session, item)] == ["receipt", "reserve"]
        assert differences(session) == []

    def test_ends_it_once(self, make: Factory, session: Session, item: Item) -> None:
        reservation = make.reservation((item, 4))
        order_of(make, reservation)

        for act in (take, extend, reservations.release):
            with pytest.raises(ReservationEnded) as refused:
                act(session, reservation.id, by=make.by)
            assert "This reservation is ordered" in refused.value.problem.message


class TestWhoseTimeIsOver:
    def test_has_lapsed_although_nobody_has_written_it(
        self, make: Factory, session: Session, item: Item, place: Location
    ) -> None:
        reservation = make.reservation((item, 4))
        tag = reservation.version_now

        moment = end(session, reservation.id)

        found = reservations.get(session, reservation.id, by=make.by)
        assert (found.status, found.status_now, found.version_now) == ("held", "lapsed", tag + 1)
        assert found.ended_now == found.updated_now == moment
        assert level(session, item, place) == Level(10, 4)
        assert stock.availability(session, item.id).available == 10
        (shown,) = stock.levels(session, item_id=item.id).page(session, limit=1, after=None)[0]
        assert (shown.reserved, shown.available) == (0, 10)
        assert differences(session) == []

    def test_looks_the_same_when_it_has_been_written(self, make: Factory, session: Session, item: Item) -> None:
        reservation = make.reservation((item, 4))
        end(session, reservation.id)

        unwritten = seen(reservations.get(session, reservation.id, by=make.by))
        reservations.lapse(session, by=make.by)
        written = reservations.get(session, reservation.id, by=make.by)

        assert written.status == "lapsed"
        assert seen(written) == unwritten

    def test_can_neither_be_extended_nor_released_nor_ordered(
        self, make: Factory, session: Session, item: Item
    ) -> None:
        reservation = make.reservation((item, 4))
        end(session, reservation.id)

        for _ in range(2):  # before it has been written, and after
            for act in (take, extend, reservations.release):
                with pytest.raises(ReservationEnded) as refused:
                    act(session, reservation.id, by=make.by)
                assert "This reservation is lapsed" in refused.value.problem.message
            reservations.lapse(session, by=make.by)

    def test_gives_way_to_a_buyer_without_anybody_sweeping(
        self, make: Factory, session: Session, item: Item, place: Location
    ) -> None:
        other = make.item(stock=2, at=place)
        reservation = make.reservation((item, 6), (other, 2))
        moment = end(session, reservation.id)

        make.order((item, 10))

        assert (level(session, item, place), level(session, other, place)) == (Level(10, 10), Level(2, 2))
        lapsed = ledger(session, item)[-2]
        assert (lapsed.kind, lapsed.reason, lapsed.source_id) == ("release", "lapsed", reservation.id)
        assert lapsed.occurred_at == moment
        assert differences(session) == []
        reservations.lapse(session, by=make.by)
        assert (level(session, item, place), level(session, other, place)) == (Level(10, 10), Level(2, 0))
        assert differences(session) == []

    def test_gives_way_to_another_reservation(
        self, make: Factory, session: Session, item: Item, place: Location
    ) -> None:
        end(session, make.reservation((item, 6)).id)

        make.reservation((item, 10))

        assert level(session, item, place) == Level(10, 10)


class TestTheSweep:
    def test_writes_what_has_lapsed_at_the_moment_its_time_was_over(
        self, make: Factory, session: Session, item: Item, place: Location
    ) -> None:
        over, held = make.reservation((item, 4)), make.reservation((item, 3))
        moment = end(session, over.id)

        assert reservations.lapse(session, by=Caller.system()) == 1

        found = reservations.get(session, over.id, by=make.by)
        assert (found.status, found.ended_at, found.version) == ("lapsed", moment, 2)
        assert reservations.get(session, held.id, by=make.by).status == "held"
        assert level(session, item, place) == Level(10, 3)
        release = ledger(session, item)[-1]
        assert (release.kind, release.reason, release.source_id) == ("release", "lapsed", over.id)
        assert release.occurred_at == moment
        assert release.occurred_at < release.recorded_at
        assert news(session, over)[-1].data["expires_at"] == moment.isoformat()
        assert differences(session) == []
        assert stock.verify(session).agrees

    def test_finds_nothing_twice(self, make: Factory, session: Session, item: Item) -> None:
        end(session, make.reservation((item, 4)).id)

        assert [reservations.lapse(session, by=make.by) for _ in range(2)] == [1, 0]

    def test_takes_so_many_at_a_time_those_first_whose_time_was_over_first(
        self, make: Factory, session: Session, item: Item
    ) -> None:
        made = [make.reservation((item, 1)).id for _ in range(3)]
        for reservation_id in reversed(made):
            end(session, reservation_id)

        assert reservations.lapse(session, by=make.by, at_most=2) == 2

        assert [reservations.get(session, one, by=make.by).status for one in made] == ["held", "lapsed", "lapsed"]
        deferred = text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'stockroom:lapse_more_reservations'")
        assert session.scalar(deferred) == 1
        assert reservations.lapse(session, by=make.by, at_most=2) == 1
        assert session.scalar(deferred) == 1

    def test_lets_those_who_wait_have_the_units(self, make: Factory, session: Session, place: Location) -> None:
        item = make.item(stock=5, at=place, backorders="allow")
        reservation = make.reservation((item, 5))
        order = make.order((item, 3))
        end(session, reservation.id)

        reservations.lapse(session, by=make.by)

        assert [row.quantity for row in stock.promises(session, order.id)] == [3]
        assert differences(session) == []

    def test_asks_an_index_for_what_is_over(self, make: Factory, session: Session) -> None:
        session.execute(MANY_HELD)
        session.execute(text("ANALYZE reservations"))

        with explained() as plans:
            assert reservations.lapse(session, by=make.by) == 2

        entered = [node for plan in plans for node in nodes(plan) if node.get("Index Name") == "ix_reservations_held"]
        assert ["expires_at <=" in node["Index Cond"] for node in entered] == [True]


class TestTheCap:
    def test_counts_the_units_of_a_customer_in_all(self, make: Factory, item: Item, few: reservations.Terms) -> None:
        customer = make.caller(role="customer")
        make.reservation((item, 3), by=customer, terms=few)

        with pytest.raises(ReservationLimitReached) as refused:
            make.reservation((item, 3), by=customer, terms=few)

        (problem,) = refused.value.problems
        assert problem.facts == {"limit": "units", "held": 3, "requested": 3, "allowed": 5}
        make.reservation((item, 2), by=customer, terms=few)

    def test_counts_the_reservations_of_a_customer(self, make: Factory, item: Item, few: reservations.Terms) -> None:
        customer = make.caller(role="customer")
        for _ in range(2):
            make.reservation((item, 1), by=customer, terms=few)

        with pytest.raises(ReservationLimitReached) as refused:
            make.reservation((item, 1), by=customer, terms=few)

        (problem,) = refused.value.problems
        assert problem.facts == {"limit": "reservations", "held": 2, "requested": 1, "allowed": 2}

    @pytest.mark.parametrize("how", ["released", "ordered", "lapsed by the clock"])
    def test_forgets_what_has_ended(
        self, make: Factory, session: Session, item: Item, few: reservations.Terms, how: str
    ) -> None:
        customer = make.caller(role="customer")
        first = make.reservation((item, 5), by=customer, terms=few)
        endings: dict[str, Callable[[], object]] = {
            "released": lambda: reservations.release(session, first.id, by=customer),
            "ordered": lambda: order_of(make, first),
            "lapsed by the clock": lambda: end(session, first.id),
        }
        endings[how]()

        assert make.reservation((item, 5), by=customer, terms=few).status_now == "held"

    def test_is_each_customers_own(self, make: Factory, item: Item, few: reservations.Terms) -> None:
        for _ in range(2):
            make.reservation((item, 5), by=make.caller(role="customer"), terms=few)

    @pytest.mark.parametrize(("units", "count"), [(0, 9), (9, 0)], ids=["no units", "no reservations"])
    def test_of_nothing_lets_customers_reserve_nothing(self, make: Factory, item: Item, units: int, count: int) -> None:
        none = reservations.Terms(units=units, reservations=count)

        with pytest.raises(ReservationLimitReached):
            make.reservation((item, 1), by=make.caller(role="customer"), terms=none)

    def test_does_not_bind_staff(self, make: Factory, item: Item) -> None:
        none, clerk = reservations.Terms(units=0, reservations=0), make.caller(role="clerk")

        make.reservation((item, 1), by=clerk, terms=none)
        make.reservation((item, 1), by=clerk, terms=none, customer_id=make.user(role="customer").id)


def extend(session: Session, reservation_id: UUID, *, by: Caller, ttl_seconds: int = 1800) -> Reservation:
    return reservations.extend(session, reservation_id, ttl_seconds=ttl_seconds, by=by)


def take(session: Session, reservation_id: UUID, *, by: Caller) -> Reservation:
    return reservations.take(session, reservation_id, order_id=ids.new(), by=by)


def order_of(make: Factory, reservation: Reservation) -> Any:
    return make.order(reservation_id=reservation.id)


def seen(reservation: Reservation) -> tuple[object, ...]:
    return (reservation.status_now, reservation.ended_now, reservation.updated_now, reservation.version_now)


def news(session: Session, reservation: Reservation) -> Sequence[Row[Any]]:
    query = text("SELECT type, data FROM events WHERE subject_id = :id ORDER BY id")
    return session.execute(query, {"id": reservation.id}).all()


@pytest.fixture
def place(make: Factory) -> Location:
    return make.location()


@pytest.fixture
def item(make: Factory, place: Location) -> Item:
    return make.item(stock=10, at=place)


@pytest.fixture
def few() -> reservations.Terms:
    return reservations.Terms(units=5, reservations=2)
