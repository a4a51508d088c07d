"""Mailboxes, and settings of a test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from api.jobs import app as jobs
from tests.accounts.mailbox import Mailbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from sqlalchemy.orm import Session


@pytest.fixture
def open_mailbox(monkeypatch: pytest.MonkeyPatch) -> Callable[[Flask], Mailbox]:
    """Open the mailbox of an application."""

    def open_(app: Flask) -> Mailbox:
        monkeypatch.setattr(jobs.tasks, "flask_app", app, raising=False)
        return Mailbox(app)

    return open_


@pytest.fixture
def mailbox(app: Flask, session: Session, open_mailbox: Callable[[Flask], Mailbox]) -> Mailbox:  # noqa: ARG001  # the session brings the transaction
    """What has been sent in the transaction of `session`."""
    return open_mailbox(app)


@pytest.fixture
def settings(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Change settings until the test ends."""

    def change(**values: object) -> None:
        changed = app.extensions["stockroom"].model_copy(update=values)
        monkeypatch.setitem(app.extensions, "stockroom", changed)

    return change
