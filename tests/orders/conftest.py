"""Clients for the tests of orders."""

from __future__ import annotations

from tests.rest.clients import client

__all__ = ["client"]
