"""Every statement about users."""

from __future__ import annotations

from sqlalchemy import select

from api.core.orm import Repository
from api.core.paging import Listing
from api.users.models import User


class UserRepository(Repository[User]):
    """Users by id, address and role."""

    model = User

    def by_email(self, email: str) -> User | None:
        """Find the account with a canonical address."""
        return self.one(select(User).where(User.email == email))

    def has_admin(self) -> bool:
        """Tell whether anybody can administer the installation."""
        return self.exists(select(User.id).where(User.role == "admin", User.is_active))

    def listing(self) -> Listing:
        """List everybody in the order they joined."""
        return Listing(select(User), keys=(User.id,))
