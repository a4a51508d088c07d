"""Password hashing: argon2id with OWASP's parameters, and no more at once than the machine can take."""

from __future__ import annotations

from threading import BoundedSemaphore

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

CONCURRENT_HASHES = 2
"""Each takes 19 MiB and a core for a few hundredths of a second."""

_hasher = PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19_456, parallelism=1),))
_turn = BoundedSemaphore(CONCURRENT_HASHES)
_NOBODY = _hasher.hash("the password of nobody")


def digest(password: str) -> str:
    """Hash a password for keeping."""
    with _turn:
        return _hasher.hash(password)


def matches(password: str, kept: str | None) -> bool:
    """Compare a password with a kept hash; with none, take the same time and say no."""
    with _turn:
        return _hasher.verify(password, kept or _NOBODY) and kept is not None
