"""Settings: read once from the environment, validated, frozen."""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from iso4217 import Currency
from limits import parse_many
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

if TYPE_CHECKING:
    from collections.abc import Iterable

RUN_FILE = "run.json"
"""What `flask up` leaves in the data directory while it runs, so that other `flask` commands find its servers."""

MINIMUM_SECRET_LENGTH = 32
WELL_KNOWN_SECRETS = frozenset({"change-me", "changeme", "secret", "dev", "development", "test", "password"})


class InvalidSettingsError(Exception):
    """The environment does not make a runnable Stockroom; the message names every variable at fault."""


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _known_currency(value: str) -> str:
    try:
        Currency(value)
    except ValueError:
        message = f"{value!r} is not an ISO 4217 currency code"
        raise ValueError(message) from None
    return value


def _readable_limit(value: str) -> str:
    try:
        parse_many(value)
    except ValueError:
        message = f"{value!r} is not a rate limit, as in: 10 per minute"
        raise ValueError(message) from None
    return value


def _psycopg_url(value: str) -> str:
    """Accept the URL forms PostgreSQL's own tools accept and name the driver we ship."""
    for scheme in ("postgresql://", "postgres://"):
        if value.startswith(scheme):
            return "postgresql+psycopg://" + value.removeprefix(scheme)
    if not value.startswith("postgresql+psycopg://"):
        message = "must start with postgresql://"
        raise ValueError(message)
    return value


