"""The keys that sign, and `flask keys`."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from api.auth import keys
from api.auth.keys import KeyRing, NoSigningKeyError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask import Flask

    from tests.factories import Factory


def test_the_newest_key_signs_and_all_verify(tmp_path: Path) -> None:
    old, new = keys.create(tmp_path), keys.create(tmp_path)

    ring = KeyRing(tmp_path)

    assert ring.signing_kid == new
    assert ring.public_key(new) == ring.signing_key.public_key()
    assert ring.public_key(old) != ring.public_key(new)


def test_a_key_nobody_made_verifies_nothing(tmp_path: Path) -> None:
    keys.create(tmp_path)

    with pytest.raises(KeyError):
        KeyRing(tmp_path).public_key("nonsense")


def test_without_a_key_nothing_can_be_signed(tmp_path: Path) -> None:
    with pytest.raises(NoSigningKeyError, match="flask keys create"):
        _ = KeyRing(tmp_path).signing_key


def test_a_key_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    kid = keys.create(tmp_path / "keys")

    assert stat.S_IMODE((tmp_path / "keys" / f"{kid}.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700


def test_a_first_key_is_made_once(tmp_path: Path) -> None:
    keys.ensure(tmp_path)
    keys.ensure(tmp_path)

    assert len(list(tmp_path.glob("*.pem"))) == 1


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    pem = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "x.pem").write_bytes(pem)

    with pytest.raises(NoSigningKeyError, match="not an RSA private key"):
        _ = KeyRing(tmp_path).signing_key


def test_flask_keys_create_makes_a_key(tmp_path: Path, start: Callable[..., Flask]) -> None:
    app = start(jwt_keys_dir=tmp_path)

    result = app.test_cli_runner().invoke(args=["keys", "create"])

    (path,) = tmp_path.glob("*.pem")
    assert result.exit_code == 0
    assert path.stem in result.output


def test_tokens_of_an_older_key_are_good_until_the_key_is_gone(
    app: Flask, make: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = keys.create(tmp_path)
    monkeypatch.setitem(app.extensions, "key_ring", KeyRing(tmp_path))
    headers = make.headers()
    client = app.test_client()

    keys.create(tmp_path)
    monkeypatch.setitem(app.extensions, "key_ring", KeyRing(tmp_path))
    during = client.get("/api/v1/items", headers=headers).status_code
    signed_now = jwt.get_unverified_header(make.headers()["Authorization"].split()[1])["kid"]
    (tmp_path / f"{old}.pem").unlink()
    monkeypatch.setitem(app.extensions, "key_ring", KeyRing(tmp_path))

    assert during == 200
    assert signed_now != old
    with app.app_context():
        assert client.get("/api/v1/items", headers=headers).status_code == 401
