"""Telling people, and reading what they were told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select, text

from api.notifications import service
from api.notifications.models import Notification
from tests.factories import GBP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from api.users.models import User

_MAILS = text("SELECT args FROM procrastinate_jobs WHERE task_name = 'stockroom:send_mail' ORDER BY id")


def tell(session: Session) -> None:
    """Tell people of everything that has happened by now, as the worker does."""
    session.commit()
    while service.notify(session, currency=GBP):
        session.commit()
    session.commit()


def mails(session: Session) -> list[dict[str, Any]]:
    """Read the facts of the mails that are on their way, with `template` and `to`."""
    found = [row.args for row in session.execute(_MAILS)]
    return [{"template": args["template"], "to": args["to"], **args["facts"]} for args in found]


def sent(session: Session) -> list[tuple[str, str]]:
    """Tell which mails are on their way to whom."""
    return sorted((mail["template"], mail["to"]) for mail in mails(session))


def told(session: Session, user: User) -> Sequence[Notification]:
    """Read what somebody was told, in the app or for the next digest, oldest first."""
    query = select(Notification).where(Notification.user_id == user.id).order_by(Notification.id)
    return session.scalars(query.execution_options(populate_existing=True)).all()


def kinds(session: Session, user: User) -> list[str]:
    """Tell what kinds of things somebody was told in the app, oldest first."""
    return [one.kind for one in told(session, user) if one.in_app]
