"""Give items their facts and a search, locations their kind, stock its worth and its past; add transfers and counts.

Stop the version before while this runs, and for good: what it would write lacks what this checks.

Revision ID: 0005
Revises: 0004
Create Date: 2026-11-22 22:15:00+00:00
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"

NOW = sa.text("now()")
MOMENT = sa.DateTime(timezone=True)
WORTH = sa.Numeric(24, 4)
LIVE, ARCHIVED = "archived_at IS NULL", "archived_at IS NOT NULL"

OLD_KINDS = "kind IN ('receipt', 'adjustment', 'reserve', 'release')"
KINDS = "kind IN ('receipt', 'adjustment', 'transfer', 'count', 'reserve', 'release')"

ROUGH_WORDS = """
    UPDATE items SET words = ARRAY(
        SELECT DISTINCT word FROM regexp_split_to_table(lower(sku || ' ' || name), '[^[:alnum:]]+') AS word
        WHERE word <> ''
    )
"""
"""Good enough to be found by until an item is next changed, which words it properly."""

LEARN_WORDS = """
    CREATE FUNCTION learn_item_words() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO item_words (word)
        SELECT DISTINCT said.word FROM changed CROSS JOIN unnest(changed.words) AS said (word)
        WHERE NOT EXISTS (SELECT FROM item_words AS known WHERE known.word = said.word)
        ORDER BY said.word
        ON CONFLICT DO NOTHING;
        RETURN NULL;
    END
    $$
"""

LEARN = """
    CREATE TRIGGER item_words_are_learned_{name} AFTER {when} ON items REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION learn_item_words()
"""

COPY_REORDER_POINT = """
    CREATE FUNCTION copy_reorder_point() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NOT EXISTS (
            SELECT FROM now_is JOIN was USING (id) WHERE now_is.reorder_point IS DISTINCT FROM was.reorder_point
        ) THEN
            RETURN NULL;
        END IF;
        PERFORM FROM stock_levels AS level
        JOIN now_is ON now_is.id = level.item_id JOIN was ON was.id = level.item_id
        WHERE now_is.reorder_point IS DISTINCT FROM was.reorder_point
        ORDER BY level.item_id, level.location_id FOR UPDATE OF level;
        UPDATE stock_levels AS level
        SET reorder_point = now_is.reorder_point,
            is_low = coalesce(level.on_hand - level.reserved <= now_is.reorder_point, false)
        FROM now_is JOIN was USING (id), locations AS place
        WHERE level.item_id = now_is.id AND now_is.reorder_point IS DISTINCT FROM was.reorder_point
            AND place.id = level.location_id AND place.kind IN ('warehouse', 'store');
        RETURN NULL;
    END
    $$
"""
"""A level keeps its item's reorder point, so that whoever holds its lock knows it without another row. The levels are
locked in key order first, as everybody does who locks several."""

REORDER_POINT_CHANGES = """
    CREATE TRIGGER reorder_point_is_copied AFTER UPDATE ON items
    REFERENCING OLD TABLE AS was NEW TABLE AS now_is FOR EACH STATEMENT EXECUTE FUNCTION copy_reorder_point()
"""

REFUSE_TO_ARCHIVE = """
    CREATE FUNCTION refuse_to_archive() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (SELECT FROM stock_levels WHERE location_id = NEW.id AND on_hand > 0) THEN
            RAISE EXCEPTION 'location % holds stock', NEW.code
                USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_locations_archived_when_empty';
        END IF;
        RETURN NEW;
    END
    $$
"""
"""The row is locked when this looks, so nothing can come in beside it: whoever brings stock shares that lock."""

ARCHIVED_WHEN_EMPTY = """
    CREATE TRIGGER locations_are_archived_when_empty BEFORE UPDATE OF archived_at ON locations
    FOR EACH ROW WHEN (NEW.archived_at IS NOT NULL AND OLD.archived_at IS NULL)
    EXECUTE FUNCTION refuse_to_archive()
