"""Units go from one location to another, and never to two, nor to none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from api.locations import service as locations
from api.locations.errors import LocationArchived, LocationReserved, LocationUnknown
from api.stock import service as stock
from api.stock.errors import InsufficientStock, InsufficientStockThen, LevelChanged
from api.transfers import service as transfers
from api.transfers.errors import ExceedsInTransit, InvalidTransition, SameLocation, TransferNotFound
from tests.stock.reading import Level, differences, ledger, level

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.items.models import Item
    from api.locations.models import Location
    from tests.factories import Factory

pytestmark = pytest.mark.usefixtures("noise")


class TestATransferAtOnce:
    def test_moves_units_and_is_completed(
        self, make: Factory, session: Session, item: Item, source: Location, target: Location
    ) -> None:
        transfer = make.transfer((item, 4), source=source, target=target, in_transit=False)

        assert (level(session, item, source), level(session, item, target)) == (Level(6, 0), Level(4, 0))
        assert (transfer.status, transfer.version) == ("completed", 1)
        assert transfer.completed_at == transfer.sent_at
        (line,) = transfer.lines
        assert (line.quantity, line.received_quantity, line.outstanding_quantity) == (4, 4, 0)
        assert (line.sku, line.name) == (item.sku, item.name)
        assert (transfer.from_location_code, transfer.to_location_code) == (source.code, target.code)

    def test_is_in_the_ledger_on_both_sides(
        self, make: Factory, session: Session, item: Item, source: Location, target: Location
    ) -> None:
        transfer = make.transfer((item, 4), source=source, target=target, in_transit=False, reference="WB-1")

        moved = [row for row in ledger(session, item) if row.kind == "transfer"]
        assert {(row.location_id, row.on_hand_change) for row in moved} == {(source.id, -4), (target.id, 4)}
        assert {(row.source_id, row.reference, row.occurred_at) for row in moved} == {
            (transfer.id, "WB-1", transfer.sent_at)
        }

    def test_carries_worth_so_that_nothing_is_gained_or_lost(
        self, make: Factory, session: Session, source: Location, target: Location
    ) -> None:
        item = make.item()
        receive(session, item, 3, at=source, unit_cost="1.0001", by=make)
        receive(session, item, 7, at=source, unit_cost="2.55", by=make)
        receive(session, item, 5, at=target, unit_cost="9", by=make)
        before = values(session, item)

        make.transfer((item, 4), source=source, target=target, in_transit=False)

        after = values(session, item)
        assert sum(after.values()) == sum(before.values())
        carried = before[source.id] - after[source.id]
        assert carried == Decimal("8.3401")  # 4 of 10 units worth 20.8503, to the ten-thousandth
        shown = stock.levels(session, item_id=item.id, location_id=target.id).page(session, limit=1, after=None)[0][0]
        assert shown.average_cost == round((Decimal(45) + carried) / 9, 4)

    def test_can_take_everything_and_leaves_no_worth_behind(
        self, make: Factory, session: Session, source: Location, target: Location
    ) -> None:
        item = make.item()
        receive(session, item, 3, at=source, unit_cost="0.3333", by=make)

        make.transfer((item, 3), source=source, target=target, in_transit=False)

        assert values(session, item) == {source.id: 0, target.id: Decimal("0.9999")}

    @pytest.mark.parametrize("kinds", [("quarantine", "warehouse"), ("warehouse", "quarantine"), ("store", "store")])
    def test_goes_between_all_places_people_make(self, make: Factory, session: Session, kinds: tuple[str, str]) -> None:
        here, there = (make.location(kind=kind) for kind in kinds)
        item = make.item(stock=2, at=here)

        make.transfer((item, 2), source=here, target=there, in_transit=False)

        assert (level(session, item, here), level(session, item, there)) == (Level(0, 0), Level(2, 0))

    def test_can_be_dated_back_as_far_as_the_units_were_there(
        self, make: Factory, session: Session, source: Location, target: Location
    ) -> None:
        item, then = make.item(), datetime(2026, 5, 1, tzinfo=UTC)
        lines = [stock.Line(item_id=item.id, quantity=5)]
        stock.receive(session, location_id=source.id, lines=lines, by=make.by, occurred_at=then)

        transfer = make.transfer(
            (item, 5), source=source, target=target, in_transit=False, occurred_at=then + timedelta(days=1)
        )

        assert transfer.sent_at == transfer.completed_at == then + timedelta(days=1)
        with pytest.raises(InsufficientStockThen):
            make.transfer((item, 1), source=target, target=source, in_transit=False, occurred_at=then)

    def test_of_promised_units_is_refused_with_every_shortage(
        self, make: Factory, session: Session, item: Item, source: Location, target: Location
    ) -> None:
        other = make.item(stock=1, at=source)
        make.order((item, 8), location_id=source.id)

        with pytest.raises(InsufficientStock) as refused:
            make.transfer((item, 3), (other, 2), source=source, target=target, in_transit=False)

        assert [(problem.field, problem.facts) for problem in refused.value.problems] == [
            ("lines.0.quantity", {"item_id": str(item.id), "sku": item.sku, "requested": 3, "available": 2}),
            ("lines.1.quantity", {"item_id": str(other.id), "sku": other.sku, "requested": 2, "available": 1}),
        ]
        assert level(session, item, target) == Level(0, 0)

    def test_is_refused_when_the_source_is_not_as_expected(
        self, make: Factory, session: Session, item: Item, source: Location, target: Location
    ) -> None:
        line = stock.Line(item_id=item.id, quantity=1, expected_on_hand=9)

        with pytest.raises(LevelChanged):
            transfers.send(session, from_location_id=source.id, to_location_id=target.id, lines=[line], by=make.by)

        assert level(session, item, source) == Level(10, 0)

    def test_to_where_it_comes_from_is_refused(self, make: Factory, item: Item, source: Location) -> None:
        with pytest.raises(SameLocation) as refused:
            make.transfer((item, 1), source=source, target=source)
        assert refused.value.problem.field == "to_location_id"

    @pytest.mark.parametrize("end", ["from_location_id", "to_location_id"])
    def test_needs_two_places_that_are_there_and_in_use(
        self, make: Factory, session: Session, item: Item, source: Location, target: Location, end: str
    ) -> None:
        archived = make.location()
        locations.archive(session, archived.id, by=make.by)
        wrong = {LocationUnknown: uuid4(), LocationArchived: archived.id, LocationReserved: locations.transit(session)}

        for refusal, place in wrong.items():
            places: dict[str, Any] = {"from_location_id": source.id, "to_location_id": target.id, end: place}
            with pytest.raises(refusal) as refused:
                transfers.send(session, **places, lines=[stock.Line(item_id=item.id, quantity=1)], by=make.by)
            assert refused.value.problem.field == end


class TestATransferOnItsWay:
    def test_lies_on_the_road_where_nobody_can_touch_it(
        self, make: Factory, session: Session, item: Item, source: Location, target: Location
    ) -> None:
        transfer = make.transfer((item, 4), source=source, target=target)

        road = road_of(session)
        assert level(session, item, source) == Level(6, 0)
        assert level(session, item, road) == Level(4, 4)
        assert level(session, item, target) == Level(0, 0)
        assert (transfer.status, transfer.completed_at) == ("in_transit", None)
        availability = stock.availability(session, item.id)
        assert (availability.available, availability.in_transit) == (6, 4)
        with pytest.raises(InsufficientStock):
            make.order((item, 7))
        with pytest.raises(LocationReserved):
            stock.adjust(
                session,
                location_id=road.id,
                lines=[stock.Line(item_id=item.id, quantity=-1)],
                reason="lost",
                by=make.by,
            )

    def test_arrives_in_parts(
        self, make: Factory, session: Session, item: Item, source: Location, target: Location
    ) -> None:
        other = make.item(stock=5, at=source)
        transfer = make.transfer((item, 4), (other, 5), source=source, target=target)

        seen = []
        for lines in ([(other, 2)], [(item, 4), (other, 1)], None):
            transfer = transfers.receive(session, transfer.id, lines=lines_of(lines) if lines else None, by=make.by)
            seen += [(transfer.status, transfer.version, [line.received_quantity for line in transfer.lines])]
            assert differences(session) == []

        assert seen == [("in_transit", 2, [0, 2]), ("in_transit", 3, [4, 3]), ("completed", 4, [4, 5])]
        assert (level(session, item, target), level(session, other, target)) == (Level(4, 0), Level(5, 0))
        assert level(session, other, road_of(session)) == Level(0, 0)
        assert transfer.completed_at is not None

    def test_gives_no_more_than_it_carries_and_names_every_line_that_asks_for_it(
        self, make: Factory, session: Session, item: Item, source: Location, target: Location
    ) -> None:
        other, stranger = make.item(stock=5, at=source), make.item(stock=5, at=source)
        transfer = make.transfer((item, 4), (other, 5), source=source, target=target)
        transfers.receive(session, transfer.id, lines=lines_of([(item, 3)]), by=make.by)

        for take in (transfers.receive, lost):
            with pytest.raises(ExceedsInTransit) as refused:
                take(session, transfer.id, lines=lines_of([(item, 2), (other, 5), (stranger, 1)]), by=make.by)
            assert [(problem.field, problem.facts) for problem in refused.value.problems] == [
                ("lines.0.quantity", {"item_id": str(item.id), "requested": 2, "in_transit": 1}),
                ("lines.2.quantity", {"item_id": str(stranger.id), "requested": 1, "in_transit": 0}),
            ]

        assert level(session, other, target) == Level(0, 0)

    def test_keeps_its_worth_on_the_road(
        self, make: Factory, session: Session, source: Location, target: Location
    ) -> None:
        item = make.item()
        receive(session, item, 7, at=source, unit_cost="1.4286", by=make)
        receive(session, item, 3, at=target, unit_cost="3.3333", by=make)
        whole = sum(values(session, item).values())

        transfer = make.transfer((item, 5), source=source, target=target)
        for quantity in (2, 1, 2):
            assert sum(values(session, item).values()) == whole
            transfers.receive(session, transfer.id, lines=lines_of([(item, quantity)]), by=make.by)

        assert sum(values(session, item).values()) == whole
        assert values(session, item)[road_of(session).id] == 0

    def test_beside_another_of_the_same_item_keeps_to_its_own_units(
        self, make: Factory, session: Session, item: Item, source: Location, target: Location
    ) -> None:
        mine, theirs = (make.transfer((item, 3), source=source, target=target) for _ in range(2))

        transfers.receive(session, mine.id, by=make.by)

        assert level(session, item, road_of(session)) == Level(3, 3)
        assert transfers.get(session, theirs.id).lines[0].outstanding_quantity == 3
        with pytest.raises(InvalidTransition):
            transfers.receive(session, mine.id, by=make.by)

    def test_waits_for_an_archived_target(
        self, make: Factory, session: Session, item: Item, source: Location, target: Location
    ) -> None:
        transfer = make.transfer((item, 3), source=source, target=target)
        locations.archive(session, target.id, by=make.by)

        with pytest.raises(LocationArchived):
            transfers.receive(session, transfer.id, by=make.by)

        locations.restore(session, target.id, by=make.by)
        assert transfers.receive(session, transfer.id, by=make.by).status == "completed"


class TestCallingBack:
    def test_brings_everything_back(
        self, make: Factory, session: Session, item: Item, source: Location, target: Location
    ) -> None:
        before = values(session, item)[source.id]
        transfer = make.transfer((item, 4), source=source, target=target)

        transfer = transfers.cancel(session, transfer.id, reason="No room", by=make.by)

        assert (transfer.status, transfer.version, transfer.lines[0].returned_quantity) == ("cancelled", 2, 4)
        assert transfer.completed_at is not None
        assert (level(session, item, source), level(session, item, road_of(session))) == (Level(10, 0), Level(0, 0))
        assert values(session, item)[source.id] == before

    def test_what_has_partly_arrived_leaves_it_completed(
        self, make: Factory, session: Session, item: Item, source: Location, target: Location
    ) -> None:
        transfer = make.transfer((item, 4), source=source, target=target)
        transfers.receive(session, transfer.id, lines=lines_of([(item, 1)]), by=make.by)

        transfer = transfers.cancel(session, transfer.id, by=make.by)

        (line,) = transfer.lines
        assert (transfer.status, line.received_quantity, line.returned_quantity) == ("completed", 1, 3)
        assert (level(session, item, source), level(session, item, target)) == (Level(9, 0), Level(1, 0))

    def test_what_was_partly_lost_leaves_it_cancelled(
        self, make: Factory, session: Session, item: Item, source: Location, target: Location
    ) -> None:
        transfer = make.transfer((item, 4), source=source, target=target)
        lost(session, transfer.id, lines=lines_of([(item, 1)]), by=make.by)

        assert transfers.cancel(session, transfer.id, by=make.by).status == "cancelled"

    def test_to_an_archived_source_is_refused(
        self, make: Factory, session: Session, item: Item, source: Location, target: Location
    ) -> None:
        transfer = make.transfer((item, 10), source=source, target=target)
        locations.archive(session, source.id, by=make.by)

        with pytest.raises(LocationArchived) as refused:
            transfers.cancel(session, transfer.id, by=make.by)

        assert refused.value.problem.field == "from_location_id"
        assert level(session, item, road_of(session)) == Level(10, 10)


class TestWritingOff:
    def test_some_leaves_the_rest_on_the_road(
        self, make: Factory, session: Session, item: Item, source: Location, target: Location
    ) -> None:
        transfer = make.transfer((item, 4), source=source, target=target)

        transfer = lost(session, transfer.id, lines=lines_of([(item, 1)]), by=make.by)

        assert (transfer.status, transfer.version, transfer.lines[0].lost_quantity) == ("in_transit", 2, 1)
        gone = next(row for row in ledger(session, item) if row.kind == "adjustment")
        assert (gone.on_hand_change, gone.reserved_change, gone.reason) == (-1, -1, "lost")
        assert gone.source_id == transfer.id

    def test_all_completes_it_and_its_worth_is_gone(
        self, make: Factory, session: Session, source: Location, target: Location
    ) -> None:
        item = make.item()
        receive(session, item, 4, at=source, unit_cost="2.50", by=make)
        transfer = make.transfer((item, 3), source=source, target=target)

        transfer = transfers.write_off(session, transfer.id, reason="damaged", by=make.by)

        assert (transfer.status, transfer.lines[0].lost_quantity) == ("completed", 3)
        assert sum(values(session, item).values()) == Decimal("2.50")
        assert level(session, item, target) == Level(0, 0)


@pytest.mark.parametrize("end", ["received", "called back", "written off", "at once"])
def test_what_has_ended_stays_as_it_is(
    make: Factory, session: Session, item: Item, source: Location, target: Location, end: str
) -> None:
    transfer = make.transfer((item, 2), source=source, target=target, in_transit=end != "at once")
    endings: dict[str, Any] = {"received": transfers.receive, "called back": transfers.cancel, "written off": lost}
    if end in endings:
        endings[end](session, transfer.id, by=make.by)
    version = transfers.get(session, transfer.id).version

    for again in endings.values():
        with pytest.raises(InvalidTransition):
            again(session, transfer.id, by=make.by)

    assert transfers.get(session, transfer.id).version == version


def test_there_is_nothing_to_do_with_a_transfer_that_is_not_there(make: Factory, session: Session) -> None:
    for act in (transfers.receive, transfers.cancel, lost):
        with pytest.raises(TransferNotFound):
            act(session, uuid4(), by=make.by)


def test_news_of_a_transfer_tell_what_has_become_of_which_units(
    make: Factory, session: Session, item: Item, source: Location, target: Location
) -> None:
    transfer = make.transfer((item, 6), source=source, target=target, reference="WB-1")
    transfers.receive(session, transfer.id, lines=lines_of([(item, 3)]), by=make.by)
    lost(session, transfer.id, lines=lines_of([(item, 1)]), by=make.by)
    transfers.cancel(session, transfer.id, reason="Van broke down", by=make.by)

    rows = session.execute(
        text("SELECT type, data FROM events WHERE subject_id = :id ORDER BY id"), {"id": transfer.id}
    ).all()
    told = [(row.type, row.data["status"], row.data["lines"][0]["quantity"], row.data.get("reason")) for row in rows]
    assert told == [
        ("stock.transfer_sent", "in_transit", 6, None),
        ("stock.transfer_received", "in_transit", 3, None),
        ("stock.transfer_written_off", "in_transit", 1, "lost"),
        ("stock.transfer_cancelled", "completed", 2, "Van broke down"),
    ]
    assert {row.data["reference"] for row in rows} == {"WB-1"}


def lines_of(lines: list[tuple[Item, int]]) -> list[stock.Line]:
    return [stock.Line(item_id=item.id, quantity=quantity) for item, quantity in lines]


def lost(session: Session, transfer_id: UUID, **facts: Any) -> Any:
    return transfers.write_off(session, transfer_id, reason="lost", **facts)


def receive(session: Session, item: Item, quantity: int, *, at: Location, unit_cost: str, by: Factory) -> None:
    line = stock.Line(item_id=item.id, quantity=quantity, unit_cost=Decimal(unit_cost))
    stock.receive(session, location_id=at.id, lines=[line], by=by.by)


def values(session: Session, item: Item) -> dict[UUID, Decimal]:
    rows = session.execute(text("SELECT location_id, value FROM stock_levels WHERE item_id = :item"), {"item": item.id})
    return {row.location_id: row.value for row in rows}


def road_of(session: Session) -> Location:
    return locations.get(session, locations.transit(session))


@pytest.fixture
def source(make: Factory) -> Location:
    return make.location()


@pytest.fixture
def target(make: Factory) -> Location:
    return make.location()


@pytest.fixture
def item(make: Factory, source: Location) -> Item:
    return make.item(stock=10, at=source)


@pytest.fixture
def noise(make: Factory, session: Session, item: Item, source: Location, target: Location) -> Any:
    """Another transfer of other units on the same road; afterwards everything must add up."""
    make.transfer((make.item(stock=7, at=source), 7), source=source, target=target)
    assert level(session, item, source) == Level(10, 0)
    yield
    assert differences(session) == []
