"""What a page costs does not depend on how many items there are, nor on how deep it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from api.extensions import db
from api.items import service
from tests.statements import counted, watched
from tests.statements import explained as plan_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

    from tests.statements import Sender

FILL = """
    INSERT INTO items (id, sku, name, category, tags, attributes, unit_price, words, created_at, updated_at, barcode)
    SELECT gen_random_uuid(), 'S' || lpad(n::text, 6, '0'), 'Name ' || n % 5000, 'Category ' || n % 300,
           ARRAY['tag' || n % 400], jsonb_build_object('colour', 'c' || n % 700), n % 3000,
           ARRAY['s' || lpad(n::text, 6, '0'), 'word' || n % 900, 'common'],
           now() - n % 7000 * interval '1 minute', now() - n % 9000 * interval '1 minute', lpad(n::text, 8, '0')
    FROM generate_series(1, 20000) AS n
"""


@pytest.mark.parametrize("is_deep", [False, True], ids=["first", "deep"])
@pytest.mark.parametrize("descending", [False, True], ids=["up", "down"])
@pytest.mark.parametrize("name", ["sku", "name", "unit_price", "category", "created_at", "updated_at"])
def test_a_page_is_read_from_an_index_without_sorting(
    full: Session, name: str, *, descending: bool, is_deep: bool
) -> None:
    plan = explained(full, is_deep=is_deep, sort=[(name, descending)])

    assert nodes(plan) <= {"Limit", "Index Scan"}
    assert plan["Plans"][0]["Index Name"] == f"ix_items_live_{name}"
    assert plan["Plans"][0].get("Rows Removed by Filter", 0) == 0
    assert plan["Plans"][0]["Actual Rows"] <= 51


@pytest.mark.parametrize("sort", [[("category", False), ("sku", False)], [("sku", True), ("name", False)]])
def test_some_pairs_of_keys_are_read_from_an_index_too(full: Session, sort: list[tuple[str, bool]]) -> None:
    assert nodes(explained(full, is_deep=True, sort=sort)) <= {"Limit", "Index Scan"}


@pytest.mark.parametrize(
    "wanted",
    [
        {"q": "word77"},
        {"q": "s00012"},
        {"q": "common"},
        {"sku": "s000123"},
        {"barcode": "0000000000123"},
        {"category": "Category 7"},
        {"tag": ["tag7"]},
        {"attribute": ("colour", "c7")},
    ],
    ids=str,
)
def test_what_is_looked_for_is_found_through_an_index(full: Session, wanted: dict[str, Any]) -> None:
    plan = explained(full, is_deep=False, **wanted)

    assert plan["Actual Rows"] > 0
    assert "Seq Scan" not in nodes(plan)


def test_a_misspelt_word_is_looked_up_through_indexes(full: Session) -> None:
    with counted() as statements:
        service.search(full, q="comon s00012 zzz")
    (statement,) = statements

    assert "item_words" in statement
    for way in ("seqscan", "indexscan", "indexonlyscan"):  # there are few words yet
        full.execute(text(f"SET LOCAL enable_{way} = off"))
    (plan,) = full.execute(
        text("EXPLAIN (FORMAT JSON) SELECT word FROM item_words WHERE word !~ '[0-9]' AND word % 'comon'")
    ).scalars()
    assert "ix_item_words_similar" in str(plan)


def explained(session: Session, *, is_deep: bool, **wanted: Any) -> dict[str, Any]:
    """Tell how PostgreSQL reads a page, and what it has met on the way."""
    listing = service.search(session, **wanted)
    after = None
    if is_deep:
        keys = listing._keys()  # noqa: SLF001  # a page in the middle, without reading all before it
        ordered = listing.query.order_by(*(key.ordered() for key in keys))
        row = session.execute(ordered.offset(15_000).limit(1)).one()
        after = [key.read(row) for key in keys]
    sent: list[tuple[Sender, str, Any]] = []

    def note(sender: Sender, statement: str, parameters: Any) -> None:
        if "SAVEPOINT" not in statement:
            sent.append((sender, statement, parameters))

    with watched(note):
        listing.page(session, limit=50, after=after)
    (one,) = sent
    plan: dict[str, Any] = plan_of(*one)
    return plan


def nodes(plan: dict[str, Any]) -> set[str]:
    return {plan["Node Type"], *(name for inner in plan.get("Plans", ()) for name in nodes(inner))}


@pytest.fixture(scope="module")
def filled(app: Flask) -> Iterator[Session]:
    """Twenty thousand items in a transaction that is rolled back, once for all tests here."""
    with app.app_context(), db.engine.connect() as connection:
        outer = connection.begin()
        session = Session(connection, join_transaction_mode="create_savepoint")
        session.execute(text(FILL))
        session.execute(text("ANALYZE items"))
        session.execute(text("ANALYZE item_words"))
        yield session
        session.close()
        outer.rollback()


@pytest.fixture
def full(filled: Session) -> Iterator[Session]:
    """The full catalogue; what a test sets is forgotten after it."""
    with filled.begin_nested() as savepoint:
        yield filled
        savepoint.rollback()
