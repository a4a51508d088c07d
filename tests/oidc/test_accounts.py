"""Accounts of those whom the provider vouches for: opened once, with the role it tells, linked by nothing but `sub`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select, text, update

from api.accounts import service as accounts
from api.audit.models import AuditEntry
from api.core.caller import Caller
from api.extensions import db
from api.oidc.models import Identity
from api.users import service as users
from api.users.models import User
from tests.live import at_once, committed
from tests.oidc.conftest import ROLES
from tests.oidc.idp import AUDIENCE, LEFT_OUT
from tests.rest.envelope import assert_problem
from tests.statements import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from api.oidc.tokens import ProviderTokens
    from tests.factories import Factory
    from tests.oidc.idp import IdentityProvider

ME = "/api/v1/users/me"
ADA = {"email": "Ada@Example.com", "email_verified": True, "name": "Ada Lovelace", "preferred_username": "ada"}
MANY = 12


@pytest.fixture
def see(client: FlaskClient, idp: IdentityProvider) -> Callable[..., dict[str, Any]]:
    """Show the account that a token with these claims opens."""

    def show(**claims: object) -> dict[str, Any]:
        response = client.get(ME, headers=idp.bearer(**claims))
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.get_json()
        return found

    return show


@pytest.fixture
def live(start: Callable[..., Flask], idp: IdentityProvider) -> Flask:
    """An application that commits, set up to trust the provider by its settings alone."""
    return start(oidc_issuer=idp.issuer, oidc_audience=AUDIENCE, oidc_roles=ROLES)


@pytest.mark.usefixtures("trusted")
def test_whoever_comes_for_the_first_time_gets_an_account_and_keeps_it(
    see: Callable[..., dict[str, Any]], session: Session
) -> None:
    first = see(**ADA, roles=["warehouse"])
    again = see(**ADA, roles=["warehouse"])

    assert (first["email"], first["name"], first["role"]) == ("ada@example.com", "Ada Lovelace", "clerk")
    assert first["email_verified_at"] is not None
    assert "account" in first["scopes"]
    assert again == first
    entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "identity.provisioned")).one()
    assert str(entry.subject_id) == first["id"]
    assert (entry.role, entry.facts["subject"], entry.facts["role"]) == ("system", "ada", "clerk")


@pytest.mark.usefixtures("trusted")
def test_an_account_of_the_provider_has_no_password(see: Callable[..., dict[str, Any]], session: Session) -> None:
    see(**ADA)

    user = session.scalars(select(User).where(User.email == "ada@example.com")).one()

    assert user.password_hash is None
    assert users.verify_password(session, email="ada@example.com", password="") is None


@pytest.mark.usefixtures("trusted")
def test_an_address_in_a_token_does_not_open_the_account_that_has_it(
    see: Callable[..., dict[str, Any]], make: Factory
) -> None:
    admin = make.user(email="ada@example.com", role="admin")

    found = see(**ADA)

    assert found["id"] != str(admin.id)
    assert (found["email"], found["role"]) == (None, "customer")


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    "claims",
    [
        {"email_verified": False},
        {"email_verified": "true"},
        {"email_verified": 1},
        {"email_verified": LEFT_OUT},
        {"email": LEFT_OUT},
        {"email": ["ada@example.com"]},
        {"email": "ada"},
        {"email": "ada@exam ple.com"},
        {"email": "ada@example.com\r\nBcc: everybody@example.com"},
        {"email": "a" * 250 + "@example.com"},
        {"email": "ada@" + "a." * 150 + "com"},
        {"email": ""},
    ],
    ids=[f"{number}" for number in range(12)],
)
def test_an_address_that_is_not_proven_or_not_usable_is_not_kept(
    see: Callable[..., dict[str, Any]], claims: dict[str, object]
) -> None:
    assert see(**(ADA | claims))["email"] is None


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"name": "  Grace\u202e Hopper\n"}, "Grace Hopper"),
        ({"name": "\u200b \t", "preferred_username": "grace"}, "grace"),
        ({"name": 7, "preferred_username": None}, "ada"),
        ({"name": "x" * 500}, "x" * 200),
        ({"sub": " "}, "?"),
    ],
    ids=["invisible characters", "nothing visible", "no text", "too long", "nothing at all"],
)
def test_a_name_is_made_of_what_there_is(
    see: Callable[..., dict[str, Any]], claims: dict[str, object], name: str
) -> None:
    assert see(**claims)["name"] == name


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("told", "role"),
    [
        (["warehouse"], "clerk"),
        ("warehouse", "clerk"),
        ("canteen office", "manager"),
        ("Night Shift", "clerk"),
        (["canteen", "warehouse", "boss", "office"], "admin"),
        (["canteen"], "customer"),
        (["admin", "manager", "clerk"], "customer"),
        (["Boss", "boss ", " boss"], "customer"),
        ([["boss"], {"boss": 1}, None, 7], "customer"),
        ({"boss": True}, "customer"),
        (None, "customer"),
        (True, "customer"),
        (LEFT_OUT, "customer"),
    ],
    ids=[f"{number}" for number in range(13)],
)
def test_the_highest_role_that_the_claim_names_counts(
    see: Callable[..., dict[str, Any]], told: object, role: str
) -> None:
    assert see(roles=told)["role"] == role


@pytest.mark.parametrize(
    ("claim", "claims"),
    [
        ("realm_access.roles", {"realm_access": {"roles": ["boss"]}}),
        ("resource_access.shop.roles", {"resource_access": {"shop": {"roles": ["boss"]}}}),
        ("https://shop.example.com/roles", {"https://shop.example.com/roles": ["boss"]}),
    ],
)
def test_the_claim_may_lie_deeper_or_have_dots_in_its_name(
    trust: Callable[..., ProviderTokens], see: Callable[..., dict[str, Any]], claim: str, claims: dict[str, object]
) -> None:
    trust(oidc_role_claim=claim)

    assert see(**claims)["role"] == "admin"


@pytest.mark.parametrize(
    "claims", [{}, {"realm": 1}, {"realm": {"roles": {}}}, {"realm": {"roles": []}}, {"realm": []}]
)
def test_without_a_default_those_without_a_role_are_refused_and_get_no_account(
    trust: Callable[..., ProviderTokens],
    client: FlaskClient,
    idp: IdentityProvider,
    session: Session,
    claims: dict[str, object],
) -> None:
    trust(oidc_role_claim="realm.roles", oidc_default_role="none")

    assert_problem(client.get(ME, headers=idp.bearer(**claims)), 403, "no_role", None)
    assert session.scalar(select(func.count()).select_from(Identity)) == 0


@pytest.mark.usefixtures("trusted")
def test_a_role_that_changes_at_the_provider_changes_here_at_the_next_request(
    see: Callable[..., dict[str, Any]], make: Factory, session: Session
) -> None:
    make.user(role="admin")
    before = see(roles=["boss"])
    after = see(roles=["warehouse"])

    assert (before["id"], before["role"]) == (after["id"], "admin")
    assert after["role"] == "clerk"
    assert "audit:read" not in after["scopes"]
    entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "user.updated")).one()
    assert (entry.facts["before"], entry.facts["after"]) == ({"role": "admin"}, {"role": "clerk"})


@pytest.mark.usefixtures("trusted")
def test_an_older_token_does_not_bring_a_role_back(see: Callable[..., dict[str, Any]], make: Factory) -> None:
    make.user(role="admin")
    now = int(time.time())
    see(roles=["boss"], iat=now - 60)
    newer = see(roles=["warehouse"], iat=now - 30)

    older = see(roles=["boss"], iat=now - 60)
    newest = see(roles=["boss"], iat=now)

    assert [seen["role"] for seen in (newer, older, newest)] == ["clerk", "clerk", "admin"]


@pytest.mark.usefixtures("trusted")
def test_a_forgotten_password_opens_no_account_of_the_provider(
    see: Callable[..., dict[str, Any]], make: Factory, session: Session
) -> None:
    see(email="ada@example.com", email_verified=True)
    make.user(email="eve@example.com")

    for email in ("ada@example.com", "eve@example.com"):
        accounts.answer_forgotten_password(session, email=email, seconds=600)

    tickets = session.scalars(text("SELECT email FROM account_tickets")).all()
    assert tickets == ["eve@example.com"]


@pytest.mark.usefixtures("trusted")
def test_a_role_given_here_stays_while_the_token_says_nothing(
    see: Callable[..., dict[str, Any]], session: Session
) -> None:
    user = users.get(session, see()["id"])
    users.update(session, user, {"role": "manager"}, by=Caller.system())
    session.commit()

    assert see()["role"] == "manager"
    assert see(roles=[])["role"] == "customer"


@pytest.mark.usefixtures("trusted")
def test_the_last_administrator_stays_one_here_and_gets_no_more_than_the_token_gives(
    see: Callable[..., dict[str, Any]], session: Session
) -> None:
    boss = see(roles=["boss"])
    session.execute(update(User).where(User.id != boss["id"]).values(role="customer"))
    session.commit()

    found = see(roles=["warehouse"])

    assert "audit:read" in boss["scopes"]
    assert "audit:read" not in found["scopes"]
    assert users.get(session, boss["id"]).role == "admin"


@pytest.mark.usefixtures("trusted")
def test_an_account_that_was_deactivated_here_stays_out(
    client: FlaskClient, idp: IdentityProvider, see: Callable[..., dict[str, Any]], session: Session
) -> None:
    user = users.get(session, see(roles=["warehouse"])["id"])
    users.update(session, user, {"is_active": False}, by=Caller.system())
    session.commit()

    for roles in (["warehouse"], ["boss"], LEFT_OUT):
        assert_problem(client.get(ME, headers=idp.bearer(roles=roles)), 401, "token_invalid", None)
    session.refresh(user)
    assert (user.role, user.is_active) == ("clerk", False)


@pytest.mark.usefixtures("trusted")
def test_the_provider_is_who_the_account_belongs_to_and_not_its_login(
    client: FlaskClient, idp: IdentityProvider
) -> None:
    response = client.post("/api/v1/auth/reauthenticate", json={"password": "anything"}, headers=idp.bearer())

    assert_problem(response, 403, "not_a_login", None)


@pytest.mark.usefixtures("session")
def test_a_request_of_a_known_account_reads_once(trusted: ProviderTokens, idp: IdentityProvider) -> None:
    token = idp.token(roles=["warehouse"])
    trusted.read(token)

    with counted() as statements:
        trusted.read(token)

    assert len(statements) == 1
    assert statements[0].startswith("SELECT")


def test_many_first_requests_at_once_open_one_account(live: Flask, idp: IdentityProvider) -> None:
    headers = idp.bearer(**ADA, roles=["warehouse"])

    answers = at_once(live, *[{"path": ME, "headers": headers}] * MANY)

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.get_json()["id"] for answer in answers}) == 1
    with live.app_context():
        assert db.session.scalar(select(func.count()).select_from(User)) == 1
        assert db.session.scalar(select(func.count()).where(AuditEntry.action == "identity.provisioned")) == 1


def test_of_many_with_the_same_address_one_gets_it_and_all_get_in(live: Flask, idp: IdentityProvider) -> None:
    requests = [{"path": ME, "headers": idp.bearer(**ADA, sub=f"ada {number}")} for number in range(MANY)]

    answers = at_once(live, *requests)

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.get_json()["id"] for answer in answers}) == MANY
    assert sorted(answer.get_json()["email"] or "" for answer in answers) == [""] * (MANY - 1) + ["ada@example.com"]


@pytest.mark.usefixtures("trusted")
def test_whoever_loses_every_race_is_asked_to_come_again(
    client: FlaskClient, idp: IdentityProvider, make: Factory, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.user(email="ada@example.com")
    monkeypatch.setattr(users, "find", lambda *_: None)  # as if others took the address right after each look

    refused = client.get(ME, headers=idp.bearer(**ADA))

    assert_problem(refused, 503, "account_contended", None)
    assert session.scalar(select(func.count()).select_from(Identity)) == 0


def test_a_role_that_many_requests_bring_at_once_is_changed_once(live: Flask, idp: IdentityProvider) -> None:
    assert live.test_client().get(ME, headers=idp.bearer(roles=["warehouse"])).status_code == 200

    answers = at_once(live, *[{"path": ME, "headers": idp.bearer(roles=["office"])}] * MANY)

    assert [(answer.status_code, answer.get_json()["role"]) for answer in answers] == [(200, "manager")] * MANY
    with live.app_context():
        assert db.session.scalar(select(func.count()).where(AuditEntry.action == "user.updated")) == 1


def test_an_account_stays_whatever_becomes_of_the_request_that_opened_it(live: Flask, idp: IdentityProvider) -> None:
    refused = live.test_client().get("/api/v1/users", headers=idp.bearer())

    assert_problem(refused, 403, "forbidden")
    with live.app_context():
        assert db.session.scalar(select(func.count()).select_from(Identity)) == 1


def test_a_local_login_is_as_before_beside_a_provider(live: Flask) -> None:
    with committed(live) as make:
        headers = make.headers(role="clerk")

    assert live.test_client().get(ME, headers=headers).get_json()["role"] == "clerk"
