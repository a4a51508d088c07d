"""The keys that sign access tokens: one PEM file each, the newest signs, all verify."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from api.core import ids

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

RSA_BITS = 3072


class NoSigningKeyError(Exception):
    """There is nothing to sign with."""


@dataclass(frozen=True)
class KeyRing:
    """The keys in a directory, parsed once per process. A key's `kid` is its file's name, which sorts by age."""

    directory: Path

    @cached_property
    def _keys(self) -> dict[str, RSAPrivateKey]:
        keys = {path.stem: _read(path) for path in sorted(self.directory.glob("*.pem"))}
        if not keys:
            message = f"There is no signing key in {self.directory}; `flask keys create` makes one."
            raise NoSigningKeyError(message)
        return keys

    @cached_property
    def _public(self) -> dict[str, RSAPublicKey]:
        return {kid: key.public_key() for kid, key in self._keys.items()}

    @property
    def signing_kid(self) -> str:
        """The name of the key that signs: the newest."""
        return next(reversed(self._keys))

    @property
    def signing_key(self) -> RSAPrivateKey:
        """The key that signs."""
        return self._keys[self.signing_kid]

    def public_key(self, kid: object) -> RSAPublicKey:
        """Find the key a token says it was signed with.

        Raises:
            KeyError: nobody here signed with that.

        """
        return self._public[str(kid)]


def _read(path: Path) -> RSAPrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        message = f"{path} is not an RSA private key."
        raise NoSigningKeyError(message)
    return key


def create(directory: Path) -> str:
    """Make a new signing key, readable by its owner only; tells its name."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    kid = str(ids.new())
    draft = directory / f"{kid}.new"
    draft.touch(mode=0o600)
    draft.write_bytes(pem)
    draft.replace(directory / f"{kid}.pem")
    return kid


def ensure(directory: Path) -> None:
    """Make the first signing key where there is none."""
    if not any(directory.glob("*.pem")):
        create(directory)
