"""Settings: read once from the environment, validated, frozen."""

from __future__ import annotations

import json
import re
import secrets
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from iso4217 import Currency
from limits import parse_many
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from api.core.scopes import LADDER

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


def _networks(value: object) -> object:
    pieces = _split(value)
    if not isinstance(pieces, list):
        return pieces
    for piece in pieces:
        try:
            ip_network(piece)
        except ValueError as error:
            message = f"{piece!r} is not a network, as in 10.0.0.0/8 ({error})"
            raise ValueError(message) from None
    return pieces


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


def _role_names(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if value.partition("=")[2] not in LADDER:
            message = f"{value!r} does not give a role, as in warehouse=clerk"
            raise ValueError(message)
    return values


def _mail_server(value: str) -> str:
    if not re.fullmatch(r"smtps?://([^\s@/]+@)?[^\s@/]+", value):
        message = "must look like smtp://user:password@host:587 or smtps://host:465"
        raise ValueError(message)
    return value


def _web_address(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s?#]+", value):
        message = f"{value!r} is not an address, as in https://shop.example.com"
        raise ValueError(message)
    return value.rstrip("/")


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
    database_pool_timeout_seconds: float = Field(
        5, gt=0, le=60, description="How long a request waits for one, or for its turn at a hot item."
    )
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

    secret_key: SecretStr | None = Field(
        None, description="Behind cursors, refresh tokens and tokens in mails; at least 32 characters."
    )
    jwt_keys_dir: Path | None = Field(None, description="PEM files of the keys that sign access tokens.")
    jwt_issuer: str = Field("stockroom", description="`iss` of access tokens.")
    jwt_audience: str = Field("stockroom", description="`aud` of access tokens.")
    access_token_seconds: int = Field(600, ge=60, le=3600, description="Life of an access token.")
    refresh_token_seconds: int = Field(30 * 86_400, ge=3600, description="Life of a login.")
    session_idle_seconds: int = Field(14 * 86_400, ge=3600, description="A login that is not refreshed so long ends.")
    refresh_grace_seconds: int = Field(
        30, ge=0, le=300, description="How long a refresh token whose answer was lost gets the same answer again."
    )
    reauthentication_seconds: int = Field(
        900, ge=60, description="How long after a login sensitive changes need no confirmation."
    )

    sign_up: Literal["open", "invited", "closed"] = Field(
        "invited",
        description="Who may open an account: `open` to all (as customers), the `invited` only, or `closed`.",
    )
    invitation_seconds: int = Field(7 * 86_400, ge=3600, description="Life of an invitation and of a sign-up.")
    reset_seconds: int = Field(3600, ge=300, description="Life of a password reset.")

    smtp_url: Annotated[str, AfterValidator(_mail_server)] | None = Field(
        None,
        description="Mail server, as in `smtp://user:password@host:587` (STARTTLS) or `smtps://…:465`; unset, "
        "development prints mails and production does not send any.",
        repr=False,
    )
    mail_from: str = Field("Stockroom <stockroom@localhost>", description="Sender of mails.")
    site_url: Annotated[str, AfterValidator(_web_address)] | None = Field(
        None,
        description="Where the pages are that take the tokens of mails; unset, mails carry the bare token.",
    )

    oidc_issuer: str | None = Field(
        None,
        pattern=r"^https?://[^\s?#]+$",
        description="`iss` of an identity provider whose access tokens are accepted too.",
    )
    oidc_audience: str | None = Field(None, description="`aud` its tokens must have; required with OIDC_ISSUER.")
    oidc_role_claim: str = Field("roles", description="The claim that names roles or groups; dots reach into objects.")
    oidc_roles: Annotated[CommaSeparated, AfterValidator(_role_names)] = Field(
        (), description="What its values mean here, as in `warehouse=clerk,boss=admin`; the highest counts."
    )
    oidc_default_role: Literal["customer", "clerk", "manager", "none"] = Field(
        "customer", description="Role of those for whom the claim says nothing; `none` refuses them."
    )
    oidc_token_types: CommaSeparated = Field(
        ("at+jwt", "application/at+jwt"),
        description="`typ` its access tokens may have; add `JWT` for providers older than RFC 9068.",
    )

    currency: Annotated[str, AfterValidator(_known_currency)] = Field("GBP", description="ISO 4217 code of all money.")
    allocation_policy: Literal["single_location", "fewest_parcels", "by_priority"] = Field(
        "single_location",
        description="How the locations are chosen that serve an order: the first that has everything, as few parcels "
        "as possible, or strictly by priority.",
    )
    reservation_units_per_customer: int = Field(
        1000, ge=0, description="Units that one customer may keep in reservations at once."
    )
    reservations_per_customer: int = Field(20, ge=0, description="Reservations one customer may have at once.")
    idempotency_key_required: bool = Field(default=False, description="Refuse writes without an Idempotency-Key.")
    login_limit: Annotated[str, AfterValidator(_readable_limit)] = Field(
        "10 per minute", description="Logins, sign-ups, resets and the like, each, that one network may try."
    )
    refresh_limit: Annotated[str, AfterValidator(_readable_limit)] = Field(
        "120 per minute", description="Refreshes that one network may try; an office full of people shares it."
    )
    login_account_limit: Annotated[str, AfterValidator(_readable_limit)] = Field(
        "5 per minute; 20 per hour",
        description="Wrong passwords for one account; networks it has logged in from count apart. Longer windows than "
        "an hour help attackers to keep an owner out.",
    )
    login_global_limit: Annotated[str, AfterValidator(_readable_limit)] = Field(
        "1000 per minute", description="Logins from networks the account has never used, all together."
    )
    network_limit: Annotated[str, AfterValidator(_readable_limit)] = Field(
        "100000 per minute", description="Requests of one network (IPv4 address or IPv6 /64)."
    )
    account_limit: Annotated[str, AfterValidator(_readable_limit)] = Field(
        "50000 per minute", description="Requests of one account."
    )
    event_waiters: int = Field(
        2,
        ge=0,
        le=100,
        description="Requests in each web process that may wait for events (`wait`); each takes one of its threads.",
    )
    event_retention_days: int | None = Field(
        None, ge=14, description="How long events are kept, in whole months that are past; unset: for ever."
    )
    webhook_allowed_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_networks)] = (
        Field((), description="Networks that webhooks may reach although they are not public, comma-separated.")
    )
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_networks)] = Field(
        (), description="Networks of your own reverse proxies, whose X-Forwarded-For is believed, comma-separated."
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

    @model_validator(mode="after")
    def _provider_has_its_audience(self) -> Self:
        if self.oidc_issuer and not self.oidc_audience:
            message = "OIDC_AUDIENCE must be set with OIDC_ISSUER: a token made for another service is no key to this"
            raise ValueError(message)
        if self.oidc_issuer == self.jwt_issuer:
            message = "OIDC_ISSUER must differ from JWT_ISSUER: by its issuer a token is told from our own"
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
        """The secret behind cursors and tokens; outside production an unset one lives as long as the process."""
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
