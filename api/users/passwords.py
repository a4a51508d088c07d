"""Passwords: argon2id with OWASP's parameters, no more at once than the machine can take, and none that is guessed."""

from __future__ import annotations

from threading import BoundedSemaphore
from typing import TYPE_CHECKING

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from api.users.errors import PasswordTooWeak

if TYPE_CHECKING:
    from collections.abc import Iterable

CONCURRENT_HASHES = 2
"""Each takes 19 MiB and a core for a few hundredths of a second."""

MINIMUM_LENGTH = 8
"""ASVS 5.0, 6.2.1. There is no rule about kinds of characters (6.2.5)."""

MINIMUM_SCORE = 2
"""Of zxcvbn's 0 to 4: below it, some 10^6 guesses, led by lists of common passwords, names and words, are enough."""

LOOKED_AT = 24
"""How much of a long password is judged; all of it is hashed. Judging 72 well-chosen characters takes seconds."""

PASSES, KIBIBYTES = 2, 19_456
_hasher = PasswordHash((Argon2Hasher(time_cost=PASSES, memory_cost=KIBIBYTES, parallelism=1),))
_turn = BoundedSemaphore(CONCURRENT_HASHES)
_NOBODY = f"$argon2id$v=19$m={KIBIBYTES},t={PASSES},p=1$bm9ib2R5J3Mgc2FsdCEhIQ${'A' * 43}"
"""A hash of nothing, which takes as long to compare with as anybody's."""


def digest(password: str) -> str:
    """Hash a password for keeping."""
    with _turn:
        return _hasher.hash(password)


def verify(password: str, kept: str | None) -> tuple[bool, str | None]:
    """Compare a password with a kept hash; with none, take the same time and say no.

    Returns:
        Whether it is the one, and a new hash to keep when the old was made with other parameters than today's.

    """
    with _turn:
        is_right, renewed = _hasher.verify_and_update(password, kept or _NOBODY)
    return (is_right, renewed) if kept is not None else (False, None)


def check(password: str, *, known: Iterable[str | None] = ()) -> None:
    """Refuse a password that is short, common, or made from what is `known` about its owner (ASVS 5.0, 6.2.4).

    Raises:
        PasswordTooWeak: with the reason.

    """
    from zxcvbn import zxcvbn  # noqa: PLC0415  # 12 MB of word lists, which few processes need

    if len(password) < MINIMUM_LENGTH:
        raise PasswordTooWeak(reason=f"it has fewer than {MINIMUM_LENGTH} characters")
    words = [word for text in known if text for word in (text, *text.replace("@", " ").replace(".", " ").split())]
    with _turn:
        score = zxcvbn(password[:LOOKED_AT], user_inputs=words)["score"]
    if score < MINIMUM_SCORE:
        raise PasswordTooWeak(reason="it is common or easy to guess")
