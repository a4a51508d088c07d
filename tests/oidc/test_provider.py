"""Asking the provider for its keys: seldom, not for long, and never for worse."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from time import monotonic
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from structlog.testing import capture_logs

from api.oidc import jwks
from api.oidc import provider as module
from api.oidc.errors import ProviderUnavailable
from api.oidc.jwks import UnusableAnswerError
from api.oidc.provider import PAUSE_SECONDS, REFRESH_SECONDS, Provider
from tests.oidc import idp as idps
from tests.oidc.idp import LEFT_OUT, SigningKey, private_key
from tests.rest.envelope import assert_problem
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.testing import FlaskClient

    from tests.factories import Factory
    from tests.oidc.idp import Handler, IdentityProvider

ME = "/api/v1/users/me"
MISBEHAVIOURS = [
    idps.fail,
    idps.redirect,
    idps.answer_in_html,
    idps.answer_at_length,
    idps.say_nonsense,
    idps.hang_up,
    idps.hang,
    idps.drip_headers,
    idps.drip_body,
]


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(provider: Provider) -> Clock:
    """The provider's clock, in the test's hands."""
    clock = Clock()
    provider.clock = clock
    return clock


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up after a fraction of a second."""
    monkeypatch.setattr(module, "DEADLINE_SECONDS", 0.4)
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.1)


def test_keys_are_fetched_once_and_kept(provider: Provider, idp: IdentityProvider, clock: Clock) -> None:
    first = provider.key(idp.key.kid)
    clock.now += REFRESH_SECONDS - 1

    assert first is not None
    assert provider.key(idp.key.kid) is first
    assert idp.times_asked == 1


def test_nothing_is_asked_before_a_token_comes(provider: Provider, idp: IdentityProvider) -> None:
    assert isinstance(provider, Provider)
    assert idp.asked == []


def test_keys_are_renewed_every_ten_minutes_without_making_anybody_wait(
    provider: Provider, idp: IdentityProvider, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DEADLINE_SECONDS", 10)
    first = provider.key(idp.key.kid)
    clock.now += REFRESH_SECONDS
    idp.behave = idps.hang

    with capture_logs() as logs:
        assert provider.key(idp.key.kid) is first
        wait_until(lambda: idp.times_asked == 2, seconds=10)
        assert provider.key(idp.key.kid) is first
        assert logs == []  # it hangs still
        idp.released.set()
        wait_until(lambda: bool(logs), seconds=10)


def test_a_key_that_is_published_no_more_is_good_no_more(
    provider: Provider, idp: IdentityProvider, clock: Clock
) -> None:
    kid = idp.key.kid
    provider.key(kid)
    idp.rotate()
    clock.now += REFRESH_SECONDS

    provider.key(kid)

    wait_until(lambda: provider.key(kid) is None, seconds=10)


def test_a_new_key_is_fetched_when_a_token_names_it(provider: Provider, idp: IdentityProvider, clock: Clock) -> None:
    provider.key(idp.key.kid)
    idp.rotate()

    assert provider.key(idp.key.kid) is None
    clock.now += PAUSE_SECONDS
    assert provider.key(idp.key.kid) is not None
    assert idp.times_asked == 2


def test_a_flood_of_unknown_keys_asks_once(provider: Provider, idp: IdentityProvider, clock: Clock) -> None:
    provider.key(idp.key.kid)
    clock.now += PAUSE_SECONDS
    start = Barrier(32)

    def ask(number: int) -> list[object]:
        start.wait()
        return [provider.key(f"unknown {number} {attempt}") for attempt in range(20)]

    with ThreadPoolExecutor(32) as threads:
        found = list(threads.map(ask, range(32)))

    assert found == [[None] * 20] * 32
    assert idp.times_asked == 2


def test_many_first_tokens_at_once_ask_once_and_are_all_served(provider: Provider, idp: IdentityProvider) -> None:
    start = Barrier(16)

    def ask(_: int) -> object:
        start.wait()
        return provider.key(idp.key.kid)

    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(ask, range(16)))

    assert None not in found
    assert idp.times_asked == 1


