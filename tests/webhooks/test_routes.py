"""Webhook endpoints over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from api.webhooks import service
from api.webhooks.schedule import Result
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from tests.factories import Factory

URL = "/api/v1/webhook-endpoints"
HERE = "http://127.0.0.1:9/hooks"


@pytest.fixture(autouse=True)
def _may_reach_this_machine(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = app.extensions["stockroom"]
    allowed = {"webhook_allowed_networks": (ip_network("127.0.0.0/8"),)}
    monkeypatch.setitem(app.extensions, "stockroom", settings.model_copy(update=allowed))


@pytest.fixture
def headers(make: Factory) -> dict[str, str]:
    return make.headers(role="manager")


def add(client: FlaskClient, headers: dict[str, str], **facts: Any) -> Any:
    answer = client.post(URL, json={"url": HERE} | facts, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.get_json()


def narrow(client: FlaskClient, make: Factory) -> dict[str, str]:
    """Make a key that may do all with webhooks and see no events but those of items."""
    body = {"name": "narrow", "scopes": ["webhooks:read", "webhooks:write", "items:read"]}
    key = client.post("/api/v1/api-keys", json=body, headers=make.headers(role="manager")).get_json()["key"]
    return {"Authorization": f"Bearer {key}"}


def test_an_endpoint_is_added_shown_changed_and_deleted(client: FlaskClient, headers: dict[str, str]) -> None:
    body = {"url": HERE, "types": ["order.*", "stock.low"], "headers": {"Authorization": "Bearer canary"}}
    made = client.post(URL, json=body, headers=headers)
    endpoint, at = made.get_json(), made.headers["Location"]

    assert (endpoint["types"], endpoint["header_names"], endpoint["is_active"]) == (
        ["order.*", "stock.low"],
        ["Authorization"],
        True,
    )
    assert "canary" not in made.text
    shown = client.get(at, headers=headers)
    assert shown.get_json() == endpoint
    assert [row["id"] for row in client.get(URL, headers=headers).get_json()["data"]] == [endpoint["id"]]
    matching = headers | {"If-Match": shown.headers["ETag"]}
    changed = client.patch(at, json={"is_active": False, "max_in_flight": 1, "headers": {}}, headers=matching)
    assert changed.get_json() | {"updated_at": ""} == endpoint | {
        "is_active": False,
        "disabled_reason": "by_hand",
        "disabled_at": changed.get_json()["disabled_at"],
        "max_in_flight": 1,
        "header_names": [],
        "updated_at": "",
    }
    assert_problem(client.patch(at, json={"is_active": True}, headers=matching), 412, "precondition_failed", None)
    again = headers | {"If-Match": changed.headers["ETag"]}
    on = client.patch(at, json={"is_active": True}, headers=again)
    assert (on.get_json()["is_active"], on.get_json()["disabled_reason"]) == (True, None)
    assert client.delete(at, headers=headers | {"If-Match": on.headers["ETag"]}).status_code == 204
    assert_problem(client.get(at, headers=headers), 404, "webhook_endpoint_not_found", None)


@pytest.mark.parametrize(
    ("facts", "code", "field"),
    [
        ({"url": "http://169.254.169.254/latest/meta-data"}, "url_not_allowed", "url"),
        ({"url": "http://10.0.0.1/"}, "url_not_allowed", "url"),
        ({"url": "http://167772161/"}, "url_not_allowed", "url"),
        ({"url": "ftp://127.0.0.1/"}, "url_not_allowed", "url"),
        ({"url": "http://user:password@127.0.0.1/"}, "url_not_allowed", "url"),
        ({"url": ""}, "wrong_length", "url"),
        ({"url": 7}, "invalid_type", "url"),
        ({"types": ["kettle.boiled"]}, "unknown_choice", "types"),
        ({"types": "order.placed"}, "invalid_value", "types"),
        ({"types": ["session.opened"]}, "unknown_choice", "types"),
        ({"headers": {"Host": "internal"}}, "invalid_value", "headers"),
        ({"headers": {"X-A": "a\r\nB: c"}}, "invalid_character", "headers.X-A.value"),
        ({"headers": {"X-Key": "1", "x-key": "2"}}, "invalid_value", "headers"),
        ({"headers": {f"X-{number}": "1" for number in range(21)}}, "wrong_length", "headers"),
        ({"max_in_flight": 0}, "out_of_range", "max_in_flight"),
        ({"max_in_flight": 21}, "out_of_range", "max_in_flight"),
        ({"secret": "whsec_x"}, "unknown_field", "secret"),
    ],
)
def test_what_cannot_be_called_or_sent_is_refused(
    client: FlaskClient, headers: dict[str, str], facts: dict[str, Any], code: str, field: str
) -> None:
    answer = client.post(URL, json={"url": HERE} | facts, headers=headers)

    assert_problem(answer, 422, code, field)
    assert client.get(URL, headers=headers).get_json()["data"] == []


def test_nobody_subscribes_to_what_they_may_not_see(client: FlaskClient, make: Factory) -> None:
    admin = make.headers()
    body = {"name": "hooks", "scopes": ["webhooks:write", "orders:read"]}
    key = client.post("/api/v1/api-keys", json=body, headers=admin).get_json()["key"]
    bearer = {"Authorization": f"Bearer {key}"}

    answer = client.post(URL, json={"url": HERE, "types": ["user.created"]}, headers=bearer)

    assert_problem(answer, 403, "event_type_forbidden", "types")


def test_a_key_that_sees_little_makes_endpoints_that_get_little(
    client: FlaskClient, make: Factory, session: Session
) -> None:
    body = {"name": "hooks", "scopes": ["webhooks:write", "stock:read"]}
    key = client.post("/api/v1/api-keys", json=body, headers=make.headers()).get_json()["key"]
    add(client, {"Authorization": f"Bearer {key}"})
    session.commit()
    make.order((make.item(stock=5), 1))
    session.commit()

    while service.fan_out(session):
        session.commit()

    sent = session.scalars(text("SELECT DISTINCT event_type FROM webhook_deliveries")).all()
    assert sent == ["stock.received"]


def test_the_secret_is_shown_to_those_who_manage_and_that_is_written_down(
    client: FlaskClient, headers: dict[str, str], make: Factory
) -> None:
    endpoint = add(client, headers)
    at = f"{URL}/{endpoint['id']}"

    first = client.get(f"{at}/secret", headers=headers).get_json()
    rotated = client.post(f"{at}/rotate-secret", json={}, headers=headers)
    second = client.get(f"{at}/secret", headers=headers).get_json()
    too_soon = client.post(f"{at}/rotate-secret", json={}, headers=headers)
    at_once = client.post(f"{at}/rotate-secret", json={"keep_previous": False}, headers=headers)
    third = client.get(f"{at}/secret", headers=headers).get_json()

    assert first["secret"].startswith("whsec_")
    assert (first["previous"], first["previous_until"]) == (None, None)
    assert "whsec_" not in rotated.text
    assert second["previous"] == first["secret"] != second["secret"]
    assert_problem(too_soon, 409, "rotation_under_way", None)
    assert at_once.status_code == 200
    assert at_once.get_json()["rotated_at"] is not None
    assert (third["previous"], third["previous_until"]) == (None, None)
    assert third["secret"] not in {first["secret"], second["secret"]}
    log = client.get("/api/v1/audit?action=webhook", headers=make.headers()).get_json()["data"]
    assert [entry["action"] for entry in log].count("webhook_secret.read") == 3
    assert "whsec_" not in str(log)


def test_two_endpoints_have_different_secrets(client: FlaskClient, headers: dict[str, str]) -> None:
    secrets = {
        client.get(f"{URL}/{add(client, headers)['id']}/secret", headers=headers).get_json()["secret"] for _ in range(2)
    }

    assert len(secrets) == 2


def finish(session: Session, endpoint_id: str, *, status: int = 500, excerpt: str = "no") -> None:
    """Let what is on its way to an endpoint come to an end."""
    rows = session.execute(text("SELECT id, attempts FROM webhook_deliveries WHERE status = 'pending'")).all()
    moment = session.scalar(text("SELECT now()"))
    session.execute(text("UPDATE webhook_deliveries SET attempts = 10 WHERE status = 'pending'"))
    for row in rows:
        result = Result(
            delivery_id=row.id,
            endpoint_id=UUID(endpoint_id),
            number=10,
            started_at=moment,
            duration_ms=12,
            status=status,
            error=None if status < 300 else "http_error",
            detail=None,
            excerpt=excerpt,
            retry_after=None,
            is_success=status < 300,
        )
        service.settle(session, [result])
    session.commit()


def test_a_test_event_is_on_its_way_at_once_and_its_log_tells_the_rest(
    client: FlaskClient, headers: dict[str, str], session: Session
) -> None:
    endpoint = add(client, headers)
    at = f"{URL}/{endpoint['id']}"

    sent = client.post(f"{at}/test", headers=headers)
    finish(session, endpoint["id"], status=500, excerpt="out of order")
    (row,) = client.get(f"{at}/deliveries?status=failed&type=webhook.test", headers=headers).get_json()["data"]
    detail = client.get(f"{at}/deliveries/{row['id']}", headers=headers).get_json()
    state = client.get(f"{at}/state", headers=headers).get_json()

    assert (sent.status_code, sent.get_json()["status"], sent.get_json()["position"]) == (202, "pending", None)
    assert (row["id"], row["status"], row["last_status"], row["last_error"]) == (
        sent.get_json()["id"],
        "failed",
        500,
        "http_error",
    )
    assert detail["delivery"] == row
    (attempt,) = detail["attempts"]
    assert (attempt["status"], attempt["duration_ms"], attempt["excerpt"]) == (500, 12, "out of order")
    assert (state["failures"], state["pending"], state["last_success_at"]) == (1, 0, None)
    assert client.get(f"{at}/deliveries?status=delivered", headers=headers).get_json()["data"] == []


def test_a_delivery_is_sent_once_more_with_the_same_id(
    client: FlaskClient, headers: dict[str, str], session: Session
) -> None:
    endpoint = add(client, headers)
    at = f"{URL}/{endpoint['id']}"
    sent = client.post(f"{at}/test", headers=headers).get_json()
    finish(session, endpoint["id"])

    again = client.post(f"{at}/deliveries/{sent['id']}/redeliver", headers=headers)

    assert again.status_code == 202
    assert again.get_json() | {"due_at": ""} == sent | {"due_at": "", "last_status": 500, "last_error": "http_error"}


def test_deliveries_are_listed_newest_first_also_those_that_were_put_on_their_way_again(
    client: FlaskClient, headers: dict[str, str], make: Factory, session: Session
) -> None:
    endpoint = add(client, headers, types=["item.*"])
    session.commit()
    for _ in range(5):
        make.item()
    session.commit()
    since = datetime.now(UTC) - timedelta(hours=1)
    list(service.put_on_its_way_again(session, UUID(endpoint["id"]), since=since, only_failed=False))
    session.execute(text("UPDATE webhook_deliveries SET created_at = created_at - interval '1 minute'"))
    session.commit()
    newest = client.post(f"{URL}/{endpoint['id']}/test", headers=headers).get_json()

    first = client.get(f"{URL}/{endpoint['id']}/deliveries?limit=1", headers=headers).get_json()
    rest = client.get(f"{URL}/{endpoint['id']}/deliveries?cursor={first['next_cursor']}", headers=headers).get_json()[
        "data"
    ]

    assert [row["id"] for row in first["data"]] == [newest["id"]]
    assert len(rest) == 5


def test_a_test_event_ends_a_pause(client: FlaskClient, headers: dict[str, str], session: Session) -> None:
    endpoint = add(client, headers)
    at = f"{URL}/{endpoint['id']}"
    session.execute(text("UPDATE webhook_endpoints SET failures = 7, resume_at = now() + interval '10 minutes'"))
    session.commit()
    before = client.get(f"{at}/state", headers=headers).get_json()["resume_at"]

    client.post(f"{at}/test", headers=headers)

    state = client.get(f"{at}/state", headers=headers).get_json()
    assert state["resume_at"] < before
    assert (state["failures"], state["pending"], state["in_flight"]) == (7, 1, 0)


def test_everything_since_a_moment_is_a_job(client: FlaskClient, headers: dict[str, str]) -> None:
    endpoint = add(client, headers)

    started = client.post(f"{URL}/{endpoint['id']}/redeliver", json={"since": "2026-05-17T00:00:00Z"}, headers=headers)
    followed = client.get(f"/api/v1/jobs/{started.get_json()['id']}", headers=headers).get_json()

    assert started.status_code == 202
    assert (followed["task"], followed["status"], followed["attempts"]) == ("redeliver_webhooks", "waiting", 0)


def test_a_moment_that_lies_ahead_is_refused(client: FlaskClient, headers: dict[str, str]) -> None:
    at = f"{URL}/{add(client, headers)['id']}/redeliver"
    ahead = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()

    assert_problem(client.post(at, json={"since": ahead}, headers=headers), 422, "invalid_value", "since")


def test_who_may_not_see_what_an_endpoint_gets_can_neither_redirect_nor_read_it(
    client: FlaskClient, make: Factory, headers: dict[str, str]
) -> None:
    everything, items = add(client, headers), add(client, headers, types=["item.*"])
    sent = client.post(f"{URL}/{everything['id']}/test", headers=headers).get_json()
    key = narrow(client, make)
    matching, at = key | {"If-Match": '"1"'}, f"{URL}/{everything['id']}"

    refused = [
        client.patch(at, json={"url": f"{HERE}/mine"}, headers=matching),
        client.get(f"{at}/secret", headers=key),
        client.post(f"{at}/rotate-secret", json={}, headers=key),
        client.post(f"{at}/redeliver", json={"since": "2026-05-17T00:00:00Z"}, headers=key),
        client.post(f"{at}/deliveries/{sent['id']}/redeliver", headers=key),
    ]

    for answer in refused:
        assert_problem(answer, 403, "webhook_endpoint_out_of_reach", None)
    within = client.patch(f"{URL}/{items['id']}", json={"url": f"{HERE}/ours"}, headers=matching)
    assert within.get_json()["url"] == f"{HERE}/ours"


def test_types_that_the_owner_could_not_see_are_not_added_by_others(
    client: FlaskClient, make: Factory, headers: dict[str, str]
) -> None:
    key = narrow(client, make)
    endpoint = add(client, key, types=["item.created"])
    at, matching = f"{URL}/{endpoint['id']}", headers | {"If-Match": '"1"'}

    refused = client.patch(at, json={"types": ["item.*", "order.placed"]}, headers=matching)

    assert_problem(refused, 422, "event_type_not_for_owner", "types")
    assert client.patch(at, json={"types": ["item.*"]}, headers=matching).get_json()["types"] == ["item.*"]


def test_nothing_is_sent_to_what_is_switched_off(client: FlaskClient, make: Factory, headers: dict[str, str]) -> None:
    endpoint = add(client, headers)
    at = f"{URL}/{endpoint['id']}"
    client.patch(at, json={"is_active": False}, headers=headers | {"If-Match": '"1"'})

    for path, body in (("test", {}), ("redeliver", {"since": "2026-05-17T00:00:00Z"})):
        answer = client.post(f"{at}/{path}", json=body, headers=headers)
        assert_problem(answer, 409, "webhook_endpoint_inactive", None)
    assert make.session.scalar(text("SELECT count(*) FROM webhook_deliveries")) == 0


@pytest.mark.parametrize(
    "path", ["", "/state", "/secret", "/deliveries", "/deliveries/0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d48"]
)
def test_what_there_is_not_is_404(client: FlaskClient, headers: dict[str, str], path: str) -> None:
    answer = client.get(f"{URL}/{uuid4()}{path}", headers=headers)

    code = "webhook_delivery_not_found" if path.count("/") == 2 else "webhook_endpoint_not_found"
    assert_problem(answer, 404, code, None)


def test_how_an_endpoint_is_doing_is_no_change_of_it(
    client: FlaskClient, headers: dict[str, str], session: Session
) -> None:
    endpoint = add(client, headers)
    at = f"{URL}/{endpoint['id']}"
    client.post(f"{at}/test", headers=headers)
    before = client.get(at, headers=headers).headers["ETag"]
    finish(session, endpoint["id"])

    assert client.get(at, headers=headers).headers["ETag"] == before
