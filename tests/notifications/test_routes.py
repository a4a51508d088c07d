"""Notifications over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from api.users.models import User
    from tests.factories import Factory

NOTIFICATIONS = "/api/v1/notifications"
PREFERENCES = f"{NOTIFICATIONS}/preferences"


@pytest.fixture
def ada(make: Factory) -> User:
    return make.user(role="customer")


@pytest.fixture
def headers(make: Factory, ada: User) -> dict[str, str]:
    return make.headers(user=ada)


class Reader:
    """Somebody who reads their notifications."""

    def __init__(self, client: FlaskClient, headers: dict[str, str]) -> None:
        self.client, self.headers = client, headers

    def list(self, **query: object) -> list[str]:
        answer = self.client.get(NOTIFICATIONS, query_string=query, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return [row["title"] for row in answer.get_json()["data"]]

    def unread(self) -> int:
        return int(self.client.get(f"{NOTIFICATIONS}/unread-count", headers=self.headers).get_json()["unread"])

    def post(self, path: str, body: object = None) -> TestResponse:
        return self.client.post(f"{NOTIFICATIONS}/{path}", json=body, headers=self.headers)


@pytest.fixture
def reader(client: FlaskClient, headers: dict[str, str]) -> Reader:
    return Reader(client, headers)


class TestReading:
    def test_shows_what_one_was_told(
        self, make: Factory, client: FlaskClient, ada: User, headers: dict[str, str]
    ) -> None:
        one = make.notification(ada.id)

        (row,) = client.get(NOTIFICATIONS, headers=headers).get_json()["data"]
        assert row.pop("created_at").endswith("Z")
        assert row == {
            "id": str(one.id),
            "kind": "order_placed",
            "title": "Order SO-001001 has come in",
            "text": "1 unit, 2.50 GBP in all.",
            "subject_type": "order",
            "subject_id": str(one.subject_id),
            "data": {"number": "SO-001001"},
            "read_at": None,
        }

    def test_begins_with_the_newest_and_goes_on_page_by_page(
        self, make: Factory, client: FlaskClient, ada: User, headers: dict[str, str]
    ) -> None:
        for number in range(5):
            make.notification(ada.id, title=str(number))

        seen: list[str] = []
        query: dict[str, object] = {"limit": 2}
        while True:
            page = client.get(NOTIFICATIONS, query_string=query, headers=headers).get_json()
            seen += [row["title"] for row in page["data"]]
            if page["next_cursor"] is None:
                break
            query["cursor"] = page["next_cursor"]
        assert seen == ["4", "3", "2", "1", "0"]

    def test_can_be_narrowed_to_what_is_unread_and_to_a_kind(self, make: Factory, ada: User, reader: Reader) -> None:
        read = make.notification(ada.id, title="read")
        make.notification(ada.id, title="unread")
        make.notification(ada.id, title="shipped", kind="order_shipped")
        assert reader.post(f"{read.id}/read").status_code == 200

        assert reader.list(unread="true") == ["shipped", "unread"]
        assert reader.list(unread="false") == ["read"]
        assert reader.list(kind="order_shipped") == ["shipped"]
        assert reader.list(kind="low_stock") == []

    def test_of_a_kind_there_is_not_is_refused(self, client: FlaskClient, headers: dict[str, str]) -> None:
        answer = client.get(NOTIFICATIONS, query_string={"kind": "gossip"}, headers=headers)

        assert_problem(answer, 422, "unknown_choice", "kind")

    def test_leaves_out_what_only_waits_for_a_digest(self, make: Factory, ada: User, reader: Reader) -> None:
        one = make.notification(ada.id, in_app=False, in_digest=True)

        assert (reader.list(), reader.unread()) == ([], 0)
        assert_problem(reader.post(f"{one.id}/read"), 404, "notification_not_found", None)
        assert_problem(reader.post("read", {"until": str(one.id)}), 404, "notification_not_found", "until")

    def test_leaves_out_what_others_were_told(self, make: Factory, client: FlaskClient, ada: User) -> None:
        make.notification(ada.id)
        admin = Reader(client, make.headers())

        assert (admin.list(), admin.unread()) == ([], 0)
        assert admin.post("read", {}).get_json() == {"marked": 0}


class TestMarking:
    def test_as_read_and_as_unread_can_be_repeated(self, make: Factory, ada: User, reader: Reader) -> None:
        one = make.notification(ada.id)
        assert reader.unread() == 1

        first = reader.post(f"{one.id}/read").get_json()
        again = reader.post(f"{one.id}/read").get_json()
        assert first["id"] == str(one.id)
        assert first["read_at"] == again["read_at"] != None  # noqa: E711  # one chain says both
        assert reader.unread() == 0

        for _ in range(2):
            assert reader.post(f"{one.id}/unread").get_json()["read_at"] is None
        assert reader.unread() == 1

    @pytest.mark.parametrize("what", ["read", "unread"])
    def test_what_is_somebody_elses_is_not_found(
        self, make: Factory, client: FlaskClient, ada: User, reader: Reader, what: str
    ) -> None:
        theirs, admin = make.notification(ada.id), Reader(client, make.headers())

        assert_problem(admin.post(f"{theirs.id}/{what}"), 404, "notification_not_found", None)
        assert_problem(reader.post(f"{uuid4()}/{what}"), 404, "notification_not_found", None)
        assert reader.unread() == 1

    def test_all_of_it_leaves_nothing_unread(self, make: Factory, ada: User, reader: Reader) -> None:
        for _ in range(3):
            make.notification(ada.id)

        assert reader.post("read", {}).get_json() == {"marked": 3}
        assert reader.unread() == 0
        assert reader.post("read", {}).get_json() == {"marked": 0}

    def test_up_to_one_leaves_what_came_later(self, make: Factory, ada: User, reader: Reader) -> None:
        seen = [make.notification(ada.id) for _ in range(2)][-1]
        make.notification(ada.id, title="later")

        assert reader.post("read", {"until": str(seen.id)}).get_json() == {"marked": 2}
        assert reader.list(unread="true") == ["later"]

    def test_up_to_one_of_somebody_else_marks_nothing(self, make: Factory, ada: User, reader: Reader) -> None:
        make.notification(ada.id)
        theirs = make.notification(make.user().id)

        assert_problem(reader.post("read", {"until": str(theirs.id)}), 404, "notification_not_found", "until")
        assert reader.unread() == 1


class TestPreferences:
    def test_show_what_concerns_ones_role_and_what_is_usual(self, make: Factory, client: FlaskClient) -> None:
        def shown(role: str) -> dict[str, tuple[bool, str]]:
            answer = client.get(PREFERENCES, headers=make.headers(role=role)).get_json()
            return {kind: (way["in_app"], way["email"]) for kind, way in answer.items()}

        of_orders = dict.fromkeys(
            ["order_placed", "order_shipped", "order_cancelled", "return_received", "backorder_filled"], (True, "each")
        )
        assert shown("customer") == of_orders
        assert shown("clerk") == of_orders | {"low_stock": (False, "none")}
        assert (
            shown("manager")
            == shown("admin")
            == of_orders
            | {
                "low_stock": (True, "daily"),
                "webhook_disabled": (True, "each"),
            }
        )

    def test_change_only_where_they_are_named(self, client: FlaskClient, headers: dict[str, str]) -> None:
        before = client.get(PREFERENCES, headers=headers)

        changed = patch(client, headers, {"order_shipped": {"email": "none"}, "order_placed": {"in_app": False}})

        assert changed.status_code == 200
        assert changed.headers["ETag"] != before.headers["ETag"]
        assert changed.get_json() == before.get_json() | {
            "order_shipped": before.get_json()["order_shipped"] | {"email": "none"},
            "order_placed": before.get_json()["order_placed"] | {"in_app": False},
        }
        again = patch(client, headers, {"order_shipped": {"email": "daily"}, "order_placed": {"in_app": True}})
        assert again.get_json()["order_shipped"] == before.get_json()["order_shipped"] | {"email": "daily"}
        assert again.get_json()["order_placed"] == before.get_json()["order_placed"]
        assert client.get(PREFERENCES, headers=headers).get_json() == again.get_json()

    def test_of_others_stay_as_they_are(self, make: Factory, client: FlaskClient, headers: dict[str, str]) -> None:
        theirs = make.headers(role="customer")
        before = client.get(PREFERENCES, headers=theirs).get_json()

        patch(client, headers, {"order_shipped": {"email": "none"}})

        assert client.get(PREFERENCES, headers=theirs).get_json() == before

    @pytest.mark.parametrize(
        ("body", "code", "field"),
        [
            ({"gossip": {"in_app": True}}, "unknown_field", "gossip"),
            ({}, "required", None),
            ({"order_placed": {}}, "required", "order_placed"),
            ({"order_placed": {"email": "hourly"}}, "unknown_choice", "order_placed.email"),
            ({"order_placed": {"in_app": "yes"}}, "invalid_type", "order_placed.in_app"),
            ({"order_placed": {"says": "x"}}, "unknown_field", "order_placed.says"),
            ({"order_placed": None}, "null_not_allowed", "order_placed"),
        ],
        ids=["unknown-kind", "nothing", "empty-kind", "unknown-way", "no-boolean", "read-only", "null"],
    )
    def test_that_make_no_sense_are_refused(
        self, client: FlaskClient, headers: dict[str, str], body: dict[str, Any], code: str, field: str | None
    ) -> None:
        assert_problem(patch(client, headers, body), 422, code, field)

    def test_about_what_is_not_for_ones_role_are_kept_for_when_it_is(
        self, client: FlaskClient, headers: dict[str, str]
    ) -> None:
        changed = patch(client, headers, {"low_stock": {"email": "none"}})

        assert {"in_app": False, "email": "none"}.items() <= changed.get_json()["low_stock"].items()

    def test_are_not_changed_over_a_change_one_has_not_seen(self, client: FlaskClient, headers: dict[str, str]) -> None:
        stale = client.get(PREFERENCES, headers=headers).headers["ETag"]
        patch(client, headers, {"order_shipped": {"email": "none"}})

        answer = client.patch(
            PREFERENCES, json={"order_shipped": {"email": "each"}}, headers=headers | {"If-Match": stale}
        )

        assert_problem(answer, 412, "precondition_failed", None)
        assert_problem(
            client.patch(PREFERENCES, json={"order_shipped": {"email": "each"}}, headers=headers),
            428,
            "precondition_required",
            None,
        )

    def test_that_are_known_already_are_not_sent_again(self, client: FlaskClient, headers: dict[str, str]) -> None:
        tag = client.get(PREFERENCES, headers=headers).headers["ETag"]

        assert client.get(PREFERENCES, headers=headers | {"If-None-Match": tag}).status_code == 304


def test_a_key_can_hold_the_scope(make: Factory, client: FlaskClient, ada: User, headers: dict[str, str]) -> None:
    make.notification(ada.id)
    made = client.post("/api/v1/api-keys", json={"name": "bell", "scopes": ["notifications"]}, headers=headers)

    bell = Reader(client, {"Authorization": f"Bearer {made.get_json()['key']}"})
    assert bell.unread() == 1
    assert client.get(PREFERENCES, headers=bell.headers).status_code == 200


def patch(client: FlaskClient, headers: dict[str, str], body: dict[str, Any]) -> TestResponse:
    """Change preferences, having looked at them."""
    tag = client.get(PREFERENCES, headers=headers).headers["ETag"]
    return client.patch(PREFERENCES, json=body, headers=headers | {"If-Match": tag})
