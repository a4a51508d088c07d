"""Endpoints, what is to be delivered to them, and every attempt to do so."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, SmallInteger, String, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from api.core.orm import Base, Identified, Timestamped, Versioned

PENDING, DELIVERED, FAILED, CANCELLED = STATUSES = ("pending", "delivered", "failed", "cancelled")


class WebhookEndpoint(Identified, Timestamped, Versioned, Base):
    """A subscriber's URL, and how well it has been doing.

    The secret is not stored: it is derived from the id and `generation`. `headers` are encrypted, for they may hold
    credentials. `scopes` are those of whoever made it, at that moment; what they do not cover is not sent.
    `starts_after` is where the feed ended when it was added, or switched on again.
    While `resume_at` lies ahead the circuit is open and nothing is sent. Health does not count as a change: `version`
    stays as it is.
    """

    __tablename__ = "webhook_endpoints"
    __table_args__ = (CheckConstraint("max_in_flight BETWEEN 1 AND 20", name="max_in_flight_sensible"),)

    url: Mapped[str] = mapped_column(String(2000))
    description: Mapped[str | None] = mapped_column(String(500))
    types: Mapped[list[str]] = mapped_column(ARRAY(String(80)), default=list, server_default="{}")
    header_names: Mapped[list[str]] = mapped_column(ARRAY(String(200)), default=list, server_default="{}")
    headers: Mapped[bytes | None] = mapped_column(LargeBinary)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(String(40)), default=list, server_default="{}")
    starts_after: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    max_in_flight: Mapped[int] = mapped_column(SmallInteger, default=4, server_default="4")
    created_by: Mapped[UUID | None]
    generation: Mapped[int] = mapped_column(default=1, server_default="1")
    rotated_at: Mapped[datetime | None]
    previous_until: Mapped[datetime | None]
    is_active: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None] = mapped_column(String(40))
    failures: Mapped[int] = mapped_column(default=0, server_default="0")
    failing_since: Mapped[datetime | None]
    resume_at: Mapped[datetime | None]
    last_success_at: Mapped[datetime | None]
    last_failure_at: Mapped[datetime | None]


class WebhookDelivery(Identified, Base):
    """One event on its way to one endpoint. While `claimed_until` lies ahead a worker is sending it.

    An endpoint may have too many to be deleted with them at once, so no foreign key holds them: those of an endpoint
    that is gone are swept away in the background.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        CheckConstraint("status IN ('pending', 'delivered', 'failed', 'cancelled')", name="status_known"),
        Index("uq_webhook_deliveries_endpoint_id_event_id", "endpoint_id", "event_id", unique=True),
        Index("ix_webhook_deliveries_endpoint_id", "endpoint_id", "created_at", "id"),
        Index(
            "ix_webhook_deliveries_due",
            "endpoint_id",
            "due_at",
            "position",
            postgresql_where=text("status = 'pending'"),
        ),
        Index("ix_webhook_deliveries_claimed", "endpoint_id", postgresql_where=text("claimed_until IS NOT NULL")),
        Index("ix_webhook_deliveries_finished_at", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
    )

    endpoint_id: Mapped[UUID]
    event_id: Mapped[UUID]
    event_type: Mapped[str] = mapped_column(String(80))
    position: Mapped[int | None] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(String(20), default=PENDING, server_default=PENDING)
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    due_at: Mapped[datetime] = mapped_column(server_default=func.now())
    claimed_until: Mapped[datetime | None]
    last_status: Mapped[int | None] = mapped_column(SmallInteger)
    last_error: Mapped[str | None] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]


class WebhookAttempt(Identified, Base):
    """One request to an endpoint, and what came of it."""

    __tablename__ = "webhook_attempts"
    __table_args__ = (Index("ix_webhook_attempts_delivery_id", "delivery_id", "id"),)

    delivery_id: Mapped[UUID] = mapped_column(ForeignKey("webhook_deliveries.id", ondelete="CASCADE"))
    number: Mapped[int]
    started_at: Mapped[datetime]
    duration_ms: Mapped[int]
    status: Mapped[int | None] = mapped_column(SmallInteger)
    error: Mapped[str | None] = mapped_column(String(40))
    detail: Mapped[str | None] = mapped_column(String(500))
    excerpt: Mapped[str | None]


class WebhookResult(Base):
    """How often attempts have ended in one way, since the beginning; for the metrics."""

    __tablename__ = "webhook_results"

    result: Mapped[str] = mapped_column(String(40), primary_key=True)
    total: Mapped[int] = mapped_column(BigInteger)
