"""Every statement about tickets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select, update

from api.accounts.models import AccountTicket
from api.core.orm import Repository

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy import ColumnElement


class TicketRepository(Repository[AccountTicket]):
    """Tickets by id, address and account."""

    model = AccountTicket

    def expiry(self, seconds: int) -> datetime:
        """Tell the moment `seconds` from now, by the database's clock."""
        return self.session.execute(select(func.now() + _interval(seconds))).scalar_one()

    def use(self, ticket_id: UUID, *, purpose: str) -> AccountTicket | None:
        """Use a ticket up, and tell what it was for; None when it is not good (any more). Of many at once, one wins."""
        return self.session.scalar(
            update(AccountTicket)
            .where(
                AccountTicket.id == ticket_id,
                AccountTicket.purpose == purpose,
                AccountTicket.used_at.is_(None),
                AccountTicket.expires_at > func.now(),
            )
            .values(used_at=func.now())
            .returning(AccountTicket)
            .execution_options(synchronize_session=False)
        )

    def void(self, *purposes: str, user_id: UUID | None = None, email: str | None = None) -> None:
        """Make the unused tickets of an account, or of an address, good for nothing: those for `purposes`, or all."""
        which: list[ColumnElement[bool]] = [AccountTicket.used_at.is_(None)]
        if purposes:
            which.append(AccountTicket.purpose.in_(purposes))
        which.append(AccountTicket.email == email if user_id is None else AccountTicket.user_id == user_id)
        self.session.execute(
            update(AccountTicket).where(*which).values(used_at=func.now()).execution_options(synchronize_session=False)
        )

    def forget(self, *, days: int) -> None:
        """Delete what expired so long ago."""
        self.session.execute(
            delete(AccountTicket).where(AccountTicket.expires_at < func.now() - func.make_interval(0, 0, 0, days))
        )


def _interval(seconds: int) -> ColumnElement[object]:
    return func.make_interval(0, 0, 0, 0, 0, 0, seconds)
