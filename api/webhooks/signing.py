"""Signatures by which a receiver knows who sent a message, and that nobody changed it (Standard Webhooks 1.0)."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX = "whsec_"
VERSION = "v1"


def as_secret(key: bytes) -> str:
    """Write a key of 24 to 64 bytes in the form that receivers' libraries read."""
    return PREFIX + b64encode(key).decode()


def headers(secrets: Sequence[str], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Make the headers of a message: its id, the time of the attempt in seconds, and one signature for each secret."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_sign(secret, message_id, timestamp, body) for secret in secrets),
    }


def _sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    digest = hmac.digest(b64decode(secret.removeprefix(PREFIX)), signed, hashlib.sha256)
    return f"{VERSION},{b64encode(digest).decode()}"
