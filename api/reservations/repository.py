"""Every statement about reservations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Uuid, case, column, func, literal, select, table, text
from sqlalchemy.orm import selectinload, with_expression

from api.core.orm import Repository
from api.core.paging import Listing
from api.reservations.models import HELD, LAPSED, Reservation, ReservationLine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from sqlalchemy import ScalarSelect

    from api.core.orm import AnyRow

_ITEMS = table("items", column("id", Uuid), column("sku"), column("name"))
"""What this domain reads of another's table, in the statement that would otherwise take one for each line."""

_IS_OVER = Reservation.expires_at <= func.clock_timestamp()
_STATUS_NOW = case(((Reservation.status == HELD) & _IS_OVER, literal(LAPSED)), else_=Reservation.status)
_TOLD = with_expression(Reservation.status_now, _STATUS_NOW)


def _of_item(name: str) -> ScalarSelect[str]:
    return select(_ITEMS.c[name]).where(_ITEMS.c.id == ReservationLine.item_id).scalar_subquery()


_NAMES = (
    with_expression(ReservationLine.sku, _of_item("sku")),
    with_expression(ReservationLine.name, _of_item("name")),
)

_WHOSE_TURN = text("SELECT pg_advisory_xact_lock(hashtextextended('reservations of ' || :customer_id, 0))")


class ReservationRepository(Repository[Reservation]):
    """Reservations by id, owner and status."""

    model = Reservation

    def with_lines(self, reservation_id: UUID, *, locked: bool = False) -> Reservation | None:
        """Find a reservation with its lines; locked, nobody else ends or extends it until this transaction does."""
        query = select(Reservation).where(Reservation.id == reservation_id)
        query = query.options(_TOLD, selectinload(Reservation.lines).options(*_NAMES))
        query = query.execution_options(populate_existing=True)
        return self.one(query.with_for_update(of=Reservation) if locked else query)

    def listing(self, *, status: str | None = None, **facts: object) -> Listing:
        """List reservations without their lines, newest first, by their status of now."""
        query = select(Reservation).options(_TOLD)
        for name, value in facts.items():
            query = query.where(getattr(Reservation, name) == value)
        if status == HELD:
            query = query.where(Reservation.status == HELD, ~_IS_OVER)
        elif status == LAPSED:
            query = query.where(Reservation.status.in_([HELD, LAPSED]), _STATUS_NOW == LAPSED)
        elif status is not None:
            query = query.where(Reservation.status == status)
        return Listing(query, keys=(Reservation.id,), descending=True)

    def wait_for_turn(self, customer_id: UUID) -> None:
        """Let one transaction at a time reserve for a customer, before any stock is locked: so the cap is exact."""
        self.session.execute(_WHOSE_TURN, {"customer_id": str(customer_id)})

    def kept_by(self, customer_id: UUID) -> tuple[int, int]:
        """Count the units and the reservations that a customer keeps now."""
        units = func.coalesce(func.sum(ReservationLine.quantity), 0)
        query = select(units, func.count(Reservation.id.distinct())).join(Reservation.lines)
        query = query.where(Reservation.customer_id == customer_id, Reservation.status == HELD, ~_IS_OVER)
        row = self.session.execute(query).one()
        return int(row[0]), int(row[1])

    def over(self, *, at_most: int) -> Sequence[AnyRow]:
        """Lock reservations whose time is over and that still count as held, except those somebody works on."""
        clock = select(func.clock_timestamp()).scalar_subquery()  # read once, or no index could be asked
        query = select(Reservation.id, Reservation.expires_at)
        query = query.where(Reservation.status == HELD, Reservation.expires_at <= clock)
        query = query.order_by(Reservation.expires_at, Reservation.id).limit(at_most)
        return self.session.execute(query.with_for_update(skip_locked=True)).all()

    def mark_lapsed(self, ids: Sequence[UUID]) -> None:
        """Write that reservations have lapsed, at the moment their time was over."""
        self.session.execute(
            text(
                "UPDATE reservations SET status = 'lapsed', ended_at = expires_at, version = version + 1,"
                " updated_at = expires_at WHERE id = ANY(:ids)"
            ),
            {"ids": list(ids)},
        )

    def touch(self, reservation: Reservation) -> None:
        """Write a reservation as a new version."""
        reservation.updated_at = func.now()
        self.session.flush()
