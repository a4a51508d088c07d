"""`flask api-keys`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient

    from tests.factories import Factory

CREATE = ("create", "--user", "Ada@example.com", "--name", "till", "--scope", "items:read")


def test_a_key_is_made_listed_and_revoked(app: Flask, client: FlaskClient, make: Factory) -> None:
    ada = make.user(email="ada@example.com", role="clerk")
    make.user(email="eve@example.com")

    (made,) = run(app, *CREATE, "--scope", "stock:read", "--expires-in-days", "90", "--json")
    headers = {"Authorization": f"Bearer {made['key']}"}
    before = client.get("/api/v1/items", headers=headers).status_code
    (listed,) = run(app, "list", "--user", "ada@example.com", "--json")
    (revoked,) = run(app, "revoke", made["id"], "--json")

    assert before == 200
    assert (made["user_id"], made["scopes"]) == (str(ada.id), ["items:read", "stock:read"])
    assert "key" not in listed
    assert listed["id"] == made["id"]
    assert revoked["revoked_at"] is not None
    assert client.get("/api/v1/items", headers=headers).status_code == 401
    assert run(app, "list", "--user", "eve@example.com", "--json") == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*CREATE, "--scope", "items:write"), "items:write"),
        ((*CREATE, "--scope", "account"), "account"),
        ((*CREATE, "--scope", "nonsense"), "nonsense"),
        ((*CREATE, "--expires-in-days", "0"), "expires_in_days"),
        (("create", "--user", "nobody@example.com", "--name", "x", "--scope", "items:read"), "no account"),
        (("revoke", "0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45"), "no such API key"),
        (("list", "--user", "nobody@example.com"), "no account"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(
    app: Flask, make: Factory, words: tuple[str, ...], said: str
) -> None:
    make.user(email="ada@example.com", role="clerk")

    result = app.test_cli_runner().invoke(args=["api-keys", *words])

    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output


def run(app: Flask, *words: str) -> list[dict[str, Any]]:
    result = app.test_cli_runner().invoke(args=["api-keys", *words])
    assert result.exit_code == 0, result.output
    rows: list[dict[str, Any]] = json.loads(result.output)
    return rows
