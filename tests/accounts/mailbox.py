"""What a worker would send, read by those it is sent to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from api.extensions import db
from api.jobs import app as jobs
from api.mail import letters

if TYPE_CHECKING:
    from flask import Flask

_TOKEN = re.compile(r"[0-9a-f-]{36}\.[\w-]{43}")
_TAKE = text("DELETE FROM procrastinate_jobs WHERE status = 'todo' RETURNING id, task_name, args")


@dataclass(frozen=True)
class Letter:
    """A mail as it arrives."""

    template: str
    to: str
    text: str

    @property
    def token(self) -> str:
        (token,) = _TOKEN.findall(self.text)
        return str(token)


class Mailbox:
    """Everybody's mail, in the order in which it was sent. `jobs.tasks` must know the application."""

    def __init__(self, app: Flask) -> None:
        self.app = app

    def read(self) -> list[Letter]:
        """Do what a worker would do by now, and tell which mails are new."""
        found: list[Letter] = []
        while taken := self._take():
            for name, args in taken:
                if name == "send_mail":
                    found.append(self._open(args))
                else:
                    self._task(name)(**args)
        return found

    def only(self) -> Letter:
        """Read the one mail that is new."""
        (letter,) = self.read()
        return letter

    def _take(self) -> list[tuple[str, dict[str, Any]]]:
        with self.app.app_context():
            rows = sorted(db.session.execute(_TAKE).all())
            db.session.commit()
        return [(row.task_name.rpartition(":")[2], row.args) for row in rows]

    def _task(self, name: str) -> Any:
        return next(task for known, task in jobs.tasks.tasks.items() if known.rpartition(":")[2] == name)

    def _open(self, args: dict[str, Any]) -> Letter:
        message = letters.write(
            args["template"],
            to=args["to"],
            sender="Stockroom <stockroom@localhost>",
            facts=args["facts"],
            vault=self.app.extensions["vault"],
            site_url=None,
        )
        body = message.get_body(("plain",))
        assert body is not None
        return Letter(args["template"], args["to"], body.get_content())
