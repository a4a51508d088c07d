"""Writes that say what they expect of a level: key, version and quantity guard one write together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.live import at_once, committed
from tests.stock.reading import Level, everything, level

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from tests.factories import Factory

RECEIPTS, ADJUSTMENTS = "/api/v1/stock/receipts", "/api/v1/stock/adjustments"


@pytest.mark.parametrize(("url", "more"), [(RECEIPTS, {}), (ADJUSTMENTS, {"reason": "found"})])
@pytest.mark.parametrize("expected", [{"expected_on_hand": 10}, {"expected_version": 1}])
def test_a_write_with_the_right_expectation_is_done_and_its_repetition_refused(
    make: Factory,
    client: FlaskClient,
    session: Session,
    url: str,
    more: dict[str, str],
    expected: dict[str, int],
) -> None:
    place, headers = make.location(), make.headers(role="clerk")
    item = make.item(stock=10, at=place)
    body = {"location_id": str(place.id), "lines": [{"sku": item.sku, "quantity": 2, **expected}], **more}

    done = client.post(url, json=body, headers=headers)
    again = client.post(url, json=body, headers=headers)

    assert (done.status_code, again.status_code) == (201, 409)
    (problem,) = again.get_json()["error"]["details"]
    assert problem | {"message": ""} == {
        "code": "stock_level_changed",
        "message": "",
        "field": f"lines.0.{next(iter(expected))}",
        "item_id": str(item.id),
        "on_hand": 12,
        "version": 2,
    }
    assert level(session, item, place) == Level(12, 0)


def test_every_line_that_is_not_as_expected_is_named_and_nothing_is_done(
    make: Factory, client: FlaskClient, session: Session
) -> None:
    place = make.location()
    one, two, new = make.item(stock=1, at=place), make.item(stock=2, at=place), make.item()
    lines = [
        {"item_id": str(one.id), "quantity": 1, "expected_on_hand": 0, "expected_version": 0},
        {"item_id": str(two.id), "quantity": 1, "expected_on_hand": 2},
        {"item_id": str(new.id), "quantity": 1, "expected_on_hand": 1},
    ]
    body, headers = {"location_id": str(place.id), "lines": lines}, make.headers()
    before = everything(session)

    response = client.post(RECEIPTS, json=body, headers=headers)

    assert response.status_code == 409
    assert [problem["field"] for problem in response.get_json()["error"]["details"]] == [
        "lines.0.expected_on_hand",
        "lines.0.expected_version",
        "lines.2.expected_on_hand",
    ]
    assert everything(session) == before


def test_of_many_writers_with_the_same_expectation_one_writes(live_app: Flask) -> None:
    with committed(live_app) as make:
        place = make.location()
        item = make.item(stock=10, at=place)
        lines = [{"item_id": str(item.id), "quantity": -1, "expected_version": 1}]
        body = {"location_id": str(place.id), "reason": "lost", "lines": lines}
        request = {"path": ADJUSTMENTS, "method": "POST", "json": body, "headers": make.headers()}

    answers = at_once(live_app, *[request] * 8)

    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 7]
