"""Settings: read once, validated, frozen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from api.config import RUN_FILE, InvalidSettingsError, Settings

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "a secret of forty characters and a few more"
PRODUCTION = {
    "ENVIRONMENT": "production",
    "DATABASE_URL": "postgresql://shop@db.example.com/shop",
    "SECRET_KEY": SECRET,
    "JWT_KEYS_DIR": "/etc/stockroom/keys",
}


def test_production_runs_with_its_three_secrets(environment: pytest.MonkeyPatch) -> None:
    given(environment, PRODUCTION)

    settings = Settings.load()

    assert settings.is_production
    assert settings.sqlalchemy_url == "postgresql+psycopg://shop@db.example.com/shop"
    assert settings.signing_secret == SECRET
    assert settings.renders_logs_as_json


@pytest.mark.parametrize("name", ["DATABASE_URL", "SECRET_KEY", "JWT_KEYS_DIR"])
@pytest.mark.parametrize("value", [None, ""])
def test_production_refuses_to_start_without_a_secret_and_names_it(
    environment: pytest.MonkeyPatch, name: str, value: str | None
) -> None:
    given(environment, PRODUCTION | {name: value})

    with pytest.raises(InvalidSettingsError, match=name):
        Settings.load()


def test_everything_that_is_missing_is_named_at_once(environment: pytest.MonkeyPatch) -> None:
    given(environment, {"ENVIRONMENT": "production"})

    with pytest.raises(InvalidSettingsError, match=r"DATABASE_URL.*SECRET_KEY.*JWT_KEYS_DIR"):
        Settings.load()


@pytest.mark.parametrize("secret", ["change-me", "secret", "x" * 31, "CHANGEME"])
def test_production_refuses_a_secret_anybody_could_guess(environment: pytest.MonkeyPatch, secret: str) -> None:
    given(environment, PRODUCTION | {"SECRET_KEY": secret})

    with pytest.raises(InvalidSettingsError, match="SECRET_KEY") as refusal:
        Settings.load()

    assert secret not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CURRENCY", "gbp"),
        ("CURRENCY", "POUND"),
        ("CURRENCY", "ZZZ"),
        ("ENVIRONMENT", "staging"),
        ("DATABASE_URL", "mysql://db/shop"),
        ("DATABASE_URL", "sqlite:///shop.db"),
        ("DATABASE_POOL_SIZE", "0"),
        ("DATABASE_POOL_SIZE", "many"),
        ("DATABASE_POOL_TIMEOUT_SECONDS", "0"),
        ("DATABASE_LOCK_TIMEOUT_MS", "-1"),
        ("ACCESS_TOKEN_SECONDS", "86400"),
        ("MAX_REQUEST_BYTES", "10"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("IDEMPOTENCY_KEY_REQUIRED", "perhaps"),
        ("LOGIN_LIMIT", "often"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(
    environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    given(environment, {name: value})

    with pytest.raises(InvalidSettingsError, match=name):
        Settings.load()


def test_a_refusal_does_not_repeat_the_password(environment: pytest.MonkeyPatch) -> None:
    given(environment, {"DATABASE_URL": "mysql://shop:canary@db/shop"})

    with pytest.raises(InvalidSettingsError) as refusal:
        Settings.load()

    assert "canary" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_settings_do_not_show_their_secrets() -> None:
    settings = Settings(
        database_url="postgresql://shop:canary-one@db/shop",
        redis_url="redis://:canary-two@cache/0",
        secret_key="canary-three",
    )

    assert "canary" not in f"{settings!r} {settings}"


def test_settings_cannot_be_changed(environment: pytest.MonkeyPatch) -> None:
    given(environment, {})
    settings = Settings.load()

    with pytest.raises(ValidationError, match="frozen"):
        settings.currency = "EUR"  # type: ignore[misc]  # that is the point


@pytest.mark.parametrize(
    ("written", "used"),
    [
        ("postgres://a@b/c", "postgresql+psycopg://a@b/c"),
        ("postgresql://a@b/c", "postgresql+psycopg://a@b/c"),
        ("postgresql+psycopg://a@b/c", "postgresql+psycopg://a@b/c"),
    ],
)
def test_every_common_form_of_a_database_url_is_understood(written: str, used: str) -> None:
    assert Settings(database_url=written).sqlalchemy_url == used


@pytest.mark.parametrize(("currency", "places"), [("GBP", 2), ("JPY", 0), ("KWD", 3), ("EUR", 2)])
def test_money_has_as_many_places_as_its_currency(currency: str, places: int) -> None:
    assert Settings(currency=currency).currency_places == places


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("", ()),
        ("https://a.example.com", ("https://a.example.com",)),
        (" https://a.io , https://b.io,,", ("https://a.io", "https://b.io")),
    ],
)
def test_lists_are_separated_by_commas(environment: pytest.MonkeyPatch, written: str, read: tuple[str, ...]) -> None:
    given(environment, {"CORS_ORIGINS": written})

    assert Settings.load().cors_origins == read


def test_outside_production_a_running_installation_fills_the_gaps(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    running(tmp_path, database_url="postgresql://running/db", redis_url="redis://running", currency="EUR")
    given(environment, {"DATA_DIR": str(tmp_path), "REDIS_URL": "redis://chosen"})

    settings = Settings.load()

    assert settings.database_url == "postgresql+psycopg://running/db"
    assert settings.redis_url == "redis://chosen"
    assert settings.currency == "GBP"


def test_production_never_takes_what_lies_around(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    running(tmp_path, redis_url="redis://running")
    given(environment, PRODUCTION | {"DATA_DIR": str(tmp_path)})

    assert Settings.load().redis_url is None


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '"text"', "\xff"])
def test_a_broken_run_file_is_as_good_as_none(environment: pytest.MonkeyPatch, tmp_path: Path, content: str) -> None:
    (tmp_path / RUN_FILE).write_bytes(content.encode("latin-1"))
    given(environment, {"DATA_DIR": str(tmp_path)})

    assert Settings.load().database_url is None


def test_without_a_database_url_the_embedded_one_is_meant(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given(environment, {"DATA_DIR": str(tmp_path)})

    assert Settings.load().sqlalchemy_url == f"postgresql+psycopg://postgres@/stockroom?host={tmp_path}/postgres"


def test_an_unset_secret_is_made_up_and_stays_for_the_process() -> None:
    first, second = Settings(secret_key=None), Settings(secret_key=None)

    assert first.signing_secret == second.signing_secret
    assert len(first.signing_secret) >= 32


def given(environment: pytest.MonkeyPatch, variables: dict[str, str | None] | dict[str, str]) -> None:
    for name, value in variables.items():
        if value is not None:
            environment.setenv(name, value)
        else:
            environment.delenv(name, raising=False)


def running(directory: Path, **values: str) -> None:
    """Leave what a running installation leaves."""
    (directory / RUN_FILE).write_text(json.dumps(values))


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment in which nothing of ours is set."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "nothing here"))
    return monkeypatch


@pytest.mark.parametrize(
    "origin", ["*", "https://*.example.com", "shop.example.com", "https://shop.example.com/", "null"]
)
def test_a_pattern_is_no_origin(environment: pytest.MonkeyPatch, origin: str) -> None:
    given(environment, {"CORS_ORIGINS": origin})

    with pytest.raises(InvalidSettingsError, match=r"CORS_ORIGINS.*is not an origin"):
        Settings.load()
