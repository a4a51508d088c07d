"""Refusals, as services raise them."""

from __future__ import annotations

from api.core import ids
from api.core.caller import Caller
from api.core.errors import Conflict, Problem


class Taken(Conflict):
    code = "taken"
    message = "The name {name} is taken."
    field = "name"


def test_a_refusal_says_what_and_where() -> None:
    refusal = Taken(name="Ada")

    assert str(refusal) == "The name Ada is taken."
    assert refusal.problems == (Problem("taken", "The name Ada is taken.", "name"),)


def test_a_refusal_may_point_at_another_field() -> None:
    assert Taken(name="Ada", at="lines.3.name").problem.field == "lines.3.name"


def test_a_refusal_may_have_several_reasons() -> None:
    reasons = (Problem("a", "A."), Problem("b", "B.", "x", {"available": 3}))

    refusal = Taken(name="Ada", problems=reasons)

    assert refusal.problem.code == "taken"
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
