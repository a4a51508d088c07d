"""Double-entry by hand: decide on locked levels in memory, then write levels, ledger and promises in one statement."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from api.core import ids

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from uuid import UUID

    from api.core.caller import Caller


class LevelKey(NamedTuple):
    """Which level: locks are taken in the order of these."""

    item_id: UUID
    location_id: UUID


class PromiseKey(NamedTuple):
    """Which part of which promise."""

    owner_id: UUID
    line_no: int
    location_id: UUID


@dataclass(slots=True)
class Balance:
    """A locked level as it stands after the movements booked so far."""

    on_hand: int
    reserved: int
    version: int

    @property
    def available(self) -> int:
        """What can still be promised."""
        return self.on_hand - self.reserved


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
    on_hand: int
    reserved: int
    reason: str | None
    reference: str | None
    source_id: UUID | None
    actor_id: UUID | None
    request_id: str | None
    occurred_at: datetime | None
    recorded_at: datetime | None = None

    @property
    def quantity(self) -> int:
        """The units moved: of `on_hand` where that changed, of `reserved` otherwise."""
        return self.on_hand_change or self.reserved_change


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a movement happens."""

    kind: str
    reason: str | None = None
    reference: str | None = None
    source_id: UUID | None = None
    occurred_at: datetime | None = None


@dataclass(slots=True)
class Book:
    """The levels a transaction holds locked, and everything it is about to write about them."""

    balances: dict[LevelKey, Balance]
    by: Caller
    movements: list[Movement] = field(default_factory=list)
    kept: dict[PromiseKey, tuple[UUID, int]] = field(default_factory=dict)
    """New promises: the item and the quantity."""
    freed: dict[PromiseKey, int] = field(default_factory=dict)
    """How much of existing promises ends."""
    _opened_at: dict[LevelKey, int] = field(default_factory=dict)

    def move(self, key: LevelKey, cause: Cause, *, on_hand: int = 0, reserved: int = 0) -> None:
        """Book a change of a locked level. The caller has made sure that the balance allows it."""
        balance = self.balances[key]
        self._opened_at.setdefault(key, balance.version)
        balance.on_hand += on_hand
        balance.reserved += reserved
        balance.version += 1
        self.movements.append(
            Movement(
                id=ids.new(),
                item_id=key.item_id,
                location_id=key.location_id,
                sequence=balance.version,
                kind=cause.kind,
                on_hand_change=on_hand,
                reserved_change=reserved,
                on_hand=balance.on_hand,
                reserved=balance.reserved,
                reason=cause.reason,
                reference=cause.reference,
                source_id=cause.source_id,
                actor_id=self.by.user_id,
                request_id=self.by.request_id,
                occurred_at=cause.occurred_at,
            )
        )

    def changed(self) -> Iterable[tuple[LevelKey, Balance, int]]:
        """List the levels that were moved, with the version each had when it was locked."""
        return ((key, self.balances[key], version) for key, version in self._opened_at.items())
