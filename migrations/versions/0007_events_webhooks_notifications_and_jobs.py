"""Let news arrive: a feed without gaps, in partitions, and tables for webhooks, notifications and job notes.

Events are copied into the new table, so stop the version before while this runs; it can read what follows.

Revision ID: 0007
Revises: 0006
Create Date: 2026-11-23 04:55:00+00:00
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"

NOW = sa.text("now()")
MOMENT = sa.DateTime(timezone=True)
BIG = sa.BigInteger()

COPY = """
    INSERT INTO events (id, type, subject_id, occurred_at, recorded_at, actor_id, request_id, data,
                        number, position, sequence)
    SELECT id, type, subject_id, occurred_at, occurred_at, actor_id, request_id, data,
           position, row_number() OVER (ORDER BY position),
           row_number() OVER (PARTITION BY subject_id ORDER BY position)
    FROM old_events
"""
COPY_BACK = """
    INSERT INTO events (position, id, type, subject_id, occurred_at, actor_id, request_id, data)
    OVERRIDING SYSTEM VALUE
    SELECT number, id, type, subject_id, occurred_at, actor_id, request_id, data FROM new_events
"""


def upgrade() -> None:
    """Go forward."""
    _build_feed()
    _build_webhooks()
    _build_notifications()
    _build_job_notes()


def downgrade() -> None:
    """Go back."""
    for table in (
        "job_notes",
        "notification_preferences",
        "notifications",
        "webhook_results",
        "webhook_attempts",
        "webhook_deliveries",
        "webhook_endpoints",
    ):
        op.drop_table(table)
    _restore_events()


def _build_feed() -> None:
    op.execute("ALTER TABLE events RENAME TO old_events")
    op.execute("ALTER TABLE old_events RENAME CONSTRAINT pk_events TO pk_old_events")
    op.execute("ALTER TABLE old_events RENAME CONSTRAINT uq_events_id TO uq_old_events_id")
    op.execute("DROP INDEX ix_events_subject")
    op.execute("CREATE SEQUENCE event_numbers")
    op.create_table(
        "events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(length=80), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("occurred_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("recorded_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("request_id", sa.String(length=128), nullable=True),
        sa.Column("data", JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("number", BIG, server_default=sa.text("nextval('event_numbers')"), nullable=False),
        sa.Column("position", BIG, nullable=True),
        sa.Column("sequence", BIG, nullable=True),
        sa.PrimaryKeyConstraint("id", "recorded_at", name=op.f("pk_events")),
        postgresql_partition_by="RANGE (recorded_at)",
    )
    op.create_index("ix_events_position", "events", ["position"])
    op.create_index("ix_events_subject", "events", ["subject_id", "number"])
    op.create_index("ix_events_unpublished", "events", ["number"], postgresql_where=sa.text("position IS NULL"))
    op.create_table(
        "event_feed",
        sa.Column("singleton", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("first", BIG, server_default=sa.text("1"), nullable=False),
        sa.Column("last", BIG, server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("singleton", name=op.f("ck_event_feed_one_row")),
        sa.PrimaryKeyConstraint("singleton", name=op.f("pk_event_feed")),
    )
    op.create_table(
        "event_subjects",
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("sequence", BIG, nullable=False),
        sa.PrimaryKeyConstraint("subject_id", name=op.f("pk_event_subjects")),
    )
    op.create_table(
        "event_consumers",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("position", BIG, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_event_consumers")),
    )
    op.get_bind().exec_driver_sql((SQL / "event_partitions_0007.sql").read_text("utf-8").replace("%", "%%"))
    op.execute("SELECT keep_event_partitions(coalesce((SELECT min(occurred_at) FROM old_events), now()))")
    op.execute(COPY)
    op.execute("SELECT setval('event_numbers', (SELECT coalesce(max(number), 0) + 1 FROM events), false)")
    op.execute("INSERT INTO event_feed (last) SELECT coalesce(max(position), 0) FROM events")
    op.execute("INSERT INTO event_subjects SELECT subject_id, max(sequence) FROM events GROUP BY subject_id")
    op.execute(
        "INSERT INTO event_consumers SELECT name, last FROM event_feed, unnest(ARRAY['webhooks', 'notifications']) name"
    )
    op.drop_table("old_events")


def _restore_events() -> None:
    op.execute("ALTER TABLE events RENAME TO new_events")
    op.execute("ALTER TABLE new_events RENAME CONSTRAINT pk_events TO pk_new_events")
    op.execute("DROP INDEX ix_events_subject")
    op.create_table(
        "events",
        sa.Column("position", BIG, sa.Identity(always=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(length=80), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("occurred_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("request_id", sa.String(length=128), nullable=True),
        sa.Column("data", JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_events")),
        sa.UniqueConstraint("id", name=op.f("uq_events_id")),
    )
    op.create_index("ix_events_subject", "events", ["subject_id", "position"])
    op.execute(COPY_BACK)
    op.execute(
        "SELECT setval(pg_get_serial_sequence('events', 'position'),"
        " (SELECT coalesce(max(position), 0) + 1 FROM events), false)"
    )
    op.drop_table("new_events")
    for table in ("event_feed", "event_subjects", "event_consumers"):
        op.drop_table(table)
    op.execute("DROP FUNCTION keep_event_partitions(timestamptz)")
    op.execute("DROP FUNCTION refuse_other_event()")
    op.execute("DROP SEQUENCE event_numbers")


def _build_webhooks() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.String(length=2000), nullable=False),
        sa.Column("description", sa.String(length=500), nullable=True),
        sa.Column("types", ARRAY(sa.String(length=80)), server_default="{}", nullable=False),
        sa.Column("header_names", ARRAY(sa.String(length=200)), server_default="{}", nullable=False),
        sa.Column("headers", sa.LargeBinary(), nullable=True),
        sa.Column("scopes", ARRAY(sa.String(length=40)), server_default="{}", nullable=False),
        sa.Column("starts_after", BIG, server_default="0", nullable=False),
        sa.Column("max_in_flight", sa.SmallInteger(), server_default="4", nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("generation", sa.Integer(), server_default="1", nullable=False),
        sa.Column("rotated_at", MOMENT, nullable=True),
        sa.Column("previous_until", MOMENT, nullable=True),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("disabled_at", MOMENT, nullable=True),
        sa.Column("disabled_reason", sa.String(length=40), nullable=True),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failing_since", MOMENT, nullable=True),
        sa.Column("resume_at", MOMENT, nullable=True),
        sa.Column("last_success_at", MOMENT, nullable=True),
        sa.Column("last_failure_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("updated_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("version", BIG, server_default="1", nullable=False),
        sa.CheckConstraint("max_in_flight BETWEEN 1 AND 20", name=op.f("ck_webhook_endpoints_max_in_flight_sensible")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_endpoints")),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("event_type", sa.String(length=80), nullable=False),
        sa.Column("position", BIG, nullable=True),
        sa.Column("status", sa.String(length=20), server_default="pending", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("due_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("claimed_until", MOMENT, nullable=True),
        sa.Column("last_status", sa.SmallInteger(), nullable=True),
        sa.Column("last_error", sa.String(length=40), nullable=True),
        sa.Column("created_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "status IN ('pending', 'delivered', 'failed', 'cancelled')", name=op.f("ck_webhook_deliveries_status_known")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_deliveries")),
    )
    op.create_index(
        "uq_webhook_deliveries_endpoint_id_event_id", "webhook_deliveries", ["endpoint_id", "event_id"], unique=True
    )
    op.create_index("ix_webhook_deliveries_endpoint_id", "webhook_deliveries", ["endpoint_id", "created_at", "id"])
    op.create_index(
        "ix_webhook_deliveries_due",
        "webhook_deliveries",
        ["endpoint_id", "due_at", "position"],
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "ix_webhook_deliveries_claimed",
        "webhook_deliveries",
        ["endpoint_id"],
        postgresql_where=sa.text("claimed_until IS NOT NULL"),
    )
    op.create_index(
        "ix_webhook_deliveries_finished_at",
        "webhook_deliveries",
        ["finished_at"],
        postgresql_where=sa.text("finished_at IS NOT NULL"),
    )
    op.create_table(
        "webhook_attempts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        sa.Column("error", sa.String(length=40), nullable=True),
        sa.Column("detail", sa.String(length=500), nullable=True),
        sa.Column("excerpt", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["webhook_deliveries.id"], name=op.f("fk_webhook_attempts_delivery_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_attempts")),
    )
    op.create_index("ix_webhook_attempts_delivery_id", "webhook_attempts", ["delivery_id", "id"])
    op.create_table(
        "webhook_results",
        sa.Column("result", sa.String(length=40), nullable=False),
        sa.Column("total", BIG, nullable=False),
        sa.PrimaryKeyConstraint("result", name=op.f("pk_webhook_results")),
    )


def _build_notifications() -> None:
    op.create_table(
        "notifications",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("text", sa.String(length=2000), nullable=False),
        sa.Column("subject_type", sa.String(length=40), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("data", JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("in_app", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("in_digest", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("read_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_notifications_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
    )
    op.create_index("uq_notifications_event_id_user_id", "notifications", ["event_id", "user_id"], unique=True)
    op.create_index("ix_notifications_user_id", "notifications", ["user_id", "id"])
    op.create_index(
        "ix_notifications_unread",
        "notifications",
        ["user_id"],
        postgresql_where=sa.text("in_app AND read_at IS NULL"),
    )
    op.create_index(
        "ix_notifications_digest", "notifications", ["user_id", "kind"], postgresql_where=sa.text("in_digest")
    )
    op.create_table(
        "notification_preferences",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("in_app", sa.Boolean(), nullable=False),
        sa.Column("email", sa.String(length=10), nullable=False),
        sa.CheckConstraint("email IN ('none', 'each', 'daily')", name=op.f("ck_notification_preferences_email_known")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_notification_preferences_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "kind", name=op.f("pk_notification_preferences")),
    )


def _build_job_notes() -> None:
    op.create_table(
        "job_notes",
        sa.Column("job_id", BIG, autoincrement=False, nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=True),
        sa.Column("started_by", sa.Uuid(), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=True),
        sa.Column("failed_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"], ["procrastinate_jobs.id"], name=op.f("fk_job_notes_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_job_notes")),
        sa.UniqueConstraint("public_id", name=op.f("uq_job_notes_public_id")),
    )
    op.create_index("ix_job_notes_started_by", "job_notes", ["started_by", "public_id"])
