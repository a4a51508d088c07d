"""Headers that prove who asks, made without the time a password takes."""

from __future__ import annotations

from tests.rest.conftest import admin, log_in

__all__ = ["admin", "log_in"]
