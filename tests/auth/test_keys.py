"""The keys that sign, how they follow one another, and `flask keys`."""

from __future__ import annotations

import json
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from api.auth import keys
from api.auth.keys import KeyRing, NoSigningKeyError
from tests.live import committed
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result
    from flask import Flask
    from flask.testing import FlaskClient

    from tests.factories import Factory

ME, JWKS = "/api/v1/users/me", "/.well-known/jwks.json"
MANY, ROUNDS = 8, 20
OVERLAP = 630
"""The life of an access token, and how far clocks may differ."""


def test_a_new_key_signs_after_a_minute_and_is_shown_before(tmp_path: Path) -> None:
    old, new = made(tmp_path, ago=3600), made(tmp_path, ago=0)
    ring = KeyRing(tmp_path, overlap_seconds=OVERLAP)

    assert ring.signing_key.kid == old
    assert {key["kid"] for key in ring.jwks()["keys"]} == {old, new}
    assert states(ring) == {old: "signing", new: "next"}


def test_the_first_key_signs_at_once(tmp_path: Path) -> None:
    kid = keys.create(tmp_path)

    assert KeyRing(tmp_path, overlap_seconds=OVERLAP).signing_key.kid == kid


@pytest.mark.parametrize(
    ("ago", "state"),
    [(61, "verifying"), (60 + OVERLAP - 5, "verifying"), (60 + OVERLAP + 5, "retired"), (86_400, "retired")],
)
def test_a_key_verifies_as_long_as_a_token_of_it_can_live(tmp_path: Path, ago: int, state: str) -> None:
    old, new = made(tmp_path, ago=200_000), made(tmp_path, ago=ago)
    ring = KeyRing(tmp_path, overlap_seconds=OVERLAP)

    assert states(ring) == {old: state, new: "signing"}
    assert (old in {key["kid"] for key in ring.jwks()["keys"]}) == (state == "verifying")
    if state == "retired":
        with pytest.raises(KeyError):
            ring.verifying_key(old)
    else:
        assert ring.verifying_key(old).kid == old


def test_keys_named_by_hand_count_as_old(tmp_path: Path) -> None:
    (tmp_path / f"{keys.create(tmp_path)}.pem").rename(tmp_path / "ours.pem")
    new = made(tmp_path, ago=61)

    assert states(KeyRing(tmp_path, overlap_seconds=OVERLAP)) == {"ours": "verifying", new: "signing"}


def test_a_running_process_notices_a_new_key_when_a_token_names_it(tmp_path: Path) -> None:
    first = made(tmp_path, ago=3600)
    ring = KeyRing(tmp_path, overlap_seconds=OVERLAP)
    assert ring.signing_key.kid == first

    second = made(tmp_path, ago=100)

    assert ring.verifying_key(second).kid == second
    assert ring.signing_key.kid == second


def test_who_comes_while_the_keys_are_read_for_the_first_time_waits_for_them(tmp_path: Path) -> None:
    kid = keys.create(tmp_path)

    for _ in range(ROUNDS):
        ring, start = KeyRing(tmp_path, overlap_seconds=OVERLAP), Barrier(MANY)

        def ask(ring: KeyRing = ring, start: Barrier = start) -> tuple[str, str]:
            start.wait()
            return ring.signing_key.kid, ring.verifying_key(kid).kid

        with ThreadPoolExecutor(MANY) as threads:
            answers = [threads.submit(ask) for _ in range(MANY)]
        assert {answer.result() for answer in answers} == {(kid, kid)}


def test_a_broken_file_disturbs_nobody_who_is_running(tmp_path: Path) -> None:
    kid = made(tmp_path, ago=3600)
    ring = KeyRing(tmp_path, overlap_seconds=OVERLAP)
    assert ring.signing_key.kid == kid

    (tmp_path / "x.pem").write_text("half a file")

    with pytest.raises(KeyError):
        ring.verifying_key("x")
    assert ring.signing_key.kid == kid


