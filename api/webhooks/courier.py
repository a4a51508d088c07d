"""Taking messages to their endpoints: a loop that runs beside the task queue in every `flask worker`.

Each turn is a few short transactions: write down what came of attempts, make deliveries of new events, take what is
due. Sending needs no transaction and no thread, so a hundred endpoints that hang delay nothing. A worker that dies
between sending and writing it down leaves a delivery that is taken again when its lease is over: at least once.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from api.extensions import db
from api.jobs import service as jobs
from api.webhooks import sender, service, signing
from api.webhooks.schedule import Result

if TYPE_CHECKING:
    from flask import Flask

    from api.webhooks.service import Means, Message

log = structlog.get_logger(__name__)

MOST_IN_FLIGHT = 256
LOOKS_EVERY_SECONDS = 0.2
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
LAST_TRIES = 5
"""How often a worker that is to stop tries to write down what it has sent, a second apart."""


class Courier:
    """One loop of one worker."""

    def __init__(self, app: Flask) -> None:
        """Work for an application."""
        self._app = app
        self._means = means_of(app)
        self._busy: set[asyncio.Task[None]] = set()
        self._results: list[Result] = []
        self._news = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until told to stop; then let what is being sent come to its end, and write that down."""
        pause, last_tries = FIRST_PAUSE_SECONDS, LAST_TRIES
        while not stop.is_set() or self._busy or self._results:
            results, self._results = self._results, []
            room = 0 if stop.is_set() else MOST_IN_FLIGHT - len(self._busy)
            self._news.clear()
            try:
                messages, has_more = await asyncio.to_thread(self.turn, results, room)
            except Exception as error:  # noqa: BLE001  # whatever it is, the loop must go on
                self._results = results + self._results
                log.warning("webhook_turn_failed", reason=jobs.reason_of(error), again_in=pause)
                if not stop.is_set():
                    await _first_of(stop.wait(), seconds=pause)
                    pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                    continue
                last_tries -= 1
                if last_tries <= 0 and not self._busy:  # what has been sent is sent again when its lease is over
                    log.warning("webhook_results_lost", results=len(self._results))
                    return
                await asyncio.sleep(FIRST_PAUSE_SECONDS)
                continue
            pause = FIRST_PAUSE_SECONDS
            for message in messages:
                self._send_off(message)
            if not messages and not has_more:
                await _first_of(self._news.wait(), seconds=LOOKS_EVERY_SECONDS)

    def turn(self, results: list[Result], room: int) -> tuple[list[Message], bool]:
        """Do what needs the database; tells what is to be sent, and whether more may be waiting.

        Results that have been written down are taken out of the list, whatever happens afterwards.
        """
        has_more = False
        with self._app.app_context():
            if results:
                with db.session.begin():
                    service.settle(db.session(), results)
                results.clear()
            if room:
                has_more = service.fan_out(db.session())
                db.session.commit()
                with db.session.begin():
                    return service.claim(db.session(), room=room, means=self._means), has_more
        return [], has_more

    def _send_off(self, message: Message) -> None:
        task = asyncio.create_task(self.deliver(message))
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    async def deliver(self, message: Message) -> None:
        """Send one message, and keep what came of it for the next turn."""
        started_at = datetime.now(UTC)
        signed = signing.headers(message.secrets, str(message.event_id), int(time.time()), message.body)
        outcome = await sender.send(
            message.url, headers=message.headers | signed, body=message.body, allowed=self._means.allowed
        )
        self._results.append(
            Result(
                delivery_id=message.delivery_id,
                endpoint_id=message.endpoint_id,
                number=message.number,
                started_at=started_at,
                duration_ms=outcome.duration_ms,
                status=outcome.status,
                error=outcome.error,
                detail=outcome.detail,
                excerpt=outcome.excerpt,
                retry_after=outcome.retry_after,
                is_success=outcome.is_success,
            )
        )
        self._news.set()


def means_of(app: Flask) -> Means:
    """Tell what the installation provides for webhooks."""
    return service.Means(app.extensions["vault"], app.extensions["stockroom"].webhook_allowed_networks)


async def _first_of(waiting: object, *, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(waiting, seconds)  # type: ignore[arg-type]  # a coroutine
