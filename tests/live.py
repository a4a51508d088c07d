"""Asking an application on a database of its own, from many threads at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import TYPE_CHECKING, Any

from api.extensions import db
from tests.factories import Factory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask
    from werkzeug.test import TestResponse


@contextmanager
def committed(app: Flask) -> Iterator[Factory]:
    """Give a factory whose work is committed at the end."""
    with app.app_context():
        yield Factory(db.session())
        db.session.commit()


def at_once(app: Flask, *requests: dict[str, Any]) -> list[TestResponse]:
    """Send each request from a thread of its own, all at the same moment."""
    start = Barrier(len(requests))

    def send(request: dict[str, Any]) -> TestResponse:
        start.wait()
        return app.test_client().open(**request)

    with ThreadPoolExecutor(len(requests)) as threads:
        return list(threads.map(send, requests))
