"""Every statement about users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from api.core.orm import Repository
from api.core.paging import Listing
from api.users.models import User

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID


class UserRepository(Repository[User]):
    """Users by id, address and role."""

    model = User

    def by_email(self, email: str) -> User | None:
        """Find the account with a canonical address."""
        return self.one(select(User).where(User.email == email))

    def holds_still(self, user: User) -> bool:
        """Tell whether an account is open and its password still the one that was read, and keep it so until the end.

        Reading and hashing take a while; a login must not slip in behind a new password or a closure.
        """
        query = select(User.id).where(User.id == user.id, User.password_hash == user.password_hash, User.is_active)
        return self.session.scalar(query.with_for_update(read=True)) is not None

    def save(self, user: User, *, is_closed: bool) -> None:
        """Send the changes of an account; one that is closed by them ends what was begun before this moment.

        The moment is that of the statement and not of the transaction, which may have waited while others logged in.
        """
        if is_closed:
            user.logins_since = func.clock_timestamp()  # evaluated by the database
        self.session.flush()

    def has_admin(self) -> bool:
        """Tell whether anybody can administer the installation."""
        return self.exists(select(User.id).where(User.role == "admin", User.is_active))

    def lock_admins(self) -> set[UUID]:
        """Tell who can administer the installation, and let nobody change that until the transaction ends."""
        query = select(User.id).where(User.role == "admin", User.is_active).order_by(User.id).with_for_update()
        return set(self.session.scalars(query))

    def now(self) -> datetime:
        """Tell the time, by the database's clock."""
        return self.session.execute(select(func.now())).scalar_one()

    def listing(self, *, role: str | None, is_active: bool | None, email: str | None) -> Listing:
        """List those that match all that is given, in the order they joined."""
        query = select(User)
        if role is not None:
            query = query.where(User.role == role)
        if is_active is not None:
            query = query.where(User.is_active.is_(is_active))
        if email is not None:
            query = query.where(User.email == email)
        return Listing(query, keys=(User.id,))
