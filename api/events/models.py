"""The feed of what happened."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, PrimaryKeyConstraint, String, func, text
from sqlalchemy.orm import Mapped, mapped_column

from api.core import ids
from api.core.orm import Base
from api.events.catalogue import CATALOGUE


class Event(Base):
    """One thing that happened, written in the transaction in which it happened.

    `number` is drawn when the row is written, and so rises with the events of one subject, but not everywhere in the
    order of commits. `position` and `sequence` are given once the row is committed: see `repository.publish`.
    """

    __tablename__ = "events"
    __table_args__ = (
        PrimaryKeyConstraint("id", "recorded_at"),
        Index("ix_events_position", "position"),
        Index("ix_events_subject", "subject_id", "number"),
        Index("ix_events_unpublished", "number", postgresql_where=text("position IS NULL")),
        {"postgresql_partition_by": "RANGE (recorded_at)"},
    )

    id: Mapped[UUID] = mapped_column(default=ids.new)
    type: Mapped[str] = mapped_column(String(80))
    subject_id: Mapped[UUID]
    occurred_at: Mapped[datetime] = mapped_column(server_default=func.now())
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now())
    actor_id: Mapped[UUID | None]
    request_id: Mapped[str | None] = mapped_column(String(128))
    data: Mapped[dict[str, Any]]
    number: Mapped[int] = mapped_column(BigInteger, server_default=text("nextval('event_numbers')"))
    position: Mapped[int | None] = mapped_column(BigInteger)
    sequence: Mapped[int | None] = mapped_column(BigInteger)

    @property
    def subject_type(self) -> str:
        """What kind of thing it happened to; of a type there is no more, the word before the dot."""
        known = CATALOGUE.get(self.type)
        return known.subject if known else self.type.partition(".")[0]


class Feed(Base):
    """Where the feed begins and ends: one row, which whoever publishes locks."""

    __tablename__ = "event_feed"
    __table_args__ = (CheckConstraint("singleton", name="one_row"),)

    singleton: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    first: Mapped[int] = mapped_column(BigInteger, server_default=text("1"))
    last: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))


class Subject(Base):
    """How many events of a subject have been published."""

    __tablename__ = "event_subjects"

    subject_id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)


class Consumer(Base):
    """How far a part of Stockroom that reads the feed has come."""

    __tablename__ = "event_consumers"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
