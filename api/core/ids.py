"""Identifiers: UUID version 7 (RFC 9562), so that keys made later sort later and indexes stay compact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uuid_utils.compat import uuid7

if TYPE_CHECKING:
    from uuid import UUID


def new() -> UUID:
    """Make an identifier nobody has used."""
    return uuid7()
