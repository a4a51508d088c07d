"""Double-entry by hand: decide on locked levels in memory, then write levels, ledger and promises in one statement."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from api.core import ids, money

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from uuid import UUID

    from api.core.caller import Caller
    from api.core.money import Money

NOTHING = money.NOTHING


class LevelKey(NamedTuple):
    """Which level: locks are taken in the order of these."""

    item_id: UUID
    location_id: UUID


class PromiseKey(NamedTuple):
    """Which part of which promise."""

    owner_id: UUID
    line_no: int
    location_id: UUID


class LineKey(NamedTuple):
    """Which line of which promise."""

    owner_id: UUID
    line_no: int


class Kept(NamedTuple):
    """What a level keeps for a part of a promise, and until when; None means for good."""

    item_id: UUID
    quantity: int
    expires_at: datetime | None = None


class Waiting(NamedTuple):
    """What no level can keep yet for a line, and the only location that will do, if there is one."""

    item_id: UUID
    location_id: UUID | None
    quantity: int


class Opening(NamedTuple):
    """What a level was when it was locked."""

    version: int
    was_low: bool
    moved_at: datetime | None
    available: int


@dataclass(slots=True)
class Balance:
    """A locked level as it stands after the movements booked so far."""

    on_hand: int
    reserved: int
    version: int
    value: Money = NOTHING
    moved_at: datetime | None = None
    """The latest moment at which a movement happened; unknown while the latest is one that happens now."""

    reorder_point: int | None = None
    opening: Opening | None = field(default=None, compare=False)
    """What it was when it was locked, once a movement is booked."""

    moves_now: bool = field(default=False, compare=False)
    """Whether one of the movements booked happens now, and not at a moment of the past."""

    @property
    def available(self) -> int:
        """What can still be promised."""
        return self.on_hand - self.reserved

    @property
    def is_low(self) -> bool:
        """Tell whether it is time to reorder."""
        return self.reorder_point is not None and self.available <= self.reorder_point

    def worth(self, quantity: int) -> Money:
        """Tell what so many units are worth, by the average of those that lie there; nothing where none do."""
        return money.share(self.value, quantity, self.on_hand) if self.on_hand else NOTHING


class Since(NamedTuple):
    """How a level has been from a moment of the past until now."""

    available: int
    """The least that was available at any time."""

    on_hand: int | None
    """What lay there at the moment itself; None before anything did."""

    value: Money | None
    lowest_value: Money

    def worth(self, quantity: int) -> Money:
        """Tell what units were worth that went then; never so much that the level is worth less than nothing later."""
        then = money.share(self.value or NOTHING, quantity, self.on_hand or quantity)
        return min(then, self.lowest_value)


@dataclass(slots=True)
class Movement:
    """One line of the ledger; the moments are filled in when it is written."""

    id: UUID
    item_id: UUID
    location_id: UUID
    sequence: int
    kind: str
    on_hand_change: int
    reserved_change: int
    value_change: Money
    on_hand: int
    reserved: int
    value: Money
    reason: str | None
    reference: str | None
    source_id: UUID | None
    actor_id: UUID | None
    request_id: str | None
    is_late: bool
    occurred_at: datetime | None
    recorded_at: datetime | None = None

    @property
    def quantity(self) -> int:
        """The units moved: of `on_hand` where that changed, of `reserved` otherwise."""
        return self.on_hand_change or self.reserved_change


@dataclass(frozen=True, slots=True)
class Cause:
    """Why movements are booked; no moment means now."""

    kind: str
    reason: str | None = None
    reference: str | None = None
    source_id: UUID | None = None
    occurred_at: datetime | None = None


@dataclass(slots=True)
class Book:
    """What one transaction does to locked levels."""

    balances: dict[LevelKey, Balance]
    by: Caller
    movements: list[Movement] = field(default_factory=list)
    kept: dict[PromiseKey, Kept] = field(default_factory=dict)
    """What is promised, in addition to what already was."""
    freed: dict[PromiseKey, int] = field(default_factory=dict)
    """How much of existing promises ends."""
    waiting: dict[LineKey, Waiting] = field(default_factory=dict)
    """What waits for units, in addition to what already does."""
    served: dict[LineKey, int] = field(default_factory=dict)
    """How much of what was waiting waits no more."""
    told: dict[UUID, list[dict[str, Any]]] = field(default_factory=dict)
    """What each owner of a backorder got."""
    tops_up: bool = False
    """Whether what is kept may add to what levels keep for the same lines already."""
    moved: list[tuple[LevelKey, Balance, Opening]] = field(default_factory=list)
    """The levels that were moved, and what they were before."""
    _of_item: dict[UUID, list[tuple[UUID, Balance]]] = field(default_factory=dict)
    _indexed: int = 0
    """How many levels there were when `_of_item` was made of them; they become more, never others."""

    def move(
        self, key: LevelKey, cause: Cause, *, on_hand: int = 0, reserved: int = 0, value: Money | None = None
    ) -> Movement:
        """Book a change of a locked level. The caller has made sure that the balance allows it.

        Units that come or go without a `value` of their own come or go at the average of those that lie there.
        """
        balance = self.balances[key]
        if balance.opening is None:
            balance.opening = Opening(balance.version, balance.is_low, balance.moved_at, balance.available)
            self.moved.append((key, balance, balance.opening))
        if value is None:
            value = balance.worth(on_hand) if on_hand > 0 else -balance.worth(-on_hand) if on_hand else NOTHING
        balance.on_hand += on_hand
        balance.reserved += reserved
        balance.value += value
        balance.version += 1
        movement = Movement(
            id=ids.new(),
            item_id=key.item_id,
            location_id=key.location_id,
            sequence=balance.version,
            kind=cause.kind,
            on_hand_change=on_hand,
            reserved_change=reserved,
            value_change=value,
            on_hand=balance.on_hand,
            reserved=balance.reserved,
            value=balance.value,
            reason=cause.reason,
            reference=cause.reference,
            source_id=cause.source_id,
            actor_id=self.by.user_id,
            request_id=self.by.request_id,
            is_late=_is_late(balance, cause.occurred_at),
            occurred_at=cause.occurred_at,
        )
        self.movements.append(movement)
        return movement

    def available(self, key: LevelKey) -> int:
        """Tell what can still be promised at a level; where there is none, nothing."""
        balance = self.balances.get(key)
        return balance.available if balance else 0

    def available_by_location(self, item_id: UUID) -> dict[UUID, int]:
        """Tell where units of an item can still be promised, and how many."""
        if self._indexed != len(self.balances):
            self._of_item.clear()
            for (item, location_id), balance in self.balances.items():
                self._of_item.setdefault(item, []).append((location_id, balance))
            self._indexed = len(self.balances)
        levels = self._of_item.get(item_id, ())
        return {location_id: balance.available for location_id, balance in levels if balance.available > 0}

    def keep(self, key: PromiseKey, item_id: UUID, quantity: int, *, until: datetime | None = None) -> None:
        """Note that units are promised; the level's movement is booked apart."""
        before = self.kept.get(key)
        self.kept[key] = Kept(item_id, quantity + (before.quantity if before else 0), until)

    def free(self, key: PromiseKey, quantity: int) -> None:
        """Note that units are promised no more; the level's movement is booked apart."""
        self.freed[key] = self.freed.get(key, 0) + quantity

    def serve(self, key: LineKey, quantity: int) -> None:
        """Note that units wait no more."""
        self.served[key] = self.served.get(key, 0) + quantity

    def settle(self) -> None:
        """Offset what is promised anew against what ends of the same promise, so that each is written once."""
        for key in self.kept.keys() & self.freed.keys():
            kept, ended = self.kept.pop(key), self.freed.pop(key)
            if kept.quantity > ended:
                self.kept[key] = kept._replace(quantity=kept.quantity - ended)
            elif ended > kept.quantity:
                self.freed[key] = ended - kept.quantity

    def risen(self) -> set[UUID]:
        """Name the items of which a level has more available than when it was locked."""
        return {key.item_id for key, balance, opening in self.moved if balance.available > opening.available}

    def changed(self) -> Iterable[tuple[LevelKey, Balance, int]]:
        """List the levels that were moved, with the version each had when it was locked."""
        return ((key, balance, opening.version) for key, balance, opening in self.moved)

    def crossings(self) -> Iterable[tuple[LevelKey, Balance]]:
        """List the levels that are low and were not, or were low and are not; the first stock at all is neither."""
        return (
            (key, balance)
            for key, balance, opening in self.moved
            if opening.version and opening.was_low is not balance.is_low
        )

    def latest(self) -> datetime | None:
        """Tell the latest moment known of the levels that were moved: what happens now is not before it."""
        moments = [opening.moved_at for *_, opening in self.moved if opening.moved_at is not None]
        return max(moments, default=None)


def _is_late(balance: Balance, occurred_at: datetime | None) -> bool:
    """Tell whether a movement happened before one that has a lower number; note the latest moment."""
    if occurred_at is None:
        balance.moves_now = True
        balance.moved_at = None
        return False
    if balance.moves_now or (balance.moved_at is not None and occurred_at < balance.moved_at):
        return True
    balance.moved_at = occurred_at
    return False
