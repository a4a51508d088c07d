"""Make the ledger immutable and define the view that proves it adds up.

Revision ID: 0002
Revises: 0001
Create Date: 2026-11-22 16:30:00+00:00
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INTEGRITY = Path(__file__).parent.parent / "sql" / "integrity_0002.sql"

REFUSE_CHANGE = """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
    END
    $$
"""

GUARD_LEDGER = """
    CREATE TRIGGER stock_movements_are_immutable
    BEFORE UPDATE OR DELETE OR TRUNCATE ON stock_movements
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""


def upgrade() -> None:
    """Go forward."""
    op.execute(REFUSE_CHANGE)
    op.execute(GUARD_LEDGER)
    op.execute(INTEGRITY.read_text("utf-8"))


def downgrade() -> None:
    """Go back."""
    op.execute("DROP VIEW integrity")
    op.execute("DROP TRIGGER stock_movements_are_immutable ON stock_movements")
    op.execute("DROP FUNCTION refuse_change")
