"""Accounts and roles, without HTTP."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import text

from api.core.caller import Caller
from api.core.scopes import ROLES, SCOPES
from api.extensions import db
from api.users import passwords, service
from api.users.errors import EmailTaken, UserNotFound
from tests.factories import PASSWORD
from tests.live import committed

if TYPE_CHECKING:
    from flask import Flask
    from sqlalchemy.orm import Session

    from tests.factories import Factory

SYSTEM = Caller.system()


def test_roles_only_ever_add_scopes() -> None:
    assert ROLES["customer"] < ROLES["clerk"] < ROLES["manager"] < ROLES["admin"] == set(SCOPES)


def test_a_role_nobody_knows_may_do_nothing() -> None:
    assert service.scopes_of("nonsense") == frozenset()


def test_a_password_is_verified_for_its_own_account_only(session: Session, make: Factory) -> None:
    ada = make.user(email="ada@example.com", password="the first password")
    make.user(email="eve@example.com", password="another password")

    assert service.verify_password(session, email="ada@example.com", password="the first password") == ada
    assert service.verify_password(session, email="ada@example.com", password="another password") is None
    assert service.verify_password(session, email="nobody@example.com", password="the first password") is None


def test_who_is_not_active_has_no_password_that_works(session: Session, make: Factory) -> None:
    make.user(email="ada@example.com")
    session.execute(text("UPDATE users SET is_active = false"))

    assert service.verify_password(session, email="ada@example.com", password=PASSWORD) is None


def test_two_hashes_of_one_password_differ() -> None:
    assert passwords.digest("same") != passwords.digest("same")


def test_an_address_can_be_used_once(session: Session, make: Factory) -> None:
    make.user(email="ada@example.com")

    with pytest.raises(EmailTaken):
        service.create(session, email="ada@example.com", name="Eve", password=PASSWORD, role="customer", by=SYSTEM)


def test_nobody_has_an_unknown_id(session: Session, make: Factory) -> None:
    make.user()

    with pytest.raises(UserNotFound):
        service.get(session, uuid4())


def test_the_first_administrator_is_made_once(session: Session) -> None:
    first = service.bootstrap_admin(session, email=" Root@Example.com ", password=PASSWORD, by=SYSTEM)
    second = service.bootstrap_admin(session, email="other@example.com", password=PASSWORD, by=SYSTEM)

    admin = service.verify_password(session, email="root@example.com", password=PASSWORD)
    assert (first, second) == (True, False)
    assert admin is not None
    assert admin.role == "admin"


def test_customers_are_no_administrators(session: Session, make: Factory) -> None:
    make.user(role="manager")

    assert service.bootstrap_admin(session, email="root@example.com", password=PASSWORD, by=SYSTEM)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        ("ada@example.com.", "ada@example.com"),
        (" ada@example.com ", "ada@example.com"),
        ("\N{FULLWIDTH LATIN SMALL LETTER A}da@example.com", "ada@example.com"),
    ],
)
def test_an_address_is_kept_in_one_form(written: str, kept: str) -> None:
    assert service.canonical_email(written) == kept


@pytest.mark.parametrize("change", ["password_hash = 'another'", "is_active = false"])
def test_no_login_slips_in_behind_a_new_password_or_a_closure(
    live_app: Flask, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    with committed(live_app) as make:
        make.user(email="ada@example.com")
    verify = passwords.verify

    def verify_slowly(password: str, kept: str | None) -> tuple[bool, str | None]:
        with db.engine.begin() as other:  # what happens elsewhere while this password is being hashed
            other.execute(text(f"UPDATE users SET {change}"))  # noqa: S608  # two constants above
        return verify(password, kept)

    monkeypatch.setattr(passwords, "verify", verify_slowly)

    with live_app.app_context():
        assert service.verify_password(db.session(), email="ada@example.com", password=PASSWORD) is None


def test_a_hash_made_with_other_parameters_is_renewed_by_a_login(session: Session, make: Factory) -> None:
    user = make.user(email="ada@example.com")
    weaker = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),)).hash(PASSWORD)
    session.execute(text("UPDATE users SET password_hash = :hash"), {"hash": weaker})
    session.expire(user)

    wrong = service.verify_password(session, email="ada@example.com", password="wrong")
    kept = session.scalars(text("SELECT password_hash FROM users")).one()
    right = service.verify_password(session, email="ada@example.com", password=PASSWORD)
    session.flush()

    assert (wrong, kept, right) == (None, weaker, user)
    assert session.scalars(text("SELECT password_hash FROM users")).one().startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_no_password_takes_long_to_judge() -> None:
    worst = "4@8({[<369&!1/|0$5+7%2" * 4
    began = time.process_time()

    passwords.check(worst)

    assert time.process_time() - began < 1.0  # 24 characters take some hundredths of a second, 72 took six seconds


def test_no_more_than_two_passwords_are_hashed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, entered = 0, 0, threading.Lock()
    hash_ = passwords._hasher.hash  # noqa: SLF001  # what takes memory and time

    def counted(password: str) -> str:
        nonlocal running, most
        with entered:
            running += 1
            most = max(most, running)
        try:
            return hash_(password)
        finally:
            with entered:
                running -= 1

    monkeypatch.setattr(passwords._hasher, "hash", counted)  # noqa: SLF001  # the same
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(passwords.digest, ["correct horse"] * 16))

    assert most == passwords.CONCURRENT_HASHES
