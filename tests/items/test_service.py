"""The catalogue, without HTTP."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select

from api.core.caller import Caller
from api.extensions import db
from api.items import service
from api.items.errors import SkuTaken
from api.items.models import Item
from tests.live import at_once, committed
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from flask import Flask
    from sqlalchemy.orm import Session

    from tests.factories import Factory


def test_facts_are_found_under_the_id_and_the_sku_in_lower_case(session: Session, make: Factory) -> None:
    first, second = make.item(sku="Abc"), make.item(sku="XYZ")
    make.item(sku="noise")

    found = service.facts(session, ids=[first.id], skus=["xyz", "unknown"])

    assert set(found) == {first.id, "abc", second.id, "xyz"}
    assert found["xyz"].id == second.id


def test_facts_about_nothing_are_none(session: Session, make: Factory) -> None:
    make.item()

    assert service.facts(session, ids=[], skus=[]) == {}
    assert service.facts_by_id(session, []) == {}


def test_many_items_are_added_at_once(session: Session) -> None:
    rows = [{"sku": f"S{number}", "name": "Some", "unit_price": Decimal(number)} for number in range(1500)]

    ids = service.import_many(session, rows)

    assert session.scalar(select(func.count(Item.id))) == 1500
    assert service.get(session, ids["S7"]).unit_price == 7


def test_a_sku_is_unique_without_case(session: Session, make: Factory) -> None:
    make.item(sku="abc")

    with pytest.raises(SkuTaken) as refusal:
        service.create(session, sku="ABC", name="Other", unit_price=Decimal(1), by=Caller.system())

    assert refusal.value.problem.field == "sku"


def test_of_many_items_of_one_sku_at_once_one_is_made(live_app: Flask) -> None:
    with committed(live_app) as make:
        headers = make.headers()
    request: dict[str, Any] = {"path": "/api/v1/items", "method": "POST", "headers": headers}
    bodies = [{"sku": sku, "name": sku, "unit_price": "1"} for sku in ("race", "RACE", "Race", "rAce", "raCe", "racE")]

    answers = at_once(live_app, *(request | {"json": body} for body in bodies))

    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 5}
    for answer in answers:
        if answer.status_code == 409:
            assert_problem(answer, 409, "sku_taken", "sku")
            assert answer.get_json()["error"]["message"].endswith(".")
    with live_app.app_context():
        assert db.session.scalar(select(func.count(Item.id))) == 1