"""

MARK_LATE = """
    UPDATE stock_movements AS m SET is_late = true FROM (
        SELECT id, occurred_at < max(occurred_at) OVER (
            PARTITION BY item_id, location_id ORDER BY sequence ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS is_late FROM stock_movements
    ) AS seen WHERE seen.id = m.id AND seen.is_late
"""

NOTE_LAST_MOVES = """
    UPDATE stock_levels AS l SET moved_at = m.moved_at FROM (
        SELECT item_id, location_id, max(occurred_at) AS moved_at FROM stock_movements GROUP BY item_id, location_id
    ) AS m WHERE m.item_id = l.item_id AND m.location_id = l.location_id
"""

NEWEST_FIRST = ["occurred_at", "id"]


def upgrade() -> None:
    """Go forward."""
    _describe_items()
    _describe_locations()
    _describe_stock()
    _add_closings()
    _add_transfers()
    _add_counts()
    op.execute("DROP VIEW integrity")
    op.execute(_sql("stock_differences_0005.sql"))
    op.execute("CREATE VIEW integrity AS SELECT * FROM stock_differences()")


def _describe_items() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.add_column("items", sa.Column("barcode", sa.String(length=14), nullable=True))
    op.add_column("items", sa.Column("category", sa.String(length=100), nullable=True))
    op.add_column("items", sa.Column("tags", ARRAY(sa.Text()), server_default="{}", nullable=False))
    op.add_column("items", sa.Column("attributes", JSONB(), server_default="{}", nullable=False))
    op.add_column("items", sa.Column("image_url", sa.String(length=2000), nullable=True))
    op.add_column("items", sa.Column("cost_price", sa.Numeric(14, 4), nullable=True))
    op.add_column("items", sa.Column("reorder_point", sa.Integer(), nullable=True))
    op.add_column("items", sa.Column("reorder_quantity", sa.Integer(), nullable=True))
    op.add_column("items", sa.Column("words", ARRAY(sa.Text()), server_default="{}", nullable=False))
    op.create_check_constraint(op.f("ck_items_cost_price_not_negative"), "items", "cost_price >= 0")
    op.create_check_constraint(op.f("ck_items_reorder_point_not_negative"), "items", "reorder_point >= 0")
    op.create_check_constraint(op.f("ck_items_reorder_quantity_positive"), "items", "reorder_quantity > 0")

    op.create_table(
        "item_words",
        sa.Column("word", sa.Text(collation="C"), nullable=False),
        sa.PrimaryKeyConstraint("word", name=op.f("pk_item_words")),
        comment="Every word that items have ever been described by: what a misspelt one may have meant",
    )
    op.create_index(
        "ix_item_words_similar",
        "item_words",
        ["word"],
        postgresql_using="gin",
        postgresql_ops={"word": "gin_trgm_ops"},
        postgresql_where="word !~ '[0-9]'",
    )
    op.execute(LEARN_WORDS)
    for when in ("INSERT", "UPDATE"):
        op.execute(LEARN.format(name=when.lower(), when=when))
    op.execute(ROUGH_WORDS)

    op.drop_index("ix_items_sku_id", "items")
    for name in ("sku", "name", "unit_price", "created_at", "updated_at"):
        op.create_index(f"ix_items_live_{name}", "items", [name, "id"], postgresql_where=LIVE)
    op.create_index(
        "ix_items_live_category", "items", [sa.text("coalesce(category, '')"), "sku", "id"], postgresql_where=LIVE
    )
    op.create_index("ix_items_archived_sku", "items", ["sku", "id"], postgresql_where=ARCHIVED)
    op.create_index("uq_items_barcode", "items", [sa.text("lpad(barcode, 14, '0')")], unique=True)
    op.create_index("ix_items_words", "items", [sa.text("array_to_tsvector(words)")], postgresql_using="gin")
    op.execute("ALTER INDEX ix_items_words ALTER COLUMN 1 SET STATISTICS 300")  # so that rare words are known as such
    op.create_index("ix_items_not_stocked", "items", ["sku", "id"], postgresql_where=f"{LIVE} AND NOT is_stocked")
    op.create_index("ix_items_tags", "items", ["tags"], postgresql_using="gin")
    op.create_index(
        "ix_items_attributes",
        "items",
        ["attributes"],
        postgresql_using="gin",
        postgresql_ops={"attributes": "jsonb_path_ops"},
    )


def _describe_locations() -> None:
    op.add_column("locations", sa.Column("kind", sa.String(length=20), server_default="warehouse", nullable=False))
    op.add_column("locations", sa.Column("address", JSONB(), nullable=True))
    op.add_column("locations", sa.Column("archived_at", MOMENT, nullable=True))
    op.create_check_constraint(
        op.f("ck_locations_kind_known"), "locations", "kind IN ('warehouse', 'store', 'quarantine', 'transit')"
    )
    op.create_index("uq_locations_transit", "locations", ["kind"], unique=True, postgresql_where="kind = 'transit'")
    op.execute(REFUSE_TO_ARCHIVE)
    op.execute(ARCHIVED_WHEN_EMPTY)


def _describe_stock() -> None:
    op.add_column("stock_levels", sa.Column("value", WORTH, server_default="0", nullable=False))
    op.add_column("stock_levels", sa.Column("moved_at", MOMENT, nullable=True))
    op.add_column("stock_levels", sa.Column("reorder_point", sa.Integer(), nullable=True))
    op.add_column("stock_levels", sa.Column("is_low", sa.Boolean(), server_default="false", nullable=False))
    op.create_check_constraint(
        op.f("ck_stock_levels_value_of_something"), "stock_levels", "value >= 0 AND (on_hand > 0 OR value = 0)"
    )
    op.create_check_constraint(
        op.f("ck_stock_levels_is_low_told_rightly"),
        "stock_levels",
        "is_low = coalesce(on_hand - reserved <= reorder_point, false)",
    )
    op.create_index(
        "ix_stock_levels_low", "stock_levels", ["item_id", "location_id"], postgresql_where=sa.text("is_low")
    )
    op.execute(COPY_REORDER_POINT)
    op.execute(REORDER_POINT_CHANGES)

    op.add_column("stock_movements", sa.Column("value_change", WORTH, server_default="0", nullable=False))
    op.add_column("stock_movements", sa.Column("value", WORTH, server_default="0", nullable=False))
    op.add_column("stock_movements", sa.Column("is_late", sa.Boolean(), server_default="false", nullable=False))
    op.execute("ALTER TABLE stock_movements DISABLE TRIGGER stock_movements_are_immutable")
    op.execute(MARK_LATE)
    op.execute("ALTER TABLE stock_movements ENABLE TRIGGER stock_movements_are_immutable")
    op.execute(NOTE_LAST_MOVES)
    op.drop_constraint("ck_stock_movements_kind_known", "stock_movements")
    op.create_check_constraint(op.f("ck_stock_movements_kind_known"), "stock_movements", KINDS)

    op.drop_index("ix_stock_movements_source_id", "stock_movements")
    for column in ("source_id", "reference", "reason"):
        op.create_index(
            f"ix_stock_movements_{column}",
            "stock_movements",
            [column, *NEWEST_FIRST],
            postgresql_where=f"{column} IS NOT NULL",
        )
    op.create_index("ix_stock_movements_occurred_at", "stock_movements", NEWEST_FIRST)
    for column in ("item_id", "location_id"):
        op.create_index(f"ix_stock_movements_{column}", "stock_movements", [column, *NEWEST_FIRST])
    op.create_index(
        "ix_stock_movements_by_hand",
        "stock_movements",
        ["kind", *NEWEST_FIRST],
        postgresql_where="kind NOT IN ('reserve', 'release')",
    )
    level = ["item_id", "location_id", "occurred_at", "sequence"]
    op.create_index("ix_stock_movements_in_time", "stock_movements", level, postgresql_where="NOT is_late")
    op.create_index("ix_stock_movements_late", "stock_movements", level, postgresql_where="is_late")


def _add_closings() -> None:
    op.create_table(
        "stock_closings",
        sa.Column("location_id", sa.Uuid(), nullable=False),
        sa.Column("closed_at", MOMENT, nullable=False),
        sa.Column("known_at", MOMENT, nullable=False),
        sa.Column("on_hand", sa.BigInteger(), nullable=False),
        sa.Column("value", WORTH, nullable=False),
        sa.ForeignKeyConstraint(["location_id"], ["locations.id"], name=op.f("fk_stock_closings_location_id")),
        sa.PrimaryKeyConstraint("location_id", "closed_at", name=op.f("pk_stock_closings")),
        comment="Sums of the ledger, as it was at known_at; they can be made again at any time",
    )
    summed = ["on_hand_change", "value_change"]
    op.create_index(
        "ix_stock_movements_worth",
        "stock_movements",
        ["location_id", "occurred_at"],
        postgresql_where=sa.text("on_hand_change <> 0"),
        postgresql_include=summed,
    )
    op.create_index(
        "ix_stock_movements_dated_back",
        "stock_movements",
        ["location_id", "recorded_at", "occurred_at"],
        postgresql_where=sa.text("on_hand_change <> 0 AND occurred_at < recorded_at"),
        postgresql_include=summed,
    )


def _add_transfers() -> None:
    op.create_table(
        "transfers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("from_location_id", sa.Uuid(), nullable=False),
        sa.Column("to_location_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("reference", sa.String(length=200), nullable=True),
        sa.Column("note", sa.String(length=2000), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("sent_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("completed_at", MOMENT, nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("updated_at", MOMENT, server_default=NOW, nullable=False),
        sa.CheckConstraint(
            "status IN ('in_transit', 'completed', 'cancelled')", name=op.f("ck_transfers_status_known")
        ),
        sa.CheckConstraint("from_location_id <> to_location_id", name=op.f("ck_transfers_goes_somewhere")),
        sa.ForeignKeyConstraint(["from_location_id"], ["locations.id"], name=op.f("fk_transfers_from_location_id")),
        sa.ForeignKeyConstraint(["to_location_id"], ["locations.id"], name=op.f("fk_transfers_to_location_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfers")),
    )
    op.create_index("ix_transfers_status_id", "transfers", ["status", "id"])
    op.create_index("ix_transfers_from_location_id", "transfers", ["from_location_id", "id"])
    op.create_index("ix_transfers_to_location_id", "transfers", ["to_location_id", "id"])
    op.create_index(
        "ix_transfers_reference", "transfers", ["reference", "id"], postgresql_where="reference IS NOT NULL"
    )
    op.create_table(
        "transfer_lines",
        sa.Column("transfer_id", sa.Uuid(), nullable=False),
        sa.Column("line_no", sa.SmallInteger(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("received_quantity", sa.Integer(), server_default="0", nullable=False),
        sa.Column("returned_quantity", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lost_quantity", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_transfer_lines_quantity_positive")),
        sa.CheckConstraint(
            "least(received_quantity, returned_quantity, lost_quantity) >= 0"
            " AND received_quantity + returned_quantity + lost_quantity <= quantity",
            name=op.f("ck_transfer_lines_ends_within_quantity"),
        ),
        sa.ForeignKeyConstraint(["transfer_id"], ["transfers.id"], name=op.f("fk_transfer_lines_transfer_id")),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_transfer_lines_item_id")),
        sa.PrimaryKeyConstraint("transfer_id", "line_no", name=op.f("pk_transfer_lines")),
    )
    op.create_index("ix_transfer_lines_item_id", "transfer_lines", ["item_id"])


def _add_counts() -> None:
    op.create_table(
        "counts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("location_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("reference", sa.String(length=200), nullable=True),
        sa.Column("note", sa.String(length=2000), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("closed_by", sa.Uuid(), nullable=True),
        sa.Column("closed_at", MOMENT, nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("updated_at", MOMENT, server_default=NOW, nullable=False),
        sa.CheckConstraint("status IN ('open', 'posted', 'cancelled')", name=op.f("ck_counts_status_known")),
        sa.ForeignKeyConstraint(["location_id"], ["locations.id"], name=op.f("fk_counts_location_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_counts")),
    )
    op.create_index(
        "uq_counts_open", "counts", ["location_id"], unique=True, postgresql_where=sa.text("status = 'open'")
    )
    op.create_index("ix_counts_location_id", "counts", ["location_id", "id"])
    op.create_table(
        "count_entries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("count_id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("on_hand", sa.Integer(), nullable=False),
        sa.Column("counted_by", sa.Uuid(), nullable=True),
        sa.Column("counted_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("is_replaced", sa.Boolean(), server_default="false", nullable=False),
        sa.CheckConstraint("quantity >= 0", name=op.f("ck_count_entries_quantity_not_negative")),
        sa.ForeignKeyConstraint(["count_id"], ["counts.id"], name=op.f("fk_count_entries_count_id")),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_count_entries_item_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_count_entries")),
    )
    op.create_index("ix_count_entries_count_id_item_id", "count_entries", ["count_id", "item_id"])
    op.create_index("ix_count_entries_item_id", "count_entries", ["item_id"])


REFUSE_TO_GO_BACK = """
    DO $$
    BEGIN
        IF EXISTS (SELECT FROM transfers WHERE status = 'in_transit') OR EXISTS (
            SELECT FROM stock_levels AS level JOIN locations AS place ON place.id = level.location_id
            WHERE level.on_hand > 0 AND place.kind = 'quarantine'
        ) THEN
            RAISE EXCEPTION 'stock in transit or quarantine has no place in the revision before: bring it home';
        END IF;
    END
    $$
"""


def downgrade() -> None:
    """Go back. Transfers and counts in the ledger become adjustments, which the revision before knows."""
    op.execute(REFUSE_TO_GO_BACK)
    op.execute("DROP VIEW integrity")
    op.execute("DROP FUNCTION stock_differences")
    for table in ("count_entries", "counts", "transfer_lines", "transfers"):
        op.drop_table(table)
    op.drop_table("stock_closings")
    for index in (
        "dated_back",
        "worth",
        "late",
        "in_time",
        "by_hand",
        "location_id",
        "item_id",
        "occurred_at",
        "reason",
        "reference",
        "source_id",
    ):
        op.drop_index(f"ix_stock_movements_{index}", "stock_movements")
    op.create_index(
        "ix_stock_movements_source_id", "stock_movements", ["source_id"], postgresql_where="source_id IS NOT NULL"
    )
    op.execute("ALTER TABLE stock_movements DISABLE TRIGGER stock_movements_are_immutable")
    op.drop_constraint("ck_stock_movements_kind_known", "stock_movements")
    op.execute("UPDATE stock_movements SET kind = 'adjustment' WHERE kind IN ('transfer', 'count')")
    op.create_check_constraint(op.f("ck_stock_movements_kind_known"), "stock_movements", OLD_KINDS)
    op.execute("ALTER TABLE stock_movements ENABLE TRIGGER stock_movements_are_immutable")
    for column in ("is_late", "value", "value_change"):
        op.drop_column("stock_movements", column)
    op.execute("DROP TRIGGER reorder_point_is_copied ON items")
    op.execute("DROP FUNCTION copy_reorder_point")
    for column in ("is_low", "reorder_point", "moved_at", "value"):
        op.drop_column("stock_levels", column)
    op.execute("DROP TRIGGER locations_are_archived_when_empty ON locations")
    op.execute("DROP FUNCTION refuse_to_archive")
    for column in ("archived_at", "address", "kind"):
        op.drop_column("locations", column)
    _forget_items()
    op.execute(_sql("integrity_0002.sql"))


def _forget_items() -> None:
    for when in ("INSERT", "UPDATE"):
        op.execute(f"DROP TRIGGER item_words_are_learned_{when.lower()} ON items")
    op.execute("DROP FUNCTION learn_item_words")
    op.drop_table("item_words")
    for column in ("sku", "name", "unit_price", "created_at", "updated_at"):
        op.drop_index(f"ix_items_live_{column}", "items")
    op.drop_index("ix_items_archived_sku", "items")
    op.drop_index("ix_items_not_stocked", "items")
    for column in (
        "words", "reorder_quantity", "reorder_point", "cost_price", "image_url", "attributes", "tags", "category",
        "barcode",
    ):  # fmt: skip
        op.drop_column("items", column)
    op.create_index("ix_items_sku_id", "items", ["sku", "id"])
    op.execute("DROP EXTENSION pg_trgm")


def _sql(name: str) -> sa.TextClause:
    return sa.text((SQL / name).read_text("utf-8"))
