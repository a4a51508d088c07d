"""The book: movements decided in memory before anything is written. No database here."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.core.caller import Caller
from api.stock.booking import Balance, Book, Cause, LevelKey
from api.stock.models import RECEIPT, RESERVE

HERE = LevelKey(UUID(int=1), UUID(int=1))
THERE = LevelKey(UUID(int=1), UUID(int=2))
BY = Caller(user_id=uuid4(), role="clerk", scopes=frozenset(), request_id="request-7")
RECEIVED = Cause(RECEIPT, reference="DN-1")


def book() -> Book:
    return Book({HERE: Balance(10, 4, version=7), THERE: Balance(0, 0, version=0)}, BY)


def test_what_can_be_promised_is_what_lies_there_and_is_not_promised() -> None:
    assert Balance(10, 4, version=7).available == 6


def test_a_movement_tells_what_changed_and_the_balance_after_it() -> None:
    ours = book()

    ours.move(HERE, RECEIVED, on_hand=5)

    (movement,) = ours.movements
    assert (movement.on_hand_change, movement.reserved_change, movement.on_hand, movement.reserved) == (5, 0, 15, 4)
    assert (movement.item_id, movement.location_id, movement.sequence) == (HERE.item_id, HERE.location_id, 8)
    assert (movement.kind, movement.reference, movement.actor_id, movement.request_id) == (
        RECEIPT,
        "DN-1",
        BY.user_id,
        "request-7",
    )


def test_a_book_remembers_the_version_each_level_had_when_it_was_locked() -> None:
    ours = book()

    ours.move(HERE, RECEIVED, on_hand=1)
    ours.move(HERE, RECEIVED, on_hand=1)

    assert list(ours.changed()) == [(HERE, Balance(12, 4, version=9), 7)]


def test_a_book_without_movements_changes_nothing() -> None:
    assert list(book().changed()) == []


def test_a_level_that_was_not_locked_cannot_be_moved() -> None:
    with pytest.raises(KeyError):
        book().move(LevelKey(uuid4(), uuid4()), RECEIVED, on_hand=1)


@pytest.mark.parametrize(("on_hand", "reserved", "quantity"), [(5, 0, 5), (-2, 0, -2), (0, 3, 3), (0, -3, -3)])
def test_the_quantity_of_a_movement_is_that_of_the_balance_that_changed(
    on_hand: int, reserved: int, quantity: int
) -> None:
    ours = book()

    ours.move(HERE, RECEIVED, on_hand=on_hand, reserved=reserved)

    assert ours.movements[0].quantity == quantity


changes = st.lists(st.tuples(st.sampled_from([HERE, THERE]), st.integers(-50, 50), st.integers(-50, 50)), max_size=20)


@given(changes)
def test_movements_add_up_to_balances_and_are_numbered_without_gaps(moves: list[tuple[LevelKey, int, int]]) -> None:
    ours, start = book(), book().balances

    for key, on_hand, reserved in moves:
        ours.move(key, Cause(RESERVE), on_hand=on_hand, reserved=reserved)

    for key, balance in ours.balances.items():
        own = [movement for movement in ours.movements if (movement.item_id, movement.location_id) == key]
        assert balance.on_hand == start[key].on_hand + sum(movement.on_hand_change for movement in own)
        assert balance.reserved == start[key].reserved + sum(movement.reserved_change for movement in own)
        assert [movement.sequence for movement in own] == list(range(start[key].version + 1, balance.version + 1))
        assert [(m.on_hand, m.reserved) for m in own][-1:] == ([(balance.on_hand, balance.reserved)] if own else [])
    assert {key for key, _, _ in ours.changed()} == {key for key, _, _ in moves}
    assert len({movement.id for movement in ours.movements}) == len(moves)