def test_without_a_key_callers_are_told_to_wait_and_operators_what_to_do(
    start: Callable[..., Flask], tmp_path: Path
) -> None:
    kid = keys.create(tmp_path)
    app = start(jwt_keys_dir=tmp_path)
    client, headers = app.test_client(), committed_headers(app)
    (tmp_path / f"{kid}.pem").rename(tmp_path / "kept")
    (tmp_path / f"{kid}.pem").mkdir()  # what nobody can read as a file
    app.extensions["key_ring"] = KeyRing(tmp_path, overlap_seconds=OVERLAP)

    assert_problem(client.get(ME, headers=headers), 503, "signing_key_missing", None)


@pytest.mark.parametrize("kid", ["nonsense", "", None, 7, "../keys"])
def test_a_key_nobody_made_verifies_nothing(tmp_path: Path, kid: object) -> None:
    keys.create(tmp_path)

    with pytest.raises(KeyError):
        KeyRing(tmp_path, overlap_seconds=OVERLAP).verifying_key(kid)


@pytest.mark.parametrize("name", ["", "not yet"])
def test_without_a_key_nothing_can_be_signed(tmp_path: Path, name: str) -> None:
    with pytest.raises(NoSigningKeyError, match="flask keys create"):
        _ = KeyRing(tmp_path / name, overlap_seconds=OVERLAP).signing_key


def test_a_key_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    kid = keys.create(tmp_path / "keys")

    assert stat.S_IMODE((tmp_path / "keys" / f"{kid}.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700


def test_a_first_key_is_made_once(tmp_path: Path) -> None:
    keys.ensure(tmp_path)
    keys.ensure(tmp_path)

    assert len(list(tmp_path.glob("*.pem"))) == 1


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(ec.generate_private_key(ec.SECP256R1()), id="another kind"),
        pytest.param(rsa.generate_private_key(public_exponent=65537, key_size=1024), id="too short"),  # noqa: S505  # that is the point
    ],
)
def test_a_key_of_another_kind_is_refused(tmp_path: Path, key: Any) -> None:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "x.pem").write_bytes(pem)

    with pytest.raises(NoSigningKeyError, match="neither an RSA key"):
        _ = KeyRing(tmp_path, overlap_seconds=OVERLAP).signing_key


@pytest.mark.parametrize(("algorithm", "kind"), [("RS256", "RSA"), ("EdDSA", "OKP")])
def test_others_can_verify_our_tokens_with_the_keys_we_show(
    start: Callable[..., Flask], tmp_path: Path, algorithm: keys.Algorithm, kind: str
) -> None:
    keys.create(tmp_path, algorithm)
    app = start(jwt_keys_dir=tmp_path)
    client = app.test_client()
    headers = committed_headers(app)

    shown = client.get(JWKS)

    (key,) = shown.get_json()["keys"]
    token = headers["Authorization"].split()[1]
    claims = jwt.decode(
        token,
        jwt.PyJWKSet.from_dict(shown.get_json())[key["kid"]],
        [algorithm],
        audience="stockroom",
        issuer="stockroom",
    )
    assert set(claims) == {"iss", "aud", "sub", "sid", "jti", "iat", "exp", "type"}
    assert (key["kty"], key["alg"], key["use"]) == (kind, algorithm, "sig")
    assert not key.keys() & {"d", "p", "q", "dp", "dq", "qi", "k"}
    assert shown.headers["Cache-Control"] == "public, max-age=300"
    assert client.get(ME, headers=headers).status_code == 200


def test_a_key_is_good_for_its_own_algorithm_only(start: Callable[..., Flask], tmp_path: Path) -> None:
    kid = keys.create(tmp_path, "EdDSA")
    app = start(jwt_keys_dir=tmp_path)
    good = committed_headers(app)["Authorization"].split()[1]
    claims = jwt.decode(good, options={"verify_signature": False})
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    forged = jwt.encode(claims, other, "RS256", headers={"kid": kid, "typ": "at+jwt"})

    answer = app.test_client().get(ME, headers={"Authorization": f"Bearer {forged}"})
    assert_problem(answer, 401, "token_invalid", None)


