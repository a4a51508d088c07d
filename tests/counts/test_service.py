"""People count while work goes on; what is booked is what was wrong, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from api.counts import service as counts
from api.counts.errors import CountNotFound, CountOpen, InvalidTransition
from api.locations import service as locations
from api.locations.errors import LocationArchived, LocationReserved, LocationUnknown
from api.stock import service as stock
from api.stock.errors import InsufficientStock, ItemUnknown, RepeatedItem
from tests.stock.reading import Level, differences, ledger, level, many_items

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from api.items.models import Item
    from api.locations.models import Location
    from tests.factories import Factory

pytestmark = pytest.mark.usefixtures("noise")


class TestOpening:
    def test_begins_with_nothing_counted(self, make: Factory, session: Session, place: Location) -> None:
        count = make.count(place, reference="STOCKTAKE-1")

        assert (count.status, count.location_id, count.location_code) == ("open", place.id, place.code)
        assert (count.items_counted, count.items_differing, count.items_moved, count.version) == (0, 0, 0, 1)
        assert told(session, count.id) == [
            ("stock.count_opened", {"location_id": str(place.id), "reference": "STOCKTAKE-1"})
        ]

    def test_of_a_location_that_is_being_counted_is_refused(self, make: Factory, place: Location) -> None:
        present = make.count(place)

        with pytest.raises(CountOpen) as refused:
            make.count(place)

        assert refused.value.problems[0].facts == {"count_id": str(present.id)}

    def test_is_possible_again_once_the_last_one_is_over(
        self, make: Factory, session: Session, place: Location
    ) -> None:
        counts.cancel(session, make.count(place).id, by=make.by)
        counts.post(session, make.count(place).id, by=make.by)

        assert make.count(place).status == "open"

    def test_needs_a_place_that_is_there_and_in_use(self, make: Factory, session: Session) -> None:
        archived = make.location()
        locations.archive(session, archived.id, by=make.by)
        wrong = {LocationUnknown: uuid4(), LocationArchived: archived.id, LocationReserved: locations.transit(session)}

        for refusal, location_id in wrong.items():
            with pytest.raises(refusal):
                counts.open_(session, location_id=location_id, by=make.by)


class TestEntering:
    def test_keeps_who_found_how_much_and_what_should_have_lain_there(
        self, make: Factory, session: Session, place: Location, item: Item
    ) -> None:
        count, clerk, new = make.count(place), make.caller(role="clerk"), make.item()
        lines = [counts.Found(sku=item.sku.lower(), quantity=9), counts.Found(item_id=new.id, quantity=2)]

        entered = counts.enter(session, count.id, lines=lines, by=clerk).entries

        assert [(entry.item_id, entry.sku, entry.quantity, entry.on_hand, entry.counted_by) for entry in entered] == [
            (item.id, item.sku, 9, 10, clerk.user_id),
            (new.id, new.sku, 2, 0, clerk.user_id),
        ]
        listed = rows(session, counts.entries(session, count.id))
        assert [(row.id, row.counted_at, row.is_replaced) for row in listed] == [
            (entry.id, entry.counted_at, False) for entry in entered
        ]

    def test_of_one_item_on_several_shelves_adds_up(
        self, make: Factory, session: Session, place: Location, item: Item
    ) -> None:
        count = make.count(place)

        enter(make, count, (item, 4))
        enter(make, count, (item, 5))

        assert line_of(session, count, item) == {
            "counted": 9,
            "entries": 2,
            "expected": 10,
            "difference": -1,
            "on_hand": 10,
            "moved_between_entries": False,
        }

    def test_a_recount_replaces_what_was_entered_for_its_items_only(
        self, make: Factory, session: Session, place: Location, item: Item
    ) -> None:
        count, other = make.count(place), make.item(stock=3, at=place)
        enter(make, count, (item, 4), (other, 1))
        enter(make, count, (item, 5))

        enter(make, count, (item, 10), recount=True)
        enter(make, count, (item, 1))

        assert line_of(session, count, item)["counted"] == 11
        assert line_of(session, count, other)["counted"] == 1
        entered = rows(session, counts.entries(session, count.id, item_id=item.id))
        assert [(row.quantity, row.is_replaced) for row in entered] == [(4, True), (5, True), (10, False), (1, False)]

    def test_does_not_touch_other_counts(self, make: Factory, session: Session, place: Location, item: Item) -> None:
        before = make.count(place)
        enter(make, before, (item, 4))
        counts.cancel(session, before.id, by=make.by)
        count = make.count(place)

        enter(make, count, (item, 7), recount=True)

        assert line_of(session, before, item)["counted"] == 4
        assert line_of(session, count, item)["counted"] == 7

    def test_tells_what_moved_between_entries_and_should_be_recounted(
        self, make: Factory, session: Session, place: Location, item: Item
    ) -> None:
        count = make.count(place)
        enter(make, count, (item, 4))
        make.receive(item, 2, at=place)
        enter(make, count, (item, 8))

        found = line_of(session, count, item)
        assert (found["counted"], found["expected"], found["moved_between_entries"]) == (12, 12, True)
        assert counts.get(session, count.id).items_moved == 1
        enter(make, count, (item, 12), recount=True)
        assert counts.get(session, count.id).items_moved == 0

    def test_is_all_or_nothing(self, make: Factory, session: Session, place: Location, item: Item) -> None:
        count = make.count(place)

        with pytest.raises(RepeatedItem):
            enter(make, count, (item, 1), (item, 2))
        lines = [counts.Found(item_id=item.id, quantity=1), counts.Found(sku="no-such", quantity=1)]
        with pytest.raises(ItemUnknown) as refused:
            counts.enter(session, count.id, lines=lines, by=make.by)

        assert refused.value.problem.field == "lines.1.sku"
        assert rows(session, counts.entries(session, count.id)) == []

    @pytest.mark.parametrize("end", [counts.post, counts.cancel])
    def test_is_refused_when_the_count_is_over(
        self, make: Factory, session: Session, place: Location, item: Item, end: Any
    ) -> None:
        count = make.count(place)
        end(session, count.id, by=make.by)

        for recount in (False, True):
            with pytest.raises(InvalidTransition):
                enter(make, count, (item, 1), recount=recount)


class TestLines:
    def test_can_be_only_those_that_differ(self, make: Factory, session: Session, place: Location, item: Item) -> None:
        count, right = make.count(place), make.item(stock=3, at=place)
        enter(make, count, (item, 9), (right, 3))

        assert ids(rows(session, counts.lines(session, count.id))) == {item.id, right.id}
        assert ids(rows(session, counts.lines(session, count.id, differing=True))) == {item.id}
        whole = counts.get(session, count.id)
        assert (whole.items_counted, whole.items_differing) == (2, 1)

    def test_can_be_what_nobody_has_counted_and_still_lies_there(
        self, make: Factory, session: Session, place: Location, item: Item
    ) -> None:
        count, forgotten, gone = make.count(place), make.item(stock=3, at=place), make.item(stock=1, at=place)
        adjust(make, gone, -1, at=place)
        enter(make, count, (item, 0))

        (line,) = rows(session, counts.lines(session, count.id, uncounted=True))

        assert (line.item_id, line.sku, line.counted, line.on_hand) == (forgotten.id, forgotten.sku, None, 3)

    def test_come_page_by_page(self, make: Factory, session: Session) -> None:
        place = make.location()
        count, found = make.count(place), [make.item(stock=2, at=place) for _ in range(5)]
        for options in ({"uncounted": True}, {}, {"differing": True}):
            seen: list[UUID] = []
            after = None
            while after != []:
                page, after = counts.lines(session, count.id, **options).page(session, limit=2, after=after)
                seen += [row.item_id for row in page]
            assert seen == sorted(one.id for one in found)
            if options == {"uncounted": True}:
                enter(make, count, *((one, 1) for one in found))

    def test_of_no_count_are_not_there(self, session: Session) -> None:
        for read in (counts.get, counts.lines, counts.entries):
            with pytest.raises(CountNotFound):
                read(session, uuid4())


class TestPosting:
    def test_books_differences_both_ways(self, make: Factory, session: Session, place: Location, item: Item) -> None:
        more, right, new = make.item(stock=3, at=place), make.item(stock=3, at=place), make.item()
        count = make.count(place, reference="STOCKTAKE-1")
        enter(make, count, (item, 8), (more, 4), (right, 3), (new, 2))

        posted = counts.post(session, count.id, by=make.by)

        assert (posted.status, posted.closed_at is not None) == ("posted", True)
        assert [level(session, one, place).on_hand for one in (item, more, right, new)] == [8, 4, 3, 2]
        (movement,) = [row for row in ledger(session, item) if row.kind == "count"]
        assert (movement.on_hand_change, movement.source_id, movement.reference) == (-2, count.id, "STOCKTAKE-1")
        assert [row.kind for row in ledger(session, right)] == ["receipt"]
        type_, data = told(session, count.id)[-1]
        assert (type_, data["corrections"], data["units_found"], data["units_missing"]) == (
            "stock.count_posted",
            3,
            3,
            2,
        )
        assert {(one["item_id"], one["quantity"]) for one in data["lines"]} == {
            (str(item.id), -2),
            (str(more.id), 1),
            (str(new.id), 2),
        }

    def test_is_told_once(self, make: Factory, session: Session, place: Location, item: Item) -> None:
        count = make.count(place)
        enter(make, count, (item, 8))
        before = session.scalar(text("SELECT count(*) FROM events"))

        counts.post(session, count.id, by=make.by)

        assert session.scalar(text("SELECT count(*) FROM events")) == before + 1

    def test_leaves_alone_what_came_and_went_after_counting(
        self, make: Factory, session: Session, place: Location, item: Item
    ) -> None:
        count = make.count(place)
        enter(make, count, (item, 9))
        make.receive(item, 5, at=place)
        adjust(make, item, -3, at=place)

        counts.post(session, count.id, by=make.by)

        assert level(session, item, place) == Level(11, 0)

    def test_books_what_was_found_at_the_latest_entry(
        self, make: Factory, session: Session, place: Location, item: Item
    ) -> None:
        count = make.count(place)
        enter(make, count, (item, 7))
        make.receive(item, 5, at=place)
        enter(make, count, (item, 14), recount=True)
        make.receive(item, 100, at=place)

        counts.post(session, count.id, by=make.by)

        assert level(session, item, place) == Level(114, 0)

    def test_of_what_is_right_writes_nothing(
        self, make: Factory, session: Session, place: Location, item: Item
    ) -> None:
        count = make.count(place)
        enter(make, count, (item, 10))
        before = len(ledger(session, item))

        counts.post(session, count.id, by=make.by)

        assert len(ledger(session, item)) == before
        assert told(session, count.id)[-1][1]["corrections"] == 0

    def test_keeps_promises(self, make: Factory, session: Session, place: Location, item: Item) -> None:
        other = make.item(stock=5, at=place)
        count = make.count(place)
        make.order((item, 9), location_id=place.id)
        enter(make, count, (other, 4), (item, 8))

        with pytest.raises(InsufficientStock) as refused:
            counts.post(session, count.id, by=make.by)

        (problem,) = refused.value.problems
        assert (problem.code, problem.field) == ("insufficient_stock", None)
        assert problem.facts == {"item_id": str(item.id), "sku": item.sku, "requested": 2, "available": 1}
        assert item.sku in problem.message
        assert level(session, other, place) == Level(5, 0)
        assert counts.get(session, count.id).status == "open"

    def test_keeps_what_nobody_counted_unless_told_otherwise(
        self, make: Factory, session: Session, place: Location, item: Item
    ) -> None:
        forgotten = make.item(stock=3, at=place)
        for uncounted, left in (("keep", 3), ("zero", 0)):
            count = make.count(place)
            enter(make, count, (item, 10))
            counts.post(session, count.id, uncounted=uncounted, by=make.by)
            assert level(session, forgotten, place) == Level(left, 0)

        assert level(session, item, place) == Level(10, 0)
        assert ledger(session, forgotten)[-1].kind == "count"

    def test_does_not_book_away_promised_units_that_nobody_counted(
        self, make: Factory, session: Session, place: Location, item: Item
    ) -> None:
        make.order((item, 1), location_id=place.id)
        count = make.count(place)

        with pytest.raises(InsufficientStock):
            counts.post(session, count.id, uncounted="zero", by=make.by)

    def test_twice_is_refused(self, make: Factory, session: Session, place: Location, item: Item) -> None:
        count = make.count(place)
        enter(make, count, (item, 8))
        counts.post(session, count.id, by=make.by)

        for end in (counts.post, counts.cancel):
            with pytest.raises(InvalidTransition):
                end(session, count.id, by=make.by)

        assert level(session, item, place) == Level(8, 0)

    def test_of_thousands_of_differences_is_one_posting(self, make: Factory, session: Session, place: Location) -> None:
        found = many_items(session, 2500)
        count = make.count(place)
        for start in range(0, len(found), 1000):
            lines = [counts.Found(item_id=item_id, quantity=2) for item_id in found[start : start + 1000]]
            counts.enter(session, count.id, lines=lines, by=make.by)

        counts.post(session, count.id, by=make.by)

        booked = text("SELECT count(*), sum(on_hand_change) FROM stock_movements WHERE source_id = :id")
        assert tuple(session.execute(booked, {"id": count.id}).one()) == (2500, 5000)
        assert counts.get(session, count.id).items_counted == 2500


def test_a_cancelled_count_books_nothing(make: Factory, session: Session, place: Location, item: Item) -> None:
    count = make.count(place)
    enter(make, count, (item, 1))

    cancelled = counts.cancel(session, count.id, by=make.by)

    assert (cancelled.status, cancelled.items_counted) == ("cancelled", 1)
    assert level(session, item, place) == Level(10, 0)
    assert told(session, count.id)[-1][0] == "stock.count_cancelled"


def test_every_change_of_what_is_shown_is_another_version(
    make: Factory, session: Session, place: Location, item: Item
) -> None:
    count = make.count(place)
    seen = [count.version]
    for recount in (False, False, True):
        enter(make, count, (item, 1), recount=recount)
        seen.append(counts.get(session, count.id).version)
    counts.post(session, count.id, by=make.by)
    seen.append(counts.get(session, count.id).version)

    assert seen == sorted(set(seen))


def enter(make: Factory, count: Any, *found: tuple[Item, int], recount: bool = False) -> None:
    lines = [counts.Found(item_id=item.id, quantity=quantity, recount=recount) for item, quantity in found]
    counts.enter(make.session, count.id, lines=lines, by=make.by)


def adjust(make: Factory, item: Item, quantity: int, *, at: Location) -> None:
    lines = [stock.Line(item_id=item.id, quantity=quantity)]
    stock.adjust(make.session, location_id=at.id, lines=lines, reason="correction", by=make.by)


def rows(session: Session, listing: Any) -> Sequence[Any]:
    found, following = listing.page(session, limit=100, after=None)
    assert following == []
    return list(found)


def ids(found: Sequence[Any]) -> set[UUID]:
    return {row.item_id for row in found}


def line_of(session: Session, count: Any, item: Item) -> dict[str, Any]:
    (line,) = [row for row in rows(session, counts.lines(session, count.id)) if row.item_id == item.id]
    names = ("counted", "entries", "expected", "difference", "on_hand", "moved_between_entries")
    return {name: getattr(line, name) for name in names}


def told(session: Session, count_id: UUID) -> list[tuple[str, Any]]:
    query = text("SELECT type, data FROM events WHERE subject_id = :id ORDER BY id")
    return [tuple(row) for row in session.execute(query, {"id": count_id})]


@pytest.fixture
def place(make: Factory) -> Location:
    return make.location()


@pytest.fixture
def item(make: Factory, place: Location) -> Item:
    return make.item(stock=10, at=place)


@pytest.fixture
def noise(make: Factory, session: Session, item: Item) -> Any:
    """The same item elsewhere, counted there too; afterwards everything must add up."""
    elsewhere = make.location()
    make.receive(item, 77, at=elsewhere)
    other = make.count(elsewhere)
    enter(make, other, (item, 70))
    yield
    assert level(session, item, elsewhere) == Level(77, 0)
    assert differences(session) == []
