"""Refusals, as services raise them, and who is told."""

from __future__ import annotations

from typing import Any

from api.core import ids
from api.core.caller import Caller
from api.core.errors import Problem
from api.orders.errors import InvalidTransition

FACTS: dict[str, Any] = {"status": "cancelled", "done": "shipped"}
SENTENCE = "An order that is cancelled cannot be shipped."


def test_a_refusal_says_what_and_where() -> None:
    refusal = InvalidTransition(**FACTS)

    assert str(refusal) == SENTENCE
    assert refusal.problems == (Problem("invalid_transition", SENTENCE, None),)


def test_a_refusal_may_point_at_a_field() -> None:
    assert InvalidTransition(**FACTS, at="lines.3.name").problem.field == "lines.3.name"


def test_a_refusal_may_have_several_reasons() -> None:
    reasons = (Problem("a", "A."), Problem("b", "B.", "x", {"available": 3}))

    refusal = InvalidTransition(**FACTS, problems=reasons)

    assert refusal.problem.code == "invalid_transition"
    assert [problem.as_dict() for problem in refusal.problems] == [
        {"code": "a", "message": "A.", "field": None},
        {"code": "b", "message": "B.", "field": "x", "available": 3},
    ]


def test_identifiers_made_later_sort_later() -> None:
    made = [ids.new() for _ in range(1000)]

    assert sorted(made) == made
    assert len(set(made)) == 1000
    assert {identifier.version for identifier in made} == {7}


def test_the_installation_itself_may_do_everything_and_is_nobody() -> None:
    system = Caller.system(request_id="find-me")

    assert system.may("orders:all")
    assert not system.may("nonsense")
    assert (system.user_id, system.request_id) == (None, "find-me")
