"""The test client itself: one request must not answer for another."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.testing import FlaskClient


def test_who_asked_first_does_not_answer_for_who_asks_next(
    client: FlaskClient, log_in: Callable[[str], dict[str, str]]
) -> None:
    first = client.get("/api/v1/users/me", headers=log_in("admin"))
    second = client.get("/api/v1/users/me", headers=log_in("customer"))
    stranger = client.get("/api/v1/users/me")

    assert (first.get_json()["role"], second.get_json()["role"]) == ("admin", "customer")
    assert stranger.status_code == 401
