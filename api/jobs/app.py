"""The task queue: rows in PostgreSQL, so that a task can be enqueued in the transaction of its cause."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

import procrastinate
from sqlalchemy.engine import make_url

from api.extensions import db
from api.jobs.service import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from sqlalchemy.orm import Session

tasks = procrastinate.Blueprint()
"""Where tasks are declared; a worker's queue application takes them all."""

type Work = Callable[[Session], object]
type Task = Callable[..., Any]


def periodic(cron: str) -> Callable[[Work], Task]:
    """Declare work that one of the workers does whenever `cron` (UTC) says, in a transaction of its own."""

    def decorator(work: Work) -> Task:
        @wraps(work)
        def run(timestamp: int) -> None:  # noqa: ARG001  # procrastinate passes the due time by this name
            with tasks.flask_app.app_context(), db.session.begin():  # type: ignore[attr-defined]  # set by queue_app
                work(db.session())

        return tasks.periodic(cron=cron)(tasks.task(name=work.__name__, queueing_lock=work.__name__)(run))

    return decorator


def background(*, retries: int, wait: int = 5) -> Callable[[Task], Task]:
    """Declare work that `jobs.service.defer` enqueues under the function's name.

    It gets a session, whose transaction ends well when it does, and what it was deferred with. When it fails it is done
    again, up to `retries` times: after `wait` seconds, then `wait` squared, `wait` cubed, and so on.
    """

    def decorator(work: Task) -> Task:
        @wraps(work)
        def run(**args: Any) -> None:  # noqa: ANN401  # whatever it was deferred with
            with tasks.flask_app.app_context(), db.session.begin():  # type: ignore[attr-defined]  # set by queue_app
                work(db.session(), **args)

        retry = procrastinate.RetryStrategy(max_attempts=retries, exponential_wait=wait)
        return tasks.task(name=work.__name__, retry=retry)(run)

    return decorator


def queue_app(app: Flask) -> procrastinate.App:
    """Build the queue application of a worker process, with every declared task."""
    url = make_url(app.extensions["stockroom"].sqlalchemy_url).set(drivername="postgresql")
    connector = procrastinate.PsycopgConnector(conninfo=url.render_as_string(hide_password=False))
    queue = procrastinate.App(connector=connector)
    tasks.flask_app = app  # type: ignore[attr-defined]  # tasks run outside any request and need their application
    queue.add_tasks_from(tasks, namespace=NAMESPACE)
    return queue
