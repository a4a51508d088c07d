"""How Alembic reaches the database, and what it may wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import context
from flask import current_app
from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy import MetaData
    from sqlalchemy.sql.schema import SchemaItem

LOCK_TIMEOUT = "3s"
"""A migration that cannot get its lock gives up rather than make every request queue behind it."""

ADVISORY_LOCK = 5_301_977
"""Two migrations at once wait for each other: `flask up` on two machines, or two deployments."""


def belongs_to_us(_: SchemaItem, name: str | None, kind: str, *__: object) -> bool:
    """Leave out of comparisons: the task queue's tables, which have a schema file of their own, and partitions."""
    if kind == "foreign_key_constraint":
        return name != "fk_job_notes_job_id"  # points at such a table
    return not (kind == "table" and (name or "").startswith(("procrastinate_", "events_")))


def migrate() -> None:
    """Run the migrations in one transaction."""
    extension = current_app.extensions["migrate"]
    metadata: MetaData = extension.db.metadatas[None]
    with extension.db.engine.connect() as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("SET lock_timeout = 0"))
        connection.execute(text(f"SELECT pg_advisory_lock({ADVISORY_LOCK})"))
        connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.commit()
        try:
            context.configure(
                connection=connection,
                target_metadata=metadata,
                include_object=belongs_to_us,
                **extension.configure_args,
            )
            with context.begin_transaction():
                context.run_migrations()
        finally:
            connection.rollback()
            connection.execute(text(f"SELECT pg_advisory_unlock({ADVISORY_LOCK})"))
            connection.execute(text("RESET lock_timeout"))
            connection.execute(text("RESET statement_timeout"))
            connection.commit()


migrate()
