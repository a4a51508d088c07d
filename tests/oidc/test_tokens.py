"""Tokens that claim to be the provider's: the good ones open, each other is refused, none is a crash."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from api.config import InvalidSettingsError, Settings
from tests.oidc.idp import LEFT_OUT, SigningKey, assemble, bearer, encoded, private_key
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask.testing import FlaskClient

    from api.oidc.tokens import ProviderTokens
    from tests.factories import Factory
    from tests.oidc.idp import IdentityProvider

ME = "/api/v1/users/me"
HUGE = 1 << 1100
"""A number that no float can hold comes from JSON all the same."""

pytestmark = pytest.mark.usefixtures("trusted")


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [("RS256", "rsa"), ("RS512", "rsa"), ("PS256", "rsa"), ("ES256", "ec"), ("EdDSA", "ed")],
)
def test_a_token_of_the_provider_is_accepted(
    client: FlaskClient, idp: IdentityProvider, algorithm: str, kind: str
) -> None:
    idp.keys.append(SigningKey(algorithm, private_key(kind)))

    assert client.get(ME, headers=idp.bearer()).status_code == 200


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_key_that_names_no_algorithm_has_the_usual_one(
    client: FlaskClient, idp: IdentityProvider, algorithm: str
) -> None:
    kind = {"RS256": "rsa", "ES256": "ec", "EdDSA": "ed"}[algorithm]
    idp.keys = [SigningKey(algorithm, private_key(kind), says={"alg": LEFT_OUT, "use": LEFT_OUT})]

    assert client.get(ME, headers=idp.bearer()).status_code == 200


def test_our_own_tokens_open_as_before(client: FlaskClient, make: Factory, idp: IdentityProvider) -> None:
    assert client.get(ME, headers=make.headers()).status_code == 200
    assert idp.asked == []


@pytest.mark.parametrize("algorithm", ["none", "nOnE", "NONE", "", 0, None, LEFT_OUT, [], "es256", "ES256 "])
def test_a_token_that_is_not_signed_is_refused(client: FlaskClient, idp: IdentityProvider, algorithm: object) -> None:
    refused(client, assemble(idp.header() | {"alg": algorithm}, idp.claims()) + ".")


def test_a_token_signed_with_the_public_key_as_a_password_is_refused(
    client: FlaskClient, idp: IdentityProvider
) -> None:
    public = idp.key.private.public_key()
    forms = [
        public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
        json.dumps(idp.key.jwk()).encode(),
    ]
    signed = assemble(idp.header() | {"alg": "HS256"}, idp.claims())

    for form in forms:
        refused(client, f"{signed}.{encoded(hmac.digest(signed.encode(), form, hashlib.sha256))}")


def test_a_symmetric_key_in_the_key_set_signs_nothing(client: FlaskClient, idp: IdentityProvider) -> None:
    secret = b"a secret that the provider should not have published"
    shown = {"kty": "oct", "k": encoded(secret), "alg": "HS256"}
    idp.keys.append(SigningKey("ES256", private_key("ec"), kid="shared", says=shown))
    signed = assemble(idp.header() | {"alg": "HS256"}, idp.claims())

    refused(client, f"{signed}.{encoded(hmac.digest(signed.encode(), secret, hashlib.sha256))}")


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_a_key_is_good_for_its_one_algorithm(client: FlaskClient, idp: IdentityProvider, algorithm: str) -> None:
    idp.keys = [SigningKey("RS256", private_key("rsa"))]
    same_key = SigningKey(algorithm, private_key("rsa"))

    refused(client, idp.token(header={"alg": algorithm}, key=same_key))


def test_a_token_of_an_algorithm_of_another_key_is_refused(client: FlaskClient, idp: IdentityProvider) -> None:
    idp.keys = [SigningKey("RS256", private_key("rsa")), SigningKey("ES256", private_key("ec"))]

    refused(client, idp.token(header={"alg": "RS256"}, key=idp.keys[0]))


def test_a_token_signed_with_another_key_is_refused(client: FlaskClient, idp: IdentityProvider) -> None:
    refused(client, idp.token(key=SigningKey("ES256", private_key("ec", 1))))


def test_a_token_that_brings_its_own_key_is_refused_and_no_address_in_it_is_asked(
    client: FlaskClient, idp: IdentityProvider
) -> None:
    stranger = SigningKey("ES256", private_key("ec", 1), kid=idp.key.kid)
    base = idp.issuer.removesuffix("/realm")
    for header in (
        {"jwk": stranger.jwk()},
        {"jku": f"{base}/trap"},
        {"x5u": f"{base}/trap"},
        {"x5c": ["AA=="]},
        {"jwk": stranger.jwk(), "kid": LEFT_OUT},
        {"jku": f"{base}/trap", "kid": "of the trap"},
    ):
        refused(client, idp.token(header=header, key=stranger))

    assert f"{base}/trap" not in idp.asked
    assert "/trap" not in idp.asked


@pytest.mark.parametrize("kid", [LEFT_OUT, None, "", "unknown", "../../../etc/passwd", "' OR 1=1", "\0", [], {}, 1])
def test_a_token_of_an_unknown_key_is_refused(client: FlaskClient, idp: IdentityProvider, kid: object) -> None:
    refused(client, idp.token(header={"kid": kid}))


@pytest.mark.parametrize("kind", [LEFT_OUT, None, "JWT", "at+jwtx", "id+jwt", "logout+jwt", "", 1, ["at+jwt"]])
def test_a_token_of_another_kind_is_refused(client: FlaskClient, idp: IdentityProvider, kind: object) -> None:
    refused(client, idp.token(header={"typ": kind}))


@pytest.mark.parametrize("kind", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_the_kind_is_written_in_any_letter_case(client: FlaskClient, idp: IdentityProvider, kind: str) -> None:
    assert client.get(ME, headers=idp.bearer(header={"typ": kind})).status_code == 200


def test_an_older_provider_may_write_jwt_where_that_is_set(
    client: FlaskClient, idp: IdentityProvider, trust: Callable[..., ProviderTokens]
) -> None:
    trust(oidc_token_types=("jwt",))

    assert client.get(ME, headers=idp.bearer(header={"typ": "JWT"})).status_code == 200
    refused(client, idp.token(header={"typ": "at+jwt"}))


@pytest.mark.parametrize(
    "claims",
    [{"nonce": "n"}, {"at_hash": "h"}, {"c_hash": "h"}, {"nonce": None}, {"events": {}}, {"typ": "ID"}],
    ids=lambda claims: next(iter(claims)) + str(next(iter(claims.values()))),
)
def test_an_id_token_is_refused_whatever_its_kind(
    client: FlaskClient, idp: IdentityProvider, trust: Callable[..., ProviderTokens], claims: dict[str, Any]
) -> None:
    trust(oidc_token_types=("at+jwt", "JWT"))

    refused(client, idp.token(header={"typ": "JWT"}, **claims))
    refused(client, idp.token(**claims))


@pytest.mark.parametrize("critical", [["exp"], ["nonsense"], [], "b64", None, {"a": 1}])
def test_a_token_with_critical_extensions_is_refused(
    client: FlaskClient, idp: IdentityProvider, critical: object
) -> None:
    refused(client, idp.token(header={"crit": critical}))
    refused(client, idp.token(header={"crit": ["b64"], "b64": True}))  # an extension that PyJWT knows


@pytest.mark.parametrize("claim", ["exp", "iat", "iss", "aud", "sub"])
def test_a_token_that_lacks_a_claim_is_refused(client: FlaskClient, idp: IdentityProvider, claim: str) -> None:
    without: dict[str, Any] = {claim: LEFT_OUT}

    refused(client, idp.token(**without))


@pytest.mark.parametrize("value", [None, [], {}, True, "", "nonsense", -1, 2**70, 1e300, HUGE, "\ud800", float("inf")])
def test_a_token_with_nonsense_in_a_claim_is_never_a_crash(
    client: FlaskClient, idp: IdentityProvider, value: object
) -> None:
    for claim in (
        "exp",
        "iat",
        "nbf",
        "iss",
        "aud",
        "sub",
        "auth_time",
        "jti",
        "roles",
        "email",
        "name",
        "typ",
        "scope",
    ):
        response = client.get(ME, headers=idp.bearer(**{claim: value, "email_verified": True}))
        if claim in {"iss", "aud"} or (claim == "sub" and value != "nonsense"):
            assert response.status_code == 401, claim
        assert response.status_code in {200, 401}, claim


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"iss": "https://elsewhere.example"}, id="another issuer"),
        pytest.param({"aud": "another service"}, id="another audience"),
        pytest.param({"aud": ["another", "service"]}, id="other audiences"),
        pytest.param({"aud": "STOCKROOM"}, id="audience in capitals"),
        pytest.param({"aud": "stockroom "}, id="audience with a blank"),
        pytest.param({"aud": {"stockroom": 1}}, id="audience as an object"),
        pytest.param({"nbf": int(time.time()) + 3600}, id="not yet"),
        pytest.param({"iat": int(time.time()) + 3600, "exp": int(time.time()) + 3700}, id="made in the future"),
        pytest.param({"sub": ""}, id="nobody"),
        pytest.param({"sub": "x" * 256}, id="a long subject"),
        pytest.param({"sub": "a\0b"}, id="a NUL"),
        pytest.param({"sub": "a\u202eb"}, id="text turned around"),
        pytest.param({"sub": 7}, id="a number"),
    ],
)
def test_a_token_for_something_else_is_refused(
    client: FlaskClient, idp: IdentityProvider, claims: dict[str, Any]
) -> None:
    refused(client, idp.token(**claims))


def test_the_issuer_must_be_the_same_to_the_letter(client: FlaskClient, idp: IdentityProvider) -> None:
    for issuer in (idp.issuer + "/", idp.issuer.upper(), idp.issuer + "#", [idp.issuer], "stockroom"):
        refused(client, idp.token(iss=issuer))


def test_one_of_several_audiences_suffices(client: FlaskClient, idp: IdentityProvider) -> None:
    assert client.get(ME, headers=idp.bearer(aud=["another", "stockroom"])).status_code == 200


def test_a_token_whose_time_is_over_has_expired(client: FlaskClient, idp: IdentityProvider) -> None:
    now = int(time.time())

    response = client.get(ME, headers=idp.bearer(iat=now - 600, exp=now - 31))

    assert_problem(response, 401, "token_expired", None)


def test_clocks_may_differ_by_half_a_minute(client: FlaskClient, idp: IdentityProvider) -> None:
    now = int(time.time())

    assert client.get(ME, headers=idp.bearer(iat=now + 20, exp=now - 20)).status_code == 200


def test_a_token_of_the_provider_never_opens_the_account_of_that_id(
    client: FlaskClient, make: Factory, idp: IdentityProvider
) -> None:
    admin = make.user(role="admin")

    found = client.get(ME, headers=idp.bearer(sub=str(admin.id))).get_json()

    assert found["id"] != str(admin.id)
    assert found["role"] == "customer"


def test_a_token_of_ours_with_the_issuer_of_the_provider_is_refused(
    client: FlaskClient, make: Factory, idp: IdentityProvider, keys_dir: Path
) -> None:
    good = make.headers()["Authorization"].split()[1]
    header, claims = jwt.get_unverified_header(good), jwt.decode(good, options={"verify_signature": False})
    ours = (keys_dir / f"{header['kid']}.pem").read_bytes()

    refused(client, jwt.encode(claims | {"iss": idp.issuer, "aud": "stockroom"}, ours, header["alg"], header))


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_token_with_one_character_changed_is_refused(client: FlaskClient, idp: IdentityProvider, part: int) -> None:
    parts = idp.token().split(".")
    parts[part] = parts[part][:40] + ("A" if parts[part][40] != "A" else "B") + parts[part][41:]

    refused(client, ".".join(parts))


def test_what_is_almost_a_token_of_the_provider_is_refused(client: FlaskClient, idp: IdentityProvider) -> None:
    header, claims, signature = idp.token().split(".")
    for token in (
        f"{header}.{claims}",
        f"{header}.{claims}.",
        f".{claims}.{signature}",
        f"{header}.{claims}.{signature}.{signature}",
        f"{encoded(b'[' * 6000)}.{claims}.{signature}",
        f"{encoded(b'{}')}.{claims}.{signature}",
        f"{encoded(b'[]')}.{claims}.{signature}",
        f"{encoded(b'{"alg":' + b'1' * 5000 + b'}')}.{claims}.{signature}",
        f"{header}.{encoded(b'[' * 6000)}.{signature}",
        f"{header}.{encoded(b'{"iss":"' + idp.issuer.encode() + b'"}')}.{signature}",
        f"{header}.{claims}.\xe9",
        f"{header}.{claims}." + "A" * 100_000,
        "a.b.c",
        "\xe9.\xe9.\xe9",
    ):
        refused(client, token)


def test_all_refusals_of_a_token_look_alike(client: FlaskClient, idp: IdentityProvider) -> None:
    bodies = set()
    for token in (
        idp.token(aud="x"),
        idp.token(header={"kid": str(uuid4())}),
        idp.token(header={"typ": "JWT"}),
        idp.token(iss="x"),
        idp.token(nonce="x"),
        "a.b.c",
    ):
        bodies.add(client.get(ME, headers=bearer(token) | {"X-Request-ID": "same"}).data)

    assert len(bodies) == 1


@pytest.mark.parametrize(
    ("seconds_ago", "is_fresh"), [(0, True), (800, True), (1000, False), (-10, True), (-3600, False)]
)
def test_a_login_at_the_provider_is_fresh_for_a_quarter_of_an_hour(
    client: FlaskClient, idp: IdentityProvider, trusted: ProviderTokens, seconds_ago: int, *, is_fresh: bool
) -> None:
    with client.application.app_context():
        caller = trusted.read(idp.token(auth_time=int(time.time()) - seconds_ago))

    assert caller.is_fresh is is_fresh


@pytest.mark.parametrize("moment", [LEFT_OUT, None, True, "now", [], 2**70, -(2**70)])
def test_a_login_without_a_time_is_not_fresh(
    client: FlaskClient, idp: IdentityProvider, trusted: ProviderTokens, moment: object
) -> None:
    with client.application.app_context():
        assert not trusted.read(idp.token(auth_time=moment)).is_fresh


def test_the_provider_must_not_have_our_own_name() -> None:
    issuer = "https://id.example.com"

    with pytest.raises(InvalidSettingsError, match="OIDC_ISSUER must differ from JWT_ISSUER"):
        Settings.load(oidc_issuer=issuer, oidc_audience="stockroom", jwt_issuer=issuer)


def refused(client: FlaskClient, token: str) -> None:
    """Check that a token opens nothing."""
    assert_problem(client.get(ME, headers=bearer(token)), 401, "token_invalid", None)
