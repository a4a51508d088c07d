"""Headers that prove who asks, made without the time a password takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from api.auth import tokens
from api.auth.models import AuthSession
from api.events.models import Event
from api.users.models import User

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

_numbers = count(1)


@pytest.fixture
def log_in(session: Session) -> Callable[[str], dict[str, str]]:
    """Log a new user of a role in, without ever hashing a password."""

    def make_header(role: str) -> dict[str, str]:
        email = f"quick{next(_numbers)}@example.com"
        user = User(email=email, name="Somebody quick", password_hash="none", role=role)
        session.add(user)
        session.flush()
        login = AuthSession(user_id=user.id, refresh_seed=b"", expires_at=datetime.now(UTC) + timedelta(hours=1))
        session.add(login)
        session.flush()
        return {"Authorization": f"Bearer {tokens.issue(user.id, login.id)}"}

    return make_header


@pytest.fixture
def admin(log_in: Callable[[str], dict[str, str]]) -> dict[str, str]:
    """Headers of somebody who may do everything."""
    return log_in("admin")


@pytest.fixture
def recorded_request_id(session: Session) -> Callable[[], str | None]:
    """Read the request id beside the newest line of the feed."""
    newest = select(Event.request_id).order_by(Event.number.desc()).limit(1)
    return lambda: session.scalar(newest)
