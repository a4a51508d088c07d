"""Telling what lies where, what it is worth, why, and whether all of it adds up: now and at any moment of the past."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from api.items import service as items
from api.locations import service as locations
from api.stock import posting, repository, views
from api.stock.errors import PastUnknown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.money import Money
    from api.core.orm import AnyRow
    from api.core.paging import Listing


@dataclass(frozen=True, slots=True)
class Availability:
    """How much of an item there is: where orders are served from, and elsewhere."""

    item_id: UUID
    locations: Sequence[Any]

    @property
    def on_hand(self) -> int:
        """What lies where orders are served from."""
        return sum(level.on_hand for level in self._for_sale())

    @property
    def reserved(self) -> int:
        """What of that is promised."""
        return sum(level.reserved for level in self._for_sale())

    @property
    def available(self) -> int:
        """What can still be promised."""
        return self.on_hand - self.reserved

    @property
    def in_transit(self) -> int:
        """What is on the road between two locations."""
        return self._units(lambda kind: kind == locations.TRANSIT)

    @property
    def in_quarantine(self) -> int:
        """What lies where nothing is sold."""
        return self._units(lambda kind: kind not in {*locations.SELLING, locations.TRANSIT})

    def _units(self, is_meant: Callable[[str], bool]) -> int:
        return sum(level.on_hand for level in self.locations if is_meant(level.location_kind))

    def _for_sale(self) -> list[Any]:
        return [level for level in self.locations if level.location_kind in locations.SELLING]


@dataclass(frozen=True, slots=True)
class Valuation:
    """What lies at each location and what it is worth, in the currency named."""

    as_of: datetime
    currency: str
    locations: Sequence[Any]

    @property
    def on_hand(self) -> int:
        """All units."""
        return sum(place.on_hand for place in self.locations)

    @property
    def value(self) -> Money:
        """What all of them are worth."""
        return sum((place.value for place in self.locations), Decimal())


@dataclass(frozen=True, slots=True)
class Verification:
    """What does not add up."""

    differences: Sequence[AnyRow]

    @property
    def agrees(self) -> bool:
        """Tell whether everything adds up."""
        return not self.differences


def availability(session: Session, item_id: UUID) -> Availability:
    """Tell how much of an item there is, in all and per location.

    Raises:
        ItemNotFound: there is no such item.

    """
    items.get(session, item_id)
    return Availability(item_id, views.availability(session, item_id))


def levels(
    session: Session,
    *,
    item_id: UUID | None = None,
    sku: str | None = None,
    location_id: UUID | None = None,
    low: bool | None = None,
    as_of: datetime | None = None,
) -> Listing:
    """List stock levels, now or as they were at a moment of the past.

    The past is told as it is known today: what was recorded later, and dated back, counts.

    Raises:
        InTheFuture: the moment has not come.
        PastUnknown: both a moment and `low` are given; what the reorder points were then is not kept.

    """
    if as_of is not None and low is not None:
        raise PastUnknown
    then = posting.past(session, as_of, at="as_of")
    return views.levels(item_id=item_id, sku=sku, location_id=location_id, low=low, as_of=then)


def movements(
    session: Session,  # noqa: ARG001  # as all lists
    *,
    sku: str | None = None,
    occurred_from: datetime | None = None,
    occurred_before: datetime | None = None,
    oldest_first: bool = False,
    **facts: object,
) -> Listing:
    """List the ledger in the order in which things happened, newest first unless asked otherwise.

    `facts` narrow it to lines of one item_id, location_id, source_id, kind, reason or reference.
    """
    return views.movements(
        sku=sku, occurred_from=occurred_from, occurred_before=occurred_before, oldest_first=oldest_first, **facts
    )


def valuation(
    session: Session,
    *,
    currency: str,
    location_id: UUID | None = None,
    item_id: UUID | None = None,
    as_of: datetime | None = None,
) -> Valuation:
    """Tell what lies at each location and what it is worth, now or at a moment of the past, in all or of one item.

    Raises:
        InTheFuture: the moment has not come.

    """
    then = posting.past(session, as_of, at="as_of")
    moment = then or repository.now(session)
    if item_id is None:
        rows = views.valuation(session, as_of=moment, location_id=location_id)
    else:
        rows = views.valuation_of(session, item_id, as_of=then)
    shown = [row for row in rows if (row.on_hand or row.value) and location_id in {None, row.location_id}]
    return Valuation(moment, currency, shown)


IN_FLIGHT = timedelta(hours=1)
"""Longer than any transaction takes to commit what it has recorded; a closing counts nothing that is younger."""


def close_days(session: Session, *, margin: timedelta = IN_FLIGHT) -> int:
    """Add up what lay at each location when each of the days that have ended since began; tells how many sums.

    Sums are short cuts: without them a valuation adds up the whole ledger, with them no more than a day of it.
    """
    views.take_time(session)
    return views.close_days(session, known_at=repository.now(session) - margin)


def verify(
    session: Session, *, item_id: UUID | None = None, location_id: UUID | None = None, patiently: bool = False
) -> Verification:
    """Compare ledger, balances, values, promises, orders and transfers; the differences are none.

    Beside each stands the first line of the ledger that is wrong, or the last that is right: who and when. To look
    `patiently` takes as long as it takes, beyond the time a request has.
    """
    if patiently:
        views.take_time(session)
    return Verification(views.differences(session, item_id=item_id, location_id=location_id))


def on_hand(session: Session, *, location_id: UUID, item_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Tell how much of items lies at a location; an item that never was there is left out."""
    return views.on_hand(session, location_id=location_id, item_ids=item_ids)


def words(session: Session, levels: Sequence[tuple[UUID, UUID]]) -> dict[tuple[UUID, UUID], dict[str, Any]]:
    """Tell people's words for levels that are told by the ids of item and location: SKU, name, location."""
    return views.words(session, levels)


def low_among(session: Session, levels: Sequence[tuple[UUID, UUID]]) -> Sequence[AnyRow]:
    """Tell which of these levels are low now, with the words for them and what is usually ordered."""
    return views.low_among(session, levels)
