"""The feed: what happened, in the transaction in which it happened."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy import text

from api.events import service as events
from api.stock.errors import InsufficientStock

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from tests.factories import Factory

KETTLE = {"sku": "KETTLE", "name": "Kettle", "unit_price": "19.99", "is_stocked": True}
_FEED = text("SELECT * FROM events WHERE subject_id = :subject ORDER BY number")


def test_an_event_says_what_happened_to_whom_by_whom_and_when(make: Factory, session: Session) -> None:
    by, subject = replace(make.caller(role="clerk"), request_id="request-7"), uuid4()

    events.record(session, "item.updated", subject, KETTLE | {"where": {"kitchen": ["left"]}}, by=by)

    (event,) = session.execute(_FEED, {"subject": subject}).all()
    assert (event.type, event.actor_id, event.request_id) == ("item.updated", by.user_id, "request-7")
    assert event.data == KETTLE | {"where": {"kitchen": ["left"]}}
    assert event.occurred_at == session.scalar(text("SELECT now()"))


def test_a_command_at_the_console_is_nobody(make: Factory, session: Session) -> None:
    subject = uuid4()

    events.record(session, "item.updated", subject, KETTLE, by=make.by)

    (event,) = session.execute(_FEED, {"subject": subject}).all()
    assert (event.actor_id, event.request_id) == (None, None)


def test_positions_rise_in_the_order_of_recording(make: Factory, session: Session) -> None:
    subject = uuid4()

    for number in range(5):
        events.record(session, "item.updated", subject, KETTLE | {"number": number}, by=make.by)

    feed = session.execute(_FEED, {"subject": subject}).all()
    assert [event.data["number"] for event in feed] == [0, 1, 2, 3, 4]
    assert len({event.id for event in feed}) == 5


def test_a_change_that_is_rolled_back_leaves_no_event(make: Factory, session: Session) -> None:
    subject = uuid4()

    with session.begin_nested() as change:
        events.record(session, "item.updated", subject, KETTLE, by=make.by)
        change.rollback()

    assert session.execute(_FEED, {"subject": subject}).all() == []


def test_a_refused_order_is_no_news(make: Factory, session: Session) -> None:
    item = make.item(stock=1)
    before = session.scalar(text("SELECT count(*) FROM events"))

    with pytest.raises(InsufficientStock):
        make.order((item, 2))

    assert session.scalar(text("SELECT count(*) FROM events")) == before
