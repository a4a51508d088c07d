"""The feed over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from sqlalchemy import text

from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from tests.factories import Factory

URL = "/api/v1/events"


def read(client: FlaskClient, headers: dict[str, str], **query: Any) -> Any:
    answer = client.get(URL, query_string=query, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def test_a_reader_goes_on_where_it_was(client: FlaskClient, make: Factory) -> None:
    headers = make.headers()
    item = make.item(stock=5)
    first = read(client, headers)
    order = make.order((item, 2))
    second = read(client, headers, after=first["next_after"])
    third = read(client, headers, after=second["next_after"])

    positions = [event["position"] for event in first["data"]]
    assert positions == list(range(1, len(positions) + 1))
    (placed,) = second["data"]
    assert placed["type"] == "order.placed"
    assert (placed["subject_type"], placed["subject_id"], placed["sequence"]) == ("order", str(order.id), 1)
    assert placed["position"] == positions[-1] + 1
    assert placed["data"]["lines"][0]["quantity"] == 2
    assert third == {"data": [], "next_after": placed["position"], "has_more": False}


def test_pages_follow_one_another(client: FlaskClient, make: Factory) -> None:
    headers = make.headers()
    for _ in range(5):
        make.item()

    whole = read(client, headers)["data"]
    parts, after, has_more = [], 0, True
    while has_more:
        part = read(client, headers, after=after, limit=2)
        parts += part["data"]
        after, has_more = part["next_after"], part["has_more"]

    assert parts == whole


def test_types_and_subjects_narrow_it(client: FlaskClient, make: Factory) -> None:
    headers = make.headers()
    item = make.item(stock=5)
    order = make.order((item, 2))

    assert {event["type"] for event in read(client, headers, types="stock.*,order.placed")["data"]} == {
        "stock.received",
        "order.placed",
    }
    of_item = read(client, headers, subject=str(item.id))["data"]
    assert {event["subject_id"] for event in of_item} == {str(item.id)}
    assert [event["sequence"] for event in of_item] == list(range(1, len(of_item) + 1))
    assert [event["type"] for event in read(client, headers, subject=str(order.id), types="order.*")["data"]] == [
        "order.placed"
    ]


def test_one_event_can_be_shown(client: FlaskClient, make: Factory) -> None:
    headers = make.headers()
    make.item()
    event = read(client, headers)["data"][-1]

    assert client.get(f"{URL}/{event['id']}", headers=headers).get_json() == event
    assert_problem(
        client.get(f"{URL}/{'0' * 8}-0000-7000-8000-{'0' * 12}", headers=headers), 404, "event_not_found", None
    )


def test_nobody_is_told_of_what_they_may_not_see(client: FlaskClient, make: Factory) -> None:
    clerk = make.headers(role="clerk")
    make.user()
    make.item()

    seen = {event["type"] for event in read(client, clerk)["data"]}
    assert "item.created" in seen
    assert not {name for name in seen if name.startswith(("user.", "webhook_endpoint."))}
    assert_problem(client.get(f"{URL}?types=user.created", headers=clerk), 403, "event_type_forbidden", "types")
    hidden = next(event for event in read(client, make.headers())["data"] if event["type"] == "user.created")
    assert_problem(client.get(f"{URL}/{hidden['id']}", headers=clerk), 404, "event_not_found", None)


def test_an_api_key_sees_no_more_than_its_scopes(client: FlaskClient, make: Factory) -> None:
    headers = make.headers()
    body = {"name": "stock only", "scopes": ["events:read", "stock:read"]}
    key = client.post("/api/v1/api-keys", json=body, headers=headers).get_json()["key"]
    make.order((make.item(stock=5), 1))

    seen = {event["type"] for event in read(client, {"Authorization": f"Bearer {key}"})["data"]}
    assert seen == {"stock.received"}


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("types=kettle.boiled", "unknown_choice", "types"),
        ("types=order*", "unknown_choice", "types"),
        ("types=*", "unknown_choice", "types"),
        ("after=-1", "out_of_range", "after"),
        ("after=9007199254740992", "out_of_range", "after"),
        ("wait=26", "out_of_range", "wait"),
        ("limit=0", "out_of_range", "limit"),
        ("limit=1001", "out_of_range", "limit"),
        ("subject=x", "invalid_format", "subject"),
        ("cursor=x", "unknown_field", "cursor"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    client: FlaskClient, make: Factory, query: str, code: str, field: str
) -> None:
    assert_problem(client.get(f"{URL}?{query}", headers=make.headers()), 422, code, field)


def test_who_has_read_more_than_there_is_is_told_so(client: FlaskClient, make: Factory) -> None:
    """As after a backup was restored: waiting where it is, a reader would miss what is written up to there."""
    headers = make.headers()
    last = read(client, headers)["next_after"]

    answer = client.get(f"{URL}?after={last + 1}", headers=headers)

    assert_problem(answer, 422, "position_unknown", "after")
    assert f"go on with after={last}" in answer.get_json()["error"]["message"]


def test_who_was_away_too_long_is_told_so(client: FlaskClient, make: Factory, session: Session) -> None:
    headers = make.headers()
    read(client, headers)
    session.execute(text("UPDATE event_feed SET first = 3, last = 3"))

    answer = client.get(f"{URL}?after=1", headers=headers)

    assert_problem(answer, 410, "events_expired", "after")
    assert "go on with after=2" in answer.get_json()["error"]["message"]


def test_the_catalogue_has_a_valid_schema_for_each_type(client: FlaskClient, make: Factory) -> None:
    listed = client.get(f"{URL}/types", headers=make.headers()).get_json()["data"]

    assert {"order.placed", "stock.low", "user.created"} <= {one["type"] for one in listed}
    for one in listed:
        Draft202012Validator.check_schema(one["data_schema"])
        assert one["description"]
    fewer = client.get(f"{URL}/types", headers=make.headers(role="clerk")).get_json()["data"]
    assert "user.created" not in {one["type"] for one in fewer}
