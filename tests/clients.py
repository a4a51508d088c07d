"""A client whose requests share a transaction and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask.testing import FlaskClient

if TYPE_CHECKING:
    from werkzeug.test import TestResponse


class SeparateRequests(FlaskClient):
    """Gives every request an application context of its own, as a server does.

    The `session` fixture keeps one open, and Flask would reuse it: `g`, and with it who asks, would pass from one
    request to the next, and a refused request would roll back what the test itself has made.
    """

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:  # as the client's own
        with self.application.app_context():
            return super().open(*args, **kwargs)
