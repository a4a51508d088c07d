"""The keys that sign access tokens: one PEM file each, named by its `kid`, which tells when it was made.

A new key is published first and signs a minute later, when every process and every reader of the JWKS can know it. The
one before goes on verifying until the last token it signed has run out. Processes notice new files by themselves.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import zip_longest
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from uuid import UUID

import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm

from api.core import ids

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger(__name__)

RSA_BITS = 3072
SHORTEST_RSA_BITS = 2048
SETTLING_SECONDS = 60
"""How long a new key is only published before it signs, unless it is the first."""

RELOAD_SECONDS = 5
"""How often a process looks whether the directory has changed."""

UUID_VERSION_WITH_TIME = 7

type Algorithm = Literal["RS256", "EdDSA"]
type PrivateKey = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
type PublicKey = rsa.RSAPublicKey | ed25519.Ed25519PublicKey


class NoSigningKeyError(Exception):
    """There is nothing to sign with."""


class Standing(NamedTuple):
    """A key and its place in the ring at a moment."""

    key: Key
    state: Literal["next", "signing", "verifying", "retired"]


@dataclass(frozen=True, slots=True)
class Key:
    """One key, parsed. It is good for one algorithm and no other."""

    kid: str
    algorithm: Algorithm
    private: PrivateKey
    public: PublicKey

    @property
    def made_at(self) -> float:
        """When it was made, in seconds since 1970, which a UUIDv7 begins with; other names count as old."""
        try:
            name = UUID(self.kid)
        except ValueError:
            return 0.0
        return (name.int >> 80) / 1000 if name.version == UUID_VERSION_WITH_TIME else 0.0

    def jwk(self) -> dict[str, Any]:
        """Write the public half as a JSON Web Key (RFC 7517)."""
        if isinstance(self.public, rsa.RSAPublicKey):
            facts = RSAAlgorithm.to_jwk(self.public, as_dict=True)
        else:
            facts = OKPAlgorithm.to_jwk(self.public, as_dict=True)
        facts.pop("key_ops", None)  # says the same as `use`
        return facts | {"kid": self.kid, "alg": self.algorithm, "use": "sig"}


class KeyRing:
    """The keys in a directory, parsed when it changes. `overlap_seconds` is how long a token can live."""

    def __init__(self, directory: Path, *, overlap_seconds: float) -> None:
        """Read nothing yet: the directory may be made later."""
        self._directory, self._overlap = directory, overlap_seconds
        self._keys: dict[str, Key] = {}
        self._read_at, self._seen = -RELOAD_SECONDS * 1.0, 0
        self._lock = Lock()

    def standings(self) -> list[Standing]:
        """Tell every key and its state, the oldest first."""
        keys, now = sorted(self._present().values(), key=lambda key: (key.made_at, key.kid)), time.time()
        settled = [key for key in keys if key.made_at + SETTLING_SECONDS <= now] or keys[:1]
        standings = []
        for key, successor in zip_longest(keys, keys[1:]):
            if key not in settled:
                state = "next"
            elif key is settled[-1]:
                state = "signing"
            elif successor and successor.made_at + SETTLING_SECONDS + self._overlap > now:
                state = "verifying"
            else:
                state = "retired"
            standings.append(Standing(key, state))  # type: ignore[arg-type]  # one of the four words
        return standings

    @property
    def signing_key(self) -> Key:
        """The key that signs: the newest that everybody can know by now.

        Raises:
            NoSigningKeyError: there is none at all.

        """
        for key, state in self.standings():
            if state == "signing":
                return key
        message = f"There is no signing key in {self._directory}; `flask keys create` makes one."
        raise NoSigningKeyError(message)

    def verifying_key(self, kid: object) -> Key:
        """Find the key a token says it was signed with.

        Raises:
            KeyError: nobody here signed with that, or not any more.

        """
        if kid not in self._keys:
            self._reload()
        for key, state in self.standings():
            if key.kid == kid and state != "retired":
                return key
        raise KeyError(kid)

    def jwks(self) -> dict[str, Any]:
        """Write the public halves of all keys that a good token may be signed with (RFC 7517 section 5)."""
        return {"keys": [key.jwk() for key, state in self.standings() if state != "retired"]}

    def _present(self) -> dict[str, Key]:
        if time.monotonic() - self._read_at >= RELOAD_SECONDS:
            self._reload()
        return self._keys

    def _reload(self) -> None:
        with self._lock:  # whoever comes while the keys are read waits for them
            try:
                changed_at = self._directory.stat().st_mtime_ns
                if changed_at != self._seen:
                    self._keys = self._found()
                    self._seen = changed_at
            except FileNotFoundError:
                return
            finally:
                self._read_at = time.monotonic()

    def _found(self) -> dict[str, Key]:
        try:
            return {path.stem: self._keys.get(path.stem) or _read(path) for path in _files(self._directory)}
        except NoSigningKeyError:
            if not self._keys:
                raise
            log.exception("signing_keys_unreadable")  # those that are known go on
            return self._keys


def create(directory: Path, algorithm: Algorithm = "RS256") -> str:
    """Make a new signing key, readable by its owner only; tells its name."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    key: PrivateKey = (
        rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
        if algorithm == "RS256"
        else ed25519.Ed25519PrivateKey.generate()
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    kid = str(ids.new())
    draft = directory / f"{kid}.new"
    draft.touch(mode=0o600)
    draft.write_bytes(pem)
    draft.replace(directory / f"{kid}.pem")
    return kid


def remove(directory: Path, kid: str) -> None:
    """Forget a key; what it signed is refused from now on."""
    (directory / f"{kid}.pem").unlink(missing_ok=True)


def ensure(directory: Path) -> None:
    """Make the first signing key where there is none."""
    if not _files(directory):
        create(directory)


def _files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.pem"))


def _read(path: Path) -> Key:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}."
        raise NoSigningKeyError(message) from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        message = f"{path} is not a PEM file with a private key and without a passphrase."
        raise NoSigningKeyError(message) from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= SHORTEST_RSA_BITS:
        return Key(path.stem, "RS256", key, key.public_key())
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return Key(path.stem, "EdDSA", key, key.public_key())
    message = f"{path} is neither an RSA key of at least {SHORTEST_RSA_BITS} bits nor an Ed25519 key."
    raise NoSigningKeyError(message)
