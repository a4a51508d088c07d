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
    assert shown == {"id": str(user.id), "email": "ada@example.com", "role": "clerk"}


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
