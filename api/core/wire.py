"""What PostgreSQL hears of hot statements: libpq's own calls, several statements in one round trip.

psycopg's cursor spends more of the processor on a statement than libpq and PostgreSQL together, and waits for each
answer before it sends the next. A wire belongs to a connection of psycopg's, prepares each statement once, and sends
what may go together in one go ("pipeline mode", chapter 32.5 of PostgreSQL's documentation). Values are written and
read by psycopg's adapters, and errors are psycopg's.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
from psycopg import generators, waiting
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus, TransactionStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg.abc import PQGen
    from psycopg.abc import Transformer as TransformerOfPsycopg
    from psycopg.pq.abc import PGresult

    type Rows = list[tuple[Any, ...]]
    type Then = Callable[[Rows], object]

_GOOD = frozenset({ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK})
_OUTDATED = frozenset({"0A000", "26000"})
"""SQLSTATEs of a statement whose result has become another since it was prepared, and of one that is gone."""

MOST_PREPARED = 100
"""A connection keeps no more statements prepared; PostgreSQL keeps a plan of each, some 50 kB."""

WAKES_UP_AFTER_SECONDS = 0.1
"""How often somebody who waits for PostgreSQL looks whether the process has been told to end."""


class Statement:
    """A text with numbered parameters ($1, $2, …); one object for each text."""

    __slots__ = ("formats", "text")

    def __init__(self, text: str, parameters: int = 0) -> None:
        """Take the text as PostgreSQL reads it, and how many parameters it has."""
        self.text = text
        self.formats = [PyFormat.TEXT] * parameters


class Task(NamedTuple):
    """A statement to be sent, and what looks at its rows."""

    statement: Statement
    values: Sequence[Any] = ()
    then: Then | None = None


BEGIN, COMMIT = Task(Statement("BEGIN")), Task(Statement("COMMIT"))


class Answer:
    """What came back for one task."""

    __slots__ = ("_reader", "_result")

    def __init__(self, reader: TransformerOfPsycopg, result: PGresult) -> None:
        """Read with what has already read answers of the same statement."""
        self._reader, self._result = reader, result

    @property
    def count(self) -> int:
        """How many rows were found or changed."""
        return self._result.command_tuples or 0

    def rows(self, make: Callable[[Sequence[Any]], Any] = tuple) -> list[Any]:
        """Read all rows, each made into something."""
        reader, result = self._reader, self._result
        reader.set_pgresult(result, set_loaders=reader.pgresult is None)
        return reader.load_rows(0, result.ntuples, make)


class Wire:
    """One connection's statements. It is used by one thread at a time, as the connection is."""

    @classmethod
    def of(cls, connection: psycopg.Connection[Any]) -> Wire:
        """Find the wire of a connection, which keeps it as long as it lives; the first who asks makes it."""
        try:
            return connection.wire  # type: ignore[attr-defined, no-any-return]  # set two lines below
        except AttributeError:
            connection.wire = made = cls(connection)  # type: ignore[attr-defined]  # connections take attributes
            return made

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        """Know no statements yet."""
        self.connection = connection
        self._libpq = connection.pgconn
        self._writer = Transformer(connection)
        self._known: OrderedDict[Statement, tuple[bytes, TransformerOfPsycopg]] = OrderedDict()
        self._numbers = count(1)
        self._is_broken = False
        self.waiting: list[Task] = []
        """What is sent before anything else, or with it."""

    @property
    def is_lost(self) -> bool:
        """Tell whether there is nobody at the other end any more, or nobody knows what comes from there."""
        return self._is_broken or self.connection.closed

    @property
    def begins(self) -> bool:
        """Tell whether a transaction has to be begun before the next statement."""
        return not self.connection.autocommit and self._libpq.transaction_status == TransactionStatus.IDLE

    @property
    def is_idle(self) -> bool:
        """Tell whether no transaction is under way."""
        return self._libpq.transaction_status == TransactionStatus.IDLE

    def send(self, tasks: Sequence[Task]) -> Answer:
        """Send statements, wait for all answers, and have each looked at in its turn; tells the answer to the last.

        Raises:
            psycopg.Error: the first that failed; none after it has been carried out.

        """
        known = [self._prepared(task.statement) for task in tasks]
        written = [self._written(task) for task in tasks]
        if len(tasks) == 1:
            results = [self._libpq.exec_prepared(known[0][0], written[0])]
        else:
            results = self._exchanged([(name, values) for (name, _), values in zip(known, written, strict=True)])
        answers = []
        for task, (_, reader), result in zip(tasks, known, results, strict=True):
            self._check(result)
            answers.append(Answer(reader, result))
            if task.then is not None:
                task.then(answers[-1].rows())
        return answers[-1]

    def rollback(self) -> None:
        """Undo what has been sent, if anything has, and what waits. psycopg's own would forget prepared statements."""
        self.waiting.clear()
        if not (self.is_lost or self.is_idle):
            self._libpq.exec_(b"ROLLBACK")  # if it fails, psycopg finds a transaction still under way, and tells

    def forget(self) -> None:
        """Prepare statements anew: PostgreSQL has been told to forget all that were prepared on this connection."""
        self._known.clear()

    def _prepared(self, statement: Statement) -> tuple[bytes, TransformerOfPsycopg]:
        known = self._known.get(statement)
        if known is None:
            name = b"stockroom_%d" % next(self._numbers)
            self._check(self._libpq.prepare(name, statement.text.encode()))
            known = self._known[statement] = name, Transformer(self.connection)
            if len(self._known) > MOST_PREPARED:
                _, (oldest, _) = self._known.popitem(last=False)
                self._libpq.exec_(b"DEALLOCATE " + oldest)
        else:
            self._known.move_to_end(statement)
        return known

    def _written(self, task: Task) -> Sequence[Any] | None:
        return self._writer.dump_sequence(task.values, task.statement.formats) if task.values else None

    def _exchanged(self, sent: Sequence[tuple[bytes, Sequence[Any] | None]]) -> list[PGresult]:
        """Send statements in pipeline mode; whatever goes wrong with that itself, the connection is of no use after."""
        libpq = self._libpq
        try:
            libpq.enter_pipeline_mode()
            for name, values in sent:
                libpq.send_query_prepared(name, values)
            libpq.pipeline_sync()
            self._wait(generators.send(libpq))
            results = [self._wait(generators.fetch_many(libpq))[-1] for _ in sent]
            self._wait(generators.fetch_many(libpq))
            libpq.exit_pipeline_mode()  # fails unless the server has come to the end, too
        except BaseException:
            self._is_broken = True
            raise
        return results

    def _wait[Result](self, generator: PQGen[Result]) -> Result:
        return waiting.wait(generator, self._libpq.socket, interval=WAKES_UP_AFTER_SECONDS)

    def _check(self, result: PGresult) -> None:
        if result.status not in _GOOD:
            error = psycopg.errors.error_from_result(result, encoding="utf-8")
            if error.sqlstate is None:  # libpq's own: nobody answered
                raise psycopg.OperationalError(str(error)) from None
            if error.sqlstate in _OUTDATED:
                self.forget()
            raise error
