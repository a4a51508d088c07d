"""Refresh tokens: each good once, a lost answer repeated, a stolen one noticed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from api.auth import service
from api.auth.errors import RefreshTokenInvalid, RefreshTokenReused
from api.core.caller import Caller
from api.core.vault import Vault
from api.extensions import db
from tests.factories import LIFETIMES, PASSWORD
from tests.live import at_once, committed
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from uuid import UUID

    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session
    from werkzeug.test import TestResponse

    from tests.factories import Factory

TOKEN, REFRESH, ME = "/api/v1/auth/token", "/api/v1/auth/refresh", "/api/v1/users/me"
ADA = {"username": "ada@example.com", "password": PASSWORD}
VAULT = Vault("the secret of this installation")
STRANGER = Caller.stranger(address="192.0.2.7")


def test_the_token_just_exchanged_gets_the_same_successor_again(client: FlaskClient, make: Factory) -> None:
    first = log_in(client, make)

    second, again = refresh(client, first), refresh(client, first)

    assert (second.status_code, again.status_code) == (200, 200)
    assert again.get_json()["refresh_token"] == second.get_json()["refresh_token"]
    assert refresh(client, second.get_json()).status_code == 200


@pytest.mark.parametrize("how", ["too late", "two generations old"])
def test_a_token_used_again_ends_its_login_for_good(live_app: Flask, how: str) -> None:
    client = live_app.test_client()
    with committed(live_app) as make:
        make.user(email="ada@example.com")
        make.user(email="eve@example.com")
    first = client.post(TOKEN, json=ADA).get_json()
    other = client.post(TOKEN, json=ADA | {"username": "eve@example.com"}).get_json()
    newest = refresh(client, first).get_json()
    if how == "too late":
        execute(live_app, "UPDATE auth_sessions SET rotated_at = now() - interval '31 seconds'")
    else:
        newest = refresh(client, newest).get_json()

    reused = refresh(client, first)

    assert_problem(reused, 401, "refresh_reused", None)
    assert_problem(client.get(ME, headers=bearer(newest)), 401, "token_invalid")
    assert_problem(client.get(ME, headers=bearer(first)), 401, "token_invalid")
    assert_problem(refresh(client, newest), 401, "refresh_token_invalid")
    assert client.get(ME, headers=bearer(other)).status_code == 200
    assert rows(live_app, "SELECT outcome FROM audit_entries WHERE action = 'refresh.reused'") == ["refused"]


def test_of_many_refreshes_at_once_all_get_one_successor(live_app: Flask) -> None:
    with committed(live_app) as make:
        make.user(email="ada@example.com")
    pair = live_app.test_client().post(TOKEN, json=ADA).get_json()
    request = {"path": REFRESH, "method": "POST", "json": {"refresh_token": pair["refresh_token"]}}

    answers = at_once(live_app, *[request] * 8)

    assert Counter(answer.status_code for answer in answers) == {200: 8}
    assert len({answer.get_json()["refresh_token"] for answer in answers}) == 1
    assert rows(live_app, "SELECT generation FROM auth_sessions") == [2]


def test_a_forged_token_is_refused_and_ends_nothing(client: FlaskClient, make: Factory) -> None:
    pair = log_in(client, make)
    login_id, generation, secret = pair["refresh_token"].split(".")
    forged = [
        f"{login_id}.{generation}.{'A' * 43}",
        f"{login_id}.{generation}.{secret[:-1]}{'A' if secret[-1] != 'A' else 'B'}",
        f"{login_id}.2.{secret}",
        f"{login_id}.0{generation}.{secret}",
        f"{login_id}.999999999.{secret}",
        f"{login_id}.9999999999.{secret}",
        f"{uuid4()}.{generation}.{secret}",
    ]

    answers = [client.post(REFRESH, json={"refresh_token": token}) for token in forged]

    for answer in answers:
        assert_problem(answer, 401, "refresh_token_invalid", None)
    assert refresh(client, pair).status_code == 200


def test_a_login_that_is_not_refreshed_for_long_ends(client: FlaskClient, make: Factory, session: Session) -> None:
    pair = log_in(client, make)
    session.execute(text("UPDATE auth_sessions SET rotated_at = now() - interval '14 days 1 second'"))

    assert_problem(refresh(client, pair), 401, "refresh_token_invalid")


def test_somebody_demoted_gets_no_more_than_their_new_role(
    client: FlaskClient, make: Factory, session: Session
) -> None:
    pair = log_in(client, make)
    session.execute(text("UPDATE users SET role = 'customer'"))

    renewed = refresh(client, pair).get_json()

    assert client.get("/api/v1/users", headers=bearer(renewed)).status_code == 403


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=1, max_size=12))
def test_refresh_tokens_do_what_the_model_says(
    session: Session, make: Factory, attempts: list[tuple[int, bool]]
) -> None:
    user_id = make.user().id
    login = service.open_session(session, user_id, lifetimes=LIFETIMES, vault=VAULT, by=STRANGER)
    tokens, newest, is_live, is_past_grace = {1: login.refresh_token}, 1, True, False
    session.commit()

    for generation, is_late in attempts:
        is_past_grace |= is_late
        if is_late:
            late = text("UPDATE auth_sessions SET rotated_at = now() - interval '1 minute' WHERE id = :id")
            session.execute(late, {"id": login.session_id})
            session.commit()
        token = tokens.get(generation, VAULT.token("refresh", login.session_id, generation, "00"))
        if not is_live or generation not in tokens:
            expected: object = RefreshTokenInvalid
        elif generation == newest:
            expected, newest, is_past_grace = newest + 1, newest + 1, False
        elif generation == newest - 1 and not is_past_grace:
            expected = newest
        else:
            expected, is_live = RefreshTokenReused, False

        assert outcome(session, token, login.session_id, tokens) == expected
        assert is_live == is_open(session, user_id, login.session_id)


def outcome(session: Session, token: str, session_id: UUID, tokens: dict[int, str]) -> object:
    """Use a token as the service does; tells the generation it led to, or the refusal."""
    try:
        successor = service.refresh(session, token=token, lifetimes=LIFETIMES, vault=VAULT, by=STRANGER)
    except (RefreshTokenInvalid, RefreshTokenReused) as refusal:
        session.rollback()
        return type(refusal)
    session.commit()
    generation = int(successor.refresh_token.split(".")[1])
    assert successor.session_id == session_id
    assert tokens.setdefault(generation, successor.refresh_token) == successor.refresh_token
    return generation


def is_open(session: Session, user_id: UUID, session_id: UUID) -> bool:
    return service.caller_of(session, user_id=user_id, session_id=session_id, fresh_seconds=60) is not None


def log_in(client: FlaskClient, make: Factory) -> dict[str, str]:
    make.user(email="ada@example.com")
    pair: dict[str, str] = client.post(TOKEN, json=ADA).get_json()
    return pair


def refresh(client: FlaskClient, pair: dict[str, str]) -> TestResponse:
    return client.post(REFRESH, json={"refresh_token": pair["refresh_token"]})


def bearer(pair: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {pair['access_token']}"}


def execute(app: Flask, statement: str) -> None:
    with app.app_context():
        db.session.execute(text(statement))
        db.session.commit()


def rows(app: Flask, statement: str) -> list[object]:
    with app.app_context():
        return list(db.session.scalars(text(statement)))
