"""The clients of `tests.rest`."""

from tests.rest.clients import client
from tests.rest.live import start

__all__ = ["client", "start"]
