"""`flask users`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from api.users import service
from tests.factories import PASSWORD

if TYPE_CHECKING:
    from flask import Flask
    from sqlalchemy.orm import Session

    from tests.factories import Factory

CREATE = ["users", "create", "--email", "Ada@Example.com", "--name", "Ada", "--role", "clerk", "--password", PASSWORD]


def test_an_account_is_made_and_shown(app: Flask, session: Session) -> None:
    result = app.test_cli_runner().invoke(args=[*CREATE, "--json"])

    (shown,) = json.loads(result.output)
    user = service.verify_password(session, email="ada@example.com", password=PASSWORD)
    assert result.exit_code == 0
    assert user is not None
    assert shown == {
        "id": str(user.id),
        "email": "ada@example.com",
        "name": "Ada",
        "role": "clerk",
        "is_active": True,
    }


def test_an_account_is_shown_to_people_as_a_table(app: Flask, session: Session) -> None:  # noqa: ARG001
    result = app.test_cli_runner().invoke(args=CREATE)

    assert "ada@example.com" in result.output
    assert PASSWORD not in result.output


def test_an_address_that_is_taken_is_refused_in_a_sentence(app: Flask, make: Factory) -> None:
    make.user(email="ada@example.com")

    result = app.test_cli_runner().invoke(args=CREATE)

    assert result.exit_code == 2
    assert "already" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--role", "root", "root"),
        ("--email", "nonsense", "e-mail"),
        ("--name", "x" * 201, "200"),
        ("--password", "x" * 1025, "1024"),
        ("--password", "password1", "another password"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(
    app: Flask, session: Session, option: str, value: str, said: str
) -> None:
    result = app.test_cli_runner().invoke(args=[*CREATE, option, value])

    assert result.exit_code == 2
    assert said in result.output
    assert not service.verify_password(session, email="ada@example.com", password=value)
    assert "Traceback" not in result.output


def test_accounts_are_listed(app: Flask, make: Factory) -> None:
    make.user(email="ada@example.com", role="clerk")
    make.user(email="eve@example.com", role="customer").is_active = False

    def listed(*options: str) -> list[str]:
        result = app.test_cli_runner().invoke(args=["users", "list", "--json", *options])
        return [row["email"] for row in json.loads(result.output)]

    assert listed() == ["ada@example.com", "eve@example.com"]
    assert listed("--role", "clerk") == ["ada@example.com"]
    assert listed("--inactive") == ["eve@example.com"]
    assert listed("--active") == ["ada@example.com"]


@pytest.mark.parametrize(
    ("command", "changed"),
    [
        (["set-role", "ADA@example.com", "manager"], {"role": "manager"}),
        (["deactivate", "ada@example.com"], {"is_active": False}),
    ],
)
def test_an_account_is_changed(app: Flask, make: Factory, command: list[str], changed: dict[str, object]) -> None:
    make.user(email="ada@example.com", role="clerk")

    result = app.test_cli_runner().invoke(args=["users", *command, "--json"])

    (row,) = json.loads(result.output)
    assert row.items() >= changed.items()


def test_a_closed_account_is_opened_again(app: Flask, make: Factory, session: Session) -> None:
    make.user(email="ada@example.com").is_active = False

    app.test_cli_runner().invoke(args=["users", "activate", "ada@example.com"])

    assert service.verify_password(session, email="ada@example.com", password=PASSWORD)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["set-role", "nobody@example.com", "clerk"], "no account"),
        (["set-role", "root@example.com", "clerk"], "last active administrator"),
        (["deactivate", "root@example.com"], "last active administrator"),
        (["set-role", "root@example.com", "king"], "king"),
    ],
)
def test_a_change_that_cannot_be_is_refused_in_a_sentence(
    app: Flask, make: Factory, command: list[str], said: str
) -> None:
    make.user(email="root@example.com")

    result = app.test_cli_runner().invoke(args=["users", *command])

    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output