def test_tokens_of_a_key_that_was_rotated_out_are_good_for_the_overlap_and_then_refused(
    start: Callable[..., Flask], tmp_path: Path
) -> None:
    old = made(tmp_path, ago=200_000)
    app = start(jwt_keys_dir=tmp_path)
    client, headers = app.test_client(), committed_headers(app)
    new = made(tmp_path, ago=100)

    app.extensions["key_ring"] = KeyRing(tmp_path, overlap_seconds=OVERLAP)  # as if five seconds had passed
    during = client.get(ME, headers=headers).status_code
    signed_now = jwt.get_unverified_header(committed_headers(app)["Authorization"].split()[1])["kid"]
    (tmp_path / f"{new}.pem").rename(tmp_path / f"{name_of(ago=60 + OVERLAP + 5)}.pem")
    app.extensions["key_ring"] = KeyRing(tmp_path, overlap_seconds=OVERLAP)

    assert (during, signed_now) == (200, new)
    assert (tmp_path / f"{old}.pem").exists()
    assert_problem(client.get(ME, headers=headers), 401, "token_invalid", None)


def test_flask_keys_create_makes_a_key(tmp_path: Path, start: Callable[..., Flask]) -> None:
    result = run(start(jwt_keys_dir=tmp_path), "create", "--algorithm", "EdDSA", "--json")

    (path,) = tmp_path.glob("*.pem")
    assert json.loads(result.output) == [{"kid": path.stem, "directory": str(tmp_path), "signs": "now"}]
    assert isinstance(serialization.load_pem_private_key(path.read_bytes(), None), ed25519.Ed25519PrivateKey)


def test_flask_keys_rotate_keeps_what_verifies_and_removes_what_does_not(
    tmp_path: Path, start: Callable[..., Flask]
) -> None:
    retired, verifying, signing = (made(tmp_path, ago=ago) for ago in (200_000, 100_000, 300))

    result = run(start(jwt_keys_dir=tmp_path), "rotate", "--json")

    (row,) = json.loads(result.output)
    assert {path.stem for path in tmp_path.glob("*.pem")} == {verifying, signing, row["kid"]}
    listed = json.loads(run(start(jwt_keys_dir=tmp_path), "list", "--json").output)
    assert {each["kid"]: each["state"] for each in listed} == {
        verifying: "verifying",
        signing: "signing",
        row["kid"]: "next",
    }
    assert retired not in result.output


def test_a_key_that_somebody_else_may_have_is_replaced_at_once(tmp_path: Path, start: Callable[..., Flask]) -> None:
    made(tmp_path, ago=200_000)
    app = start(jwt_keys_dir=tmp_path)
    client, headers = app.test_client(), committed_headers(app)
    before = client.get(ME, headers=headers).status_code

    run(start(jwt_keys_dir=tmp_path), "rotate", "--at-once")

    app.extensions["key_ring"] = KeyRing(tmp_path, overlap_seconds=OVERLAP)  # as if five seconds had passed
    assert before == 200
    assert len(list(tmp_path.glob("*.pem"))) == 1
    assert_problem(client.get(ME, headers=headers), 401, "token_invalid", None)
    assert client.get(ME, headers=committed_headers(app)).status_code == 200


def test_strangers_see_public_keys_only(client: FlaskClient, make: Factory) -> None:
    make.user()

    (key,) = client.get(JWKS).get_json()["keys"]

    assert set(key) == {"kty", "n", "e", "kid", "alg", "use"}


def run(app: Flask, *words: str) -> Result:
    result = app.test_cli_runner().invoke(args=["keys", *words])
    assert result.exit_code == 0, result.output
    return result


def committed_headers(app: Flask) -> dict[str, str]:
    """Log somebody new in."""
    with committed(app) as make:
        return make.headers()


def made(directory: Path, *, ago: float) -> str:
    """Make a key that is so many seconds old."""
    kid = name_of(ago=ago)
    (directory / f"{keys.create(directory)}.pem").rename(directory / f"{kid}.pem")
    return kid


def name_of(*, ago: float) -> str:
    """Name a key as if it had been made then."""
    moment = int((time.time() - ago) * 1000)
    return str(UUID(int=(moment << 80) | (0x7 << 76) | (0b10 << 62) | 1))


def states(ring: KeyRing) -> dict[str, str]:
    return {key.kid: state for key, state in ring.standings()}
