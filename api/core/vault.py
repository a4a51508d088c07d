"""What only this installation can make: tokens that need not be stored, and secrets that are stored encrypted.

A token is an HMAC of what it stands for. A row in the database says whether it is still good; reading the database
gives nobody a token, and so it needs no hash beside it.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from functools import cached_property

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32


class UnsealableError(Exception):
    """What was stored was encrypted under another SECRET_KEY."""


@dataclass(frozen=True)
class Vault:
    """Keys for different ends, all derived from one secret (HKDF, RFC 5869)."""

    secret: str = field(repr=False)

    def token(self, purpose: str, *parts: object) -> str:
        """Make the token that stands for `parts`: 43 URL-safe characters, always the same for the same parts."""
        message = "\0".join(str(part) for part in parts).encode()
        return urlsafe_b64encode(hmac.digest(self._key(f"token:{purpose}"), message, "sha256")).decode().rstrip("=")

    def derive(self, purpose: str, *parts: object) -> bytes:
        """Make 32 bytes that stand for `parts`: a key that is not kept, for it can be made again."""
        message = "\0".join(str(part) for part in parts).encode()
        return hmac.digest(self._key(f"derived:{purpose}"), message, "sha256")

    def is_token(self, candidate: str, purpose: str, *parts: object) -> bool:
        """Tell, in constant time, whether a candidate is the token that stands for `parts`."""
        return hmac.compare_digest(candidate.encode(), self.token(purpose, *parts).encode())

    def encrypt(self, plain: bytes) -> bytes:
        """Encrypt a secret for keeping."""
        return self._fernet.encrypt(plain)

    def decrypt(self, kept: bytes) -> bytes:
        """Read a kept secret.

        Raises:
            UnsealableError: it was encrypted under another SECRET_KEY.

        """
        try:
            return self._fernet.decrypt(kept)
        except InvalidToken:
            raise UnsealableError from None

    @cached_property
    def _fernet(self) -> Fernet:
        return Fernet(urlsafe_b64encode(self._key("encryption")))

    def _key(self, end: str) -> bytes:
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=f"stockroom:{end}".encode()).derive(self.secret.encode())
