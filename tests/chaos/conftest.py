"""Shops that many act on at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.shop import Shop

if TYPE_CHECKING:
    from flask import Flask


@pytest.fixture
def shop(live_app: Flask) -> Shop:
    """A shop on a database of this test's own."""
    return Shop(live_app)
