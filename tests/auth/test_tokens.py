"""Tokens we did not make, or did not make for this: each is refused, none is a crash."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from api.auth.tokens import Proof, Proofs
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from flask import Flask
    from flask.testing import FlaskClient

    from tests.factories import Factory

    type Claims = dict[str, Any]

ME = "/api/v1/users/me"
LEFT_OUT = object()
NOBODYS = "0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45"


def test_our_own_token_is_accepted(client: FlaskClient, forge: Forge) -> None:
    assert client.get(ME, headers=bearer(forge())).status_code == 200


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", 0, LEFT_OUT, [], "RS256 ", "rs256"])
def test_a_token_that_is_not_signed_is_refused(client: FlaskClient, forge: Forge, algorithm: object) -> None:
    token = forge.assemble(forge.header | {"alg": algorithm}, forge.claims, b"")

    refused(client, token)


def test_a_token_signed_with_the_public_key_as_a_password_is_refused(client: FlaskClient, forge: Forge) -> None:
    public = forge.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    head = forge.header | {"alg": "HS256"}
    signature = hmac.digest(forge.assemble(head, forge.claims).encode(), public, hashlib.sha256)

    refused(client, forge.assemble(head, forge.claims, signature))


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("RS384", None),
        ("RS512", None),
        ("PS256", None),
        ("ES256", ec.generate_private_key(ec.SECP256R1())),
        ("EdDSA", ed25519.Ed25519PrivateKey.generate()),
        ("HS256", "a secret that is long enough for the algorithm it is used with"),
    ],
)
def test_a_token_of_another_algorithm_is_refused(
    client: FlaskClient,
    forge: Forge,
    algorithm: str,
    key: Any,  # any kind of key
) -> None:
    refused(client, jwt.encode(forge.claims, key or forge.key, algorithm, headers=forge.header | {"alg": algorithm}))


def test_a_token_signed_with_another_key_is_refused(client: FlaskClient, forge: Forge, stranger: RSAPrivateKey) -> None:
    refused(client, jwt.encode(forge.claims, stranger, "RS256", headers=forge.header))


def test_a_token_that_brings_its_own_key_is_refused(client: FlaskClient, forge: Forge, stranger: RSAPrivateKey) -> None:
    key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(stranger.public_key()))
    for header in (
        {"jwk": key},
        {"jku": "http://127.0.0.1:1/jwks"},
        {"x5u": "http://127.0.0.1:1/x"},
        {"x5c": ["AA=="]},
    ):
        refused(client, jwt.encode(forge.claims, stranger, "RS256", headers=forge.header | header))


@pytest.mark.parametrize(
    "kid",
    [LEFT_OUT, None, "", "unknown", "0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45", "../../../etc/passwd", "' OR 1=1", [], 1],
)
def test_a_token_of_an_unknown_key_is_refused(client: FlaskClient, forge: Forge, kid: object) -> None:
    refused(client, forge(header={"kid": kid}))


@pytest.mark.parametrize("kind", [LEFT_OUT, None, "JWT", "at+jwtx", "id+jwt", "logout+jwt", "", 1])
def test_a_token_of_another_kind_is_refused(client: FlaskClient, forge: Forge, kind: object) -> None:
    refused(client, forge(header={"typ": kind}))


@pytest.mark.parametrize("critical", [["exp"], ["nonsense"], [], "b64", None, {"a": 1}])
def test_a_token_with_critical_extensions_is_refused(client: FlaskClient, forge: Forge, critical: object) -> None:
    refused(client, forge(header={"crit": critical}))


@pytest.mark.parametrize("claim", ["exp", "iat", "jti", "iss", "aud", "sub", "sid", "type"])
def test_a_token_that_lacks_a_claim_is_refused(client: FlaskClient, forge: Forge, claim: str) -> None:
    refused(client, forge(claims={claim: LEFT_OUT}))


@pytest.mark.parametrize("value", [None, [], {}, True, "", "nonsense", -1, 2**70, 1e300])
def test_a_token_with_nonsense_in_a_claim_is_refused(client: FlaskClient, forge: Forge, value: object) -> None:
    for claim in ("exp", "iat", "iss", "aud", "sub", "sid", "type"):
        response = client.get(ME, headers=bearer(forge(claims={claim: value})))
        assert response.status_code == 401, claim
        code = response.get_json()["error"]["code"]
        assert code in {"token_invalid", "token_expired"}
        assert_problem(response, 401, code)


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"iss": "somebody else"}, id="another issuer"),
        pytest.param({"iss": ["stockroom"]}, id="issuers"),
        pytest.param({"aud": "another service"}, id="another audience"),
        pytest.param({"aud": ["another", "service"]}, id="other audiences"),
        pytest.param({"type": "refresh"}, id="a refresh token"),
        pytest.param({"type": "reset"}, id="a reset token"),
        pytest.param({"type": "Access"}, id="another letter case"),
        pytest.param({"sub": str(uuid4())}, id="nobody"),
        pytest.param({"sid": str(uuid4())}, id="no login"),
        pytest.param({"exp": int(time.time()) + 86_400}, id="too long a life"),
        pytest.param({"nbf": int(time.time()) + 3600}, id="not yet"),
        pytest.param({"iat": int(time.time()) + 3600, "exp": int(time.time()) + 3700}, id="made in the future"),
    ],
)
def test_a_token_for_something_else_is_refused(client: FlaskClient, forge: Forge, claims: Claims) -> None:
    refused(client, forge(claims=claims))


def test_a_token_of_one_user_with_the_login_of_another_is_refused(
    client: FlaskClient, make: Factory, forge: Forge
) -> None:
    other = jwt.decode(make.headers()["Authorization"].split()[1], options={"verify_signature": False})

    refused(client, forge(claims={"sub": other["sub"]}))
    refused(client, forge(claims={"sid": other["sid"]}))


def test_a_token_whose_time_is_over_has_expired(client: FlaskClient, forge: Forge) -> None:
    now = int(time.time())

    response = client.get(ME, headers=bearer(forge(claims={"iat": now - 600, "exp": now - 31})))

    assert_problem(response, 401, "token_expired", None)


def test_clocks_may_differ_by_half_a_minute(client: FlaskClient, forge: Forge) -> None:
    now = int(time.time())

    assert client.get(ME, headers=bearer(forge(claims={"iat": now - 600, "exp": now - 20}))).status_code == 200


def test_a_token_that_is_remembered_expires_all_the_same(
    client: FlaskClient, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = int(time.time())
    headers = bearer(forge(claims={"iat": now - 600, "exp": now - 20}))

    assert [client.get(ME, headers=headers).status_code for _ in range(2)] == [200, 200]
    monkeypatch.setattr("api.auth.tokens.time", SimpleNamespace(time=lambda: time.time() + 11))
    assert_problem(client.get(ME, headers=headers), 401, "token_expired", None)


def test_no_more_tokens_are_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.auth.tokens.MOST_PROOFS", 2)
    proofs, proof = Proofs(), Proof(uuid4(), uuid4(), "kid", 0)
    for token in "abc":
        proofs.keep(token, proof)

    assert proofs.get("a") is None
    with pytest.raises(jwt.ExpiredSignatureError):
        proofs.get("b")


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("a.b.c", id="three letters"),
        pytest.param("..", id="two dots"),
        pytest.param("." * 5000, id="many dots"),
        pytest.param("a" * 100_000, id="long"),
        pytest.param("e30.e30.e30", id="empty objects"),
        pytest.param("W10.W10.W10", id="lists"),
        pytest.param("bnVsbA.bnVsbA.bnVsbA", id="nulls"),
        pytest.param("\xe9\xff.\xe9.\xe9", id="not ASCII"),
        pytest.param("eyJhbGciOiJSUzI1NiJ9." + "A" * 6000 + ".A", id="a large claim set"),
        pytest.param(base64.urlsafe_b64encode(b"[" * 6000).decode() + ".e30.A", id="a deep header"),
        pytest.param(base64.urlsafe_b64encode(b'{"alg":' + b"1" * 5000 + b"}").decode() + ".e30.A", id="a long number"),
        pytest.param("0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45.c2VjcmV0", id="a refresh token"),
    ],
)
def test_what_is_no_token_is_refused(client: FlaskClient, token: str) -> None:
    refused(client, token)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_token_with_one_character_changed_is_refused(client: FlaskClient, forge: Forge, part: int) -> None:
    parts = forge().split(".")
    parts[part] = parts[part][:10] + ("A" if parts[part][10] != "A" else "B") + parts[part][11:]

    refused(client, ".".join(parts))


@pytest.mark.parametrize(
    "value",
    [
        "Basic dXNlcjpwYXNzd29yZA==",
        "Bearer",
        "Bearer ",
        "Bearer \t ",
        "{token}",
        "Token {token}",
        "Bearer {token} {token}",
        "Bearer {token}, Bearer {token}",
        "Bearer {token},",
        "Basic dXNlcjpwYXNzd29yZA==, Bearer {token}",
        "Bearer token={token} x",
        "",
        " ",
    ],
)
def test_an_authorization_that_can_be_read_in_two_ways_is_refused(
    client: FlaskClient, forge: Forge, value: str
) -> None:
    response = client.get(ME, headers={"Authorization": value.format(token=forge())})

    assert_problem(response, 400, "authorization_malformed", None)


def test_two_authorization_headers_are_refused(client: FlaskClient, forge: Forge) -> None:
    response = client.get(ME, headers=[("Authorization", f"Bearer {forge()}"), ("Authorization", f"Bearer {forge()}")])

    assert_problem(response, 400, "authorization_malformed", None)


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
def test_the_word_bearer_may_be_written_in_any_letter_case(client: FlaskClient, forge: Forge, scheme: str) -> None:
    assert client.get(ME, headers={"Authorization": f"{scheme} {forge()}"}).status_code == 200


def test_a_token_anywhere_but_in_the_header_is_no_token(client: FlaskClient, forge: Forge) -> None:
    token = forge()
    client.set_cookie("access_token_cookie", token)
    client.set_cookie("access_token", token)

    for response in (
        client.get(ME, query_string={"access_token": token}),
        client.get(ME, query_string={"jwt": token}),
        client.post("/api/v1/orders", json={"access_token": token}),
        client.get(ME),
    ):
        assert_problem(response, 401, "authentication_required", None)


def test_all_refusals_of_a_token_look_alike(client: FlaskClient, forge: Forge) -> None:
    bodies = set()
    for token in (forge(claims={"sub": str(uuid4())}), forge(header={"kid": "x"}), forge(claims={"iss": "x"}), "a.b.c"):
        response = client.get(ME, headers=bearer(token) | {"X-Request-ID": "same"})
        bodies.add(response.data)

    assert len(bodies) == 1


def refused(client: FlaskClient, token: str) -> None:
    """Check that a token opens nothing."""
    assert_problem(client.get(ME, headers=bearer(token)), 401, "token_invalid", None)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class Forge:
    """Makes tokens with our own key that differ from a good one as a test wants."""

    def __init__(self, app: Flask, good: str) -> None:
        self.key = app.extensions["key_ring"].signing_key.private
        self.header = jwt.get_unverified_header(good)
        self.claims = jwt.decode(good, options={"verify_signature": False})

    def __call__(self, *, header: Claims | None = None, claims: Claims | None = None) -> str:
        head, body = self.header | (header or {}), self.claims | (claims or {})
        signed = self.assemble(head, body)
        signature = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).sign(signed.encode(), self.key)
        return f"{signed}.{_encoded(signature)}"

    @staticmethod
    def assemble(header: Claims, claims: Claims, signature: bytes | None = None) -> str:
        parts = [
            json.dumps({name: value for name, value in part.items() if value is not LEFT_OUT}).encode()
            for part in (header, claims)
        ]
        return ".".join(_encoded(part) for part in (*parts, *(() if signature is None else (signature,))))


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@pytest.fixture
def forge(app: Flask, make: Factory) -> Forge:
    """A forge whose good token belongs to a new user."""
    make.headers()  # somebody else is logged in, too
    return Forge(app, make.headers()["Authorization"].split()[1])


@pytest.fixture(scope="module")
def stranger() -> RSAPrivateKey:
    """A key that is not ours."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
