"""Keys as identity providers publish them (RFC 7517). Only those that can have signed an access token are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK, PyJWTError

if TYPE_CHECKING:
    from jwt.algorithms import AllowedPublicKeys

RSA_BITS = 2048
"""The least a modulus has (RFC 7518 section 3.3)."""


class UnusableAnswerError(Exception):
    """What a provider says about itself cannot be used; the message says why."""


class Kind(NamedTuple):
    """One type of key: the members that are public, the algorithms it signs with, its default first, and its curve."""

    members: tuple[str, ...]
    algorithms: tuple[str, ...]
    curve: str | None = None


KINDS = {
    "RSA": Kind(("kty", "n", "e"), ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
    "EC": Kind(("kty", "crv", "x", "y"), ("ES256",), "P-256"),
    "OKP": Kind(("kty", "crv", "x"), ("EdDSA",), "Ed25519"),
}
"""Symmetric keys are no such kind: who can check with one can also sign with it."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key and the one algorithm it is good for (RFC 8725 section 3.1)."""

    algorithm: str
    public: AllowedPublicKeys


def read(document: object) -> dict[str, Key]:
    """Parse a key set into usable keys by their names; passes over the others.

    Raises:
        UnusableAnswerError: it is no key set, or has no usable key.

    """
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        message = "no JSON Web Key Set"
        raise UnusableAnswerError(message)
    keys: dict[str, Key] = {}
    for entry in listed:
        kid = entry.get("kid") if isinstance(entry, dict) else None
        if isinstance(kid, str) and kid not in keys and (key := _key(entry)):
            keys[kid] = key
    if not keys:
        message = "no usable key in the key set"
        raise UnusableAnswerError(message)
    return keys


def _key(entry: dict[str, Any]) -> Key | None:
    kind = KINDS.get(str(entry.get("kty")))
    if kind is None or entry.get("crv") != kind.curve or not _is_for_signatures(entry):
        return None
    algorithm = entry.get("alg", kind.algorithms[0])
    if algorithm not in kind.algorithms:
        return None
    try:
        public = PyJWK({name: entry[name] for name in kind.members}, algorithm).key
    except (PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, KeyError, AttributeError, ArithmeticError):
        return None
    if isinstance(public, RSAPublicKey) and public.key_size < RSA_BITS:
        return None
    return Key(algorithm, public)


def _is_for_signatures(entry: dict[str, Any]) -> bool:
    operations = entry.get("key_ops", ["verify"])
    return entry.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
