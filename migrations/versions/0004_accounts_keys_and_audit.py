"""Give accounts second factors, tickets, identities and API keys, logins generations, and security events a log.

Logins of the revision before end: their refresh tokens had another form.

Revision ID: 0004
Revises: 0003
Create Date: 2026-11-22 18:55:00+00:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NOW = sa.text("now()")
MOMENT = sa.DateTime(timezone=True)

GUARD_AUDIT = """
    CREATE TRIGGER audit_entries_are_immutable
    BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""


def upgrade() -> None:
    """Go forward."""
    op.alter_column("users", "email", existing_type=sa.String(length=254), nullable=True)
    op.alter_column("users", "password_hash", existing_type=sa.Text(), nullable=True)
    op.add_column("users", sa.Column("email_verified_at", MOMENT, nullable=True))
    op.add_column("users", sa.Column("password_changed_at", MOMENT, nullable=True))
    op.add_column("users", sa.Column("logins_since", MOMENT, nullable=True))

    op.execute("DELETE FROM auth_sessions")
    op.drop_column("auth_sessions", "refresh_hash")
    op.drop_column("auth_sessions", "previous_hash")
    op.add_column("auth_sessions", sa.Column("refresh_seed", sa.LargeBinary(), nullable=False))
    op.add_column("auth_sessions", sa.Column("generation", sa.Integer(), server_default="1", nullable=False))
    op.add_column("auth_sessions", sa.Column("rotated_at", MOMENT, server_default=NOW, nullable=False))
    op.add_column("auth_sessions", sa.Column("authenticated_at", MOMENT, server_default=NOW, nullable=False))
    op.add_column("auth_sessions", sa.Column("address", sa.String(length=45), nullable=True))
    op.add_column("auth_sessions", sa.Column("network", sa.String(length=45), nullable=True))
    op.add_column("auth_sessions", sa.Column("agent", sa.String(length=200), nullable=True))
    op.add_column("auth_sessions", sa.Column("end_reason", sa.String(length=40), nullable=True))

    op.create_table(
        "account_tickets",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.String(length=20), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.String(length=200), nullable=True),
        sa.Column("role", sa.String(length=20), nullable=True),
        sa.Column("invited_by", sa.Uuid(), nullable=True),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("updated_at", MOMENT, server_default=NOW, nullable=False),
        sa.CheckConstraint(
            "purpose IN ('sign_up', 'invitation', 'password_reset', 'email_change', 'email_verification')",
            name=op.f("ck_account_tickets_purpose_known"),
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_account_tickets_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_tickets")),
    )
    op.create_index("ix_account_tickets_user_id", "account_tickets", ["user_id"])
    op.create_index("ix_account_tickets_email", "account_tickets", ["email"])
    op.create_index("ix_account_tickets_expires_at", "account_tickets", ["expires_at"])

    op.create_table(
        "second_factors",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("confirmed_at", MOMENT, nullable=True),
        sa.Column("last_step", sa.BigInteger(), nullable=True),
        sa.Column("created_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("updated_at", MOMENT, server_default=NOW, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_second_factors_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_second_factors")),
    )
    op.create_table(
        "recovery_codes",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_recovery_codes_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "code_hash", name=op.f("pk_recovery_codes")),
    )

    op.create_table(
        "identities",
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("role_told_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("updated_at", MOMENT, server_default=NOW, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_identities_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("issuer", "subject", name=op.f("pk_identities")),
    )
    op.create_index("ix_identities_user_id", "identities", ["user_id"])

    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("prefix", sa.String(length=16), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", ARRAY(sa.Text()), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("last_used_at", MOMENT, nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.Column("replaces_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("updated_at", MOMENT, server_default=NOW, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_api_keys_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("prefix", name=op.f("uq_api_keys_prefix")),
    )
    op.create_index("ix_api_keys_user_id", "api_keys", ["user_id"])

    op.create_table(
        "audit_entries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("outcome", sa.String(length=10), nullable=False),
        sa.Column("occurred_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("api_key_id", sa.Uuid(), nullable=True),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("address", sa.String(length=45), nullable=True),
        sa.Column("agent", sa.String(length=200), nullable=True),
        sa.Column("request_id", sa.String(length=128), nullable=True),
        sa.Column("facts", JSONB(), nullable=False),
        sa.CheckConstraint("outcome IN ('done', 'refused')", name=op.f("ck_audit_entries_outcome_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
    )
    op.create_index("ix_audit_entries_actor_id", "audit_entries", ["actor_id", "id"])
    op.create_index("ix_audit_entries_subject_id", "audit_entries", ["subject_id", "id"])
    op.create_index("ix_audit_entries_action", "audit_entries", ["action", "id"])
    op.execute(GUARD_AUDIT)


def downgrade() -> None:
    """Go back. Accounts without an address or a password, which the revision before cannot hold, are removed."""
    for table in ("audit_entries", "api_keys", "identities", "recovery_codes", "second_factors", "account_tickets"):
        op.drop_table(table)
    op.execute("DELETE FROM auth_sessions")
    for column in (
        "end_reason", "agent", "network", "address", "authenticated_at", "rotated_at", "generation", "refresh_seed",
    ):  # fmt: skip
        op.drop_column("auth_sessions", column)
    op.add_column("auth_sessions", sa.Column("previous_hash", sa.LargeBinary(), nullable=True))
    op.add_column("auth_sessions", sa.Column("refresh_hash", sa.LargeBinary(), nullable=False))
    op.drop_column("users", "logins_since")
    op.drop_column("users", "password_changed_at")
    op.drop_column("users", "email_verified_at")
    op.execute("DELETE FROM users WHERE email IS NULL OR password_hash IS NULL")
    op.alter_column("users", "password_hash", existing_type=sa.Text(), nullable=False)
    op.alter_column("users", "email", existing_type=sa.String(length=254), nullable=False)
