"""Cursors: opaque, signed, and good for one list."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.core import paging
from api.core.paging import CursorInvalid

SECRET, SCOPE = "a secret", ["items", {"q": "cake"}, 7]
TYPES = (str, UUID, datetime, Decimal, int)
VALUES = st.tuples(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.uuids(),
    st.datetimes(timezones=st.just(UTC)),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.integers(),
)


@given(VALUES)
def test_a_cursor_gives_back_what_was_put_in(values: tuple[object, ...]) -> None:
    cursor = paging.seal(values, secret=SECRET, scope=SCOPE)

    assert paging.unseal(cursor, types=TYPES, secret=SECRET, scope=SCOPE) == list(values)


@pytest.mark.parametrize(
    ("secret", "scope", "types"),
    [
        ("another secret", SCOPE, (str, UUID)),
        (SECRET, ["orders", {"q": "cake"}, 7], (str, UUID)),
        (SECRET, ["items", {"q": "tea"}, 7], (str, UUID)),
        (SECRET, ["items", {"q": "cake"}, 8], (str, UUID)),
        (SECRET, SCOPE, (str,)),
        (SECRET, SCOPE, (str, datetime)),
        (SECRET, SCOPE, (str, int)),
    ],
)
def test_a_cursor_is_good_for_nothing_else(secret: str, scope: object, types: tuple[type, ...]) -> None:
    cursor = paging.seal(["A", uuid4()], secret=SECRET, scope=SCOPE)

    with pytest.raises(CursorInvalid):
        paging.unseal(cursor, types=types, secret=secret, scope=scope)


@given(st.text(max_size=50) | st.binary(max_size=50).map(lambda raw: raw.decode("latin-1")))
def test_no_text_but_a_cursor_is_a_cursor(text: str) -> None:
    with pytest.raises(CursorInvalid):
        paging.unseal(text, types=(str,), secret=SECRET, scope=SCOPE)
