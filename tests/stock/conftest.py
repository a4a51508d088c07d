"""Clients for the tests of stock."""

from __future__ import annotations

from tests.rest.clients import client

__all__ = ["client"]