def _plain_origins(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?", value):
            message = f"{value!r} is not an origin, as in https://shop.example.com; patterns are not taken"
            raise ValueError(message)
    return values


type CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


class Settings(BaseSettings):
    """Everything Stockroom reads from its environment. Variable names are the field names in upper case."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore")

    environment: Literal["development", "production", "test"] = Field(
        "development", description="`production` demands its secrets and writes JSON logs."
    )
    data_dir: Path = Field(Path("instance"), description="Where `flask up` keeps keys, secrets and its own servers.")

    database_url: Annotated[str, AfterValidator(_psycopg_url)] | None = Field(
        None,
        description="PostgreSQL 15 or newer, as in `postgresql://user:password@host/stockroom`.",
        repr=False,
    )
    database_pool_size: int = Field(8, ge=1, le=200, description="Connections each process may open.")
    database_pool_timeout_seconds: float = Field(5, gt=0, le=60, description="How long a request waits for one.")
    database_statement_timeout_ms: int = Field(15_000, ge=100, description="The longest a statement may take.")
    database_lock_timeout_ms: int = Field(2_000, ge=50, description="The longest a statement waits for a lock.")
    database_idle_timeout_ms: int = Field(30_000, ge=100, description="The longest a transaction may do nothing.")
    allow_unsafe_durability: bool = Field(
        default=False, description="Start although the server could lose acknowledged orders with the power."
    )

    redis_url: str | None = Field(
        None,
        description="Valkey or Redis, where rate limits are counted for all processes; unset, each counts alone.",
        repr=False,
    )

    secret_key: SecretStr | None = Field(None, description="Signs cursors; at least 32 characters in production.")
    jwt_keys_dir: Path | None = Field(None, description="PEM files of the keys that sign access tokens.")
    jwt_issuer: str = Field("stockroom", description="`iss` of access tokens.")
    jwt_audience: str = Field("stockroom", description="`aud` of access tokens.")
    access_token_seconds: int = Field(600, ge=60, le=3600, description="Life of an access token.")
    refresh_token_seconds: int = Field(30 * 86_400, ge=3600, description="Life of a login.")

    currency: Annotated[str, AfterValidator(_known_currency)] = Field("GBP", description="ISO 4217 code of all money.")
    idempotency_key_required: bool = Field(default=False, description="Refuse writes without an Idempotency-Key.")
    login_limit: Annotated[str, AfterValidator(_readable_limit)] = Field(
        "10 per minute", description="Logins and refreshes that one network may try."
    )
    max_request_bytes: int = Field(2 * 1024 * 1024, ge=1024, description="The largest body that is read.")

    cors_origins: Annotated[CommaSeparated, AfterValidator(_plain_origins)] = Field(
        (), description="Origins whose pages may call the API, comma-separated."
    )
    trusted_hosts: CommaSeparated = Field((), description="Host names that are answered, comma-separated; empty: all.")
    docs_enabled: bool = Field(default=True, description="Serve /docs, /redoc and /openapi.json.")

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least that is logged.")
    log_format: Literal["auto", "json", "console"] = Field("auto", description="`auto`: JSON in production.")

    @classmethod
    def load(cls, **overrides: Any) -> Self:  # noqa: ANN401  # pydantic validates what arrives by name
        """Read the environment; outside production, fill the gaps from a running `flask up`.

        Raises:
            InvalidSettingsError: naming every variable that is missing or wrong.

        """
        try:
            settings = cls(**overrides)
            if settings.environment == "production":
                return settings
            running = _read_run_file(settings.data_dir)
            found = {name: value for name, value in running.items() if getattr(settings, name, "") is None}
            return cls(**(found | overrides)) if found else settings
        except ValidationError as error:
            raise InvalidSettingsError(_explain(error)) from None

    @model_validator(mode="after")
    def _production_has_its_secrets(self) -> Self:
        if self.environment != "production":
            return self
        required = {"DATABASE_URL": self.database_url, "SECRET_KEY": self.secret_key, "JWT_KEYS_DIR": self.jwt_keys_dir}
        if missing := [name for name, value in required.items() if value is None]:
            message = f"{', '.join(missing)} must be set when ENVIRONMENT=production"
            raise ValueError(message)
        secret = self.secret_key.get_secret_value() if self.secret_key else ""
        if len(secret) < MINIMUM_SECRET_LENGTH or secret.lower() in WELL_KNOWN_SECRETS:
            message = f"SECRET_KEY must be at least {MINIMUM_SECRET_LENGTH} characters that nobody else knows"
            raise ValueError(message)
        return self

    @property
    def is_production(self) -> bool:
        """Whether this installation faces the world."""
        return self.environment == "production"

    @property
    def sqlalchemy_url(self) -> str:
        """The database to use: the configured one, else the place where `flask up` keeps its own."""
        return self.database_url or f"postgresql+psycopg://postgres@/stockroom?host={self.data_dir.resolve()}/postgres"

    @property
    def signing_secret(self) -> str:
        """The secret that signs cursors. Outside production an unset one is made up for the life of the process."""
        return self.secret_key.get_secret_value() if self.secret_key else _PROCESS_SECRET

    @property
    def keys_dir(self) -> Path:
        """Where the private keys that sign access tokens lie."""
        return self.jwt_keys_dir or self.data_dir / "keys"

    @property
    def currency_places(self) -> int:
        """How many decimal places an amount of money has in this installation's currency (ISO 4217 minor units)."""
        return Currency(self.currency).exponent or 0

    @property
    def renders_logs_as_json(self) -> bool:
        """Whether a log line is one JSON object rather than text for a person."""
        return self.log_format == "json" or (self.log_format == "auto" and self.is_production)


_PROCESS_SECRET = secrets.token_urlsafe(32)


def _read_run_file(data_dir: Path) -> dict[str, Any]:
    try:
        values = json.loads((data_dir / RUN_FILE).read_text("utf-8"))
    except (FileNotFoundError, PermissionError, NotADirectoryError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _explain(error: ValidationError) -> str:
    def sentences() -> Iterable[str]:
        for problem in error.errors():
            name = ".".join(str(part).upper() for part in problem["loc"][:1])
            reason = problem["msg"].removeprefix("Value error, ")
            yield f"{name}: {reason}" if name else reason

    return "\n".join(sentences())
