"""Create the task queue's tables, functions and triggers, as procrastinate 3.10 ships them.

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-22 16:40:00+00:00
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCHEMA = Path(__file__).parent.parent / "sql" / "procrastinate_3_10.sql"

DROP = """
    DO $$
    DECLARE one record;
    BEGIN
        FOR one IN SELECT oid::regclass AS name FROM pg_class
            WHERE relname LIKE 'procrastinate\\_%' AND relkind = 'r' AND relnamespace = current_schema()::regnamespace
        LOOP EXECUTE format('DROP TABLE IF EXISTS %s CASCADE', one.name); END LOOP;
        FOR one IN SELECT oid::regprocedure AS name FROM pg_proc
            WHERE proname LIKE 'procrastinate\\_%' AND pronamespace = current_schema()::regnamespace
        LOOP EXECUTE format('DROP FUNCTION IF EXISTS %s CASCADE', one.name); END LOOP;
        FOR one IN SELECT oid::regtype AS name FROM pg_type
            WHERE typname LIKE 'procrastinate\\_%' AND typtype IN ('e', 'c')
                AND typnamespace = current_schema()::regnamespace
        LOOP EXECUTE format('DROP TYPE IF EXISTS %s CASCADE', one.name); END LOOP;
    END
    $$
"""


def upgrade() -> None:
    """Go forward."""
    _execute(SCHEMA.read_text("utf-8"))


def downgrade() -> None:
    """Go back."""
    _execute(DROP)


def _execute(script: str) -> None:
    """Send several statements at once, past SQLAlchemy, which would take their colons and percents for its own."""
    with closing(op.get_bind().connection.cursor()) as cursor:
        cursor.execute(script)
