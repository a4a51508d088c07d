"""Addresses of the API, and short ways to ask them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from tests.factories import PASSWORD

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session
    from werkzeug.test import TestResponse

AUTH = "/api/v1/auth"
SIGN_UP, INVITE, CONFIRM = f"{AUTH}/sign-up", f"{AUTH}/invitations", f"{AUTH}/confirm"
FORGOT, RESET, CHANGE = f"{AUTH}/password/forgot", f"{AUTH}/password/reset", f"{AUTH}/password/change"
NEW_EMAIL, VERIFICATION, VERIFY = f"{AUTH}/email/change", f"{AUTH}/email/verification", f"{AUTH}/email/verify"
TOKEN, ME = f"{AUTH}/token", "/api/v1/users/me"

ADA = "ada@example.com"
NEW_PASSWORD = "seven unrelated umbrellas"  # what people change to


def may_log_in(client: FlaskClient, password: str, email: str = ADA) -> bool:
    return client.post(TOKEN, json={"username": email, "password": password}).status_code == 200


def is_logged_in(client: FlaskClient, headers: dict[str, str]) -> bool:
    return client.get(ME, headers=headers).status_code == 200


def log_in(client: FlaskClient, email: str = ADA) -> dict[str, str]:
    pair = client.post(TOKEN, json={"username": email, "password": PASSWORD}).get_json()
    return {"Authorization": f"Bearer {pair['access_token']}"}


def logged(session: Session, action: str, outcome: str = "done") -> list[dict[str, Any]]:
    """Tell what the security log says about an action."""
    rows = session.execute(
        text("SELECT * FROM audit_entries WHERE action = :action AND outcome = :outcome ORDER BY id"),
        {"action": action, "outcome": outcome},
    )
    return [dict(row) for row in rows.mappings()]


def told(response: TestResponse) -> tuple[int, bytes, dict[str, str]]:
    """Give all that an answer says, but for what differs between any two."""
    headers = {name: value for name, value in response.headers if name not in {"RateLimit", "X-Request-ID", "Date"}}
    return response.status_code, response.data, headers