def test_nobody_with_a_known_key_waits_for_an_attempt_that_hangs(
    provider: Provider, idp: IdentityProvider, clock: Clock
) -> None:
    known = provider.key(idp.key.kid)
    clock.now += PAUSE_SECONDS
    idp.behave = idps.hang
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(provider.key, "unknown")
        wait_until(lambda: idp.times_asked == 2, seconds=10)

        for _ in range(100):
            assert provider.key(idp.key.kid) is known
        assert not waiting.done()
        idp.released.set()


@pytest.mark.usefixtures("_soon")
def test_others_with_an_unknown_key_wait_less_long_than_the_attempt(
    provider: Provider, idp: IdentityProvider, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DEADLINE_SECONDS", 10)
    provider.key(idp.key.kid)
    clock.now += PAUSE_SECONDS
    idp.behave = idps.hang
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(provider.key, "unknown")
        wait_until(lambda: idp.times_asked == 2, seconds=10)

        began = monotonic()
        assert provider.key("another") is None
        assert monotonic() - began < 5
        assert not first.done()
        idp.released.set()


@pytest.mark.usefixtures("_soon")
@pytest.mark.parametrize("misbehave", MISBEHAVIOURS, ids=lambda misbehave: misbehave.__name__)
def test_a_bad_answer_leaves_the_known_keys_in_use(
    provider: Provider, idp: IdentityProvider, clock: Clock, misbehave: Callable[[Handler], None]
) -> None:
    known = provider.key(idp.key.kid)
    clock.now += PAUSE_SECONDS
    idp.behave = misbehave

    began = monotonic()
    with capture_logs() as logs:
        assert provider.key("unknown") is None

    assert monotonic() - began < 3
    assert [line["event"] for line in logs] == ["identity_provider_failed"]
    assert provider.key(idp.key.kid) is known
    assert not any("elsewhere" in path for path in idp.asked)


@pytest.mark.usefixtures("_soon")
@pytest.mark.parametrize("misbehave", MISBEHAVIOURS, ids=lambda misbehave: misbehave.__name__)
def test_a_bad_answer_to_the_first_question_says_so_and_is_repeated_after_a_pause(
    provider: Provider, idp: IdentityProvider, clock: Clock, misbehave: Callable[[Handler], None]
) -> None:
    idp.behave = misbehave

    for _ in range(3):
        with pytest.raises(ProviderUnavailable):
            provider.key(idp.key.kid)
    assert idp.times_asked == 1

    idp.behave = idps.answer
    clock.now += PAUSE_SECONDS
    assert provider.key(idp.key.kid) is not None


def test_an_outage_with_known_keys_is_not_noticed(
    client: FlaskClient, trusted: object, idp: IdentityProvider, clock: Clock
) -> None:
    assert trusted
    assert client.get(ME, headers=idp.bearer()).status_code == 200
    idp.stop()
    clock.now += REFRESH_SECONDS

    assert client.get(ME, headers=idp.bearer()).status_code == 200
    clock.now += PAUSE_SECONDS
    assert_problem(client.get(ME, headers=idp.bearer(header={"kid": "new"})), 401, "token_invalid", None)
    assert client.get(ME, headers=idp.bearer()).status_code == 200


def test_an_outage_without_known_keys_is_told_and_touches_nobody_else(
    client: FlaskClient, trusted: object, make: Factory, idp: IdentityProvider
) -> None:
    assert trusted
    idp.stop()

    refusal = client.get(ME, headers=idp.bearer())

    assert_problem(refusal, 503, "idp_unavailable", None)
    assert refusal.headers["Retry-After"] == "30"
    assert client.get(ME, headers=make.headers()).status_code == 200


@pytest.mark.parametrize(
    "said",
    [
        pytest.param({"issuer": "http://127.0.0.1/realm"}, id="another issuer"),
        pytest.param({"issuer": None}, id="no issuer"),
        pytest.param({"jwks_uri": None}, id="no keys"),
        pytest.param({"jwks_uri": "file:///etc/passwd"}, id="a file"),
        pytest.param({"jwks_uri": "ftp://127.0.0.1/keys"}, id="FTP"),
        pytest.param({"jwks_uri": "//127.0.0.1/keys"}, id="no scheme"),
        pytest.param({"jwks_uri": "http://"}, id="no host"),
        pytest.param({"jwks_uri": "http://[::1/keys"}, id="half an address"),
        pytest.param({"jwks_uri": ["http://127.0.0.1/keys"]}, id="a list"),
    ],
)
def test_a_discovery_document_that_is_not_right_is_not_followed(
    provider: Provider, idp: IdentityProvider, said: dict[str, object]
) -> None:
    idp.says = said

    with pytest.raises(ProviderUnavailable):
        provider.key(idp.key.kid)
    assert idp.times_asked == len(idp.asked) == 1


def test_the_keys_of_an_issuer_behind_tls_are_behind_tls() -> None:
    issuer = "https://id.example.com/"

    assert module.keys_url({"jwks_uri": "https://keys.example.com/set"}, issuer).host == "keys.example.com"
    with pytest.raises(UnusableAnswerError):
        module.keys_url({"jwks_uri": "http://id.example.com/set"}, issuer)
    with pytest.raises(httpx.InvalidURL):
        module.keys_url({"jwks_uri": "https://id.example.com:port/set"}, issuer)


def test_an_issuer_may_end_in_a_slash(idp: IdentityProvider) -> None:
    idp.issuer += "/"

    assert Provider(idp.issuer).key(idp.key.kid) is not None
    assert idp.asked[0] == "/realm/.well-known/openid-configuration"


@pytest.mark.parametrize(
    ("kind", "algorithm", "says"),
    [
        pytest.param("weak", "RS256", {}, id="a short modulus"),
        pytest.param("rsa", "RS256", {"use": "enc"}, id="for encryption"),
        pytest.param("rsa", "RS256", {"alg": "RSA-OAEP"}, id="an algorithm for encryption"),
        pytest.param("rsa", "RS256", {"alg": "HS256"}, id="a symmetric algorithm"),
        pytest.param("rsa", "RS256", {"alg": "none"}, id="no algorithm"),
        pytest.param("rsa", "RS256", {"alg": ["RS256"]}, id="a list of algorithms"),
        pytest.param("rsa", "RS256", {"kty": "oct", "k": "AAAA"}, id="a symmetric key"),
        pytest.param("rsa", "RS256", {"n": "!"}, id="no number"),
        pytest.param("rsa", "RS256", {"e": "AA"}, id="an exponent of zero"),
        pytest.param("rsa", "RS256", {"n": LEFT_OUT}, id="no modulus"),
        pytest.param("rsa", "RS256", {"key_ops": ["sign"]}, id="not for verifying"),
        pytest.param("rsa", "RS256", {"key_ops": "verify"}, id="a word for its operations"),
        pytest.param("rsa", "RS256", {"kid": LEFT_OUT}, id="no name"),
        pytest.param("rsa", "RS256", {"kid": 1}, id="a number for its name"),
        pytest.param("rsa", "RS256", {"kty": {}}, id="an object for its type"),
        pytest.param("ec384", "ES384", {}, id="another curve"),
        pytest.param("ec", "ES256", {"alg": "ES512"}, id="the algorithm of another curve"),
        pytest.param("ec", "ES256", {"x": "AA"}, id="no point"),
        pytest.param("ec", "ES256", {"crv": LEFT_OUT}, id="no curve"),
        pytest.param("ed448", "EdDSA", {}, id="another curve of the same algorithm"),
        pytest.param("ed", "EdDSA", {"crv": "X25519"}, id="a key for agreements"),
    ],
)
def test_a_key_that_cannot_have_signed_an_access_token_is_passed_over(
    kind: str, algorithm: str, says: dict[str, object]
) -> None:
    bad = SigningKey(algorithm, private_key(kind), kid="bad", says=says)
    good = SigningKey("ES256", private_key("ec"), kid="good")

    assert list(jwks.read({"keys": [bad.jwk(), good.jwk()]})) == ["good"]
    with pytest.raises(UnusableAnswerError):
        jwks.read({"keys": [bad.jwk()]})


@pytest.mark.parametrize("document", [None, [], {}, {"keys": None}, {"keys": {}}, {"keys": [None, 1, []]}, "keys"])
def test_what_is_no_key_set_is_refused(document: Any) -> None:
    with pytest.raises(UnusableAnswerError):
        jwks.read(document)


def test_a_key_set_that_betrays_a_private_key_is_read_for_its_public_half() -> None:
    key = SigningKey("ES256", private_key("ec"), kid="leaked", says={"d": "AAAA"})

    assert jwks.read({"keys": [key.jwk()]})["leaked"].public == private_key("ec").public_key()
