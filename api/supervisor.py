"""Process supervision for `flask up`: start, watch, restart with a bounded backoff, stop in order."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import FrameType

FIRST_DELAY_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 10.0
STEADY_AFTER_SECONDS = 30.0
"""A service that ran this long starts again at once; only one that keeps dying waits longer each time."""

ECHO_SECONDS = 0.5
"""A wrapper may pass on the Ctrl-C that the terminal has already delivered; within this time it is the same one."""

EXIT_CODE_WHEN_FORCED = 130
UNWANTED_HERE = "PYTHONDONTWRITEBYTECODE"
"""Dropped from what children inherit: what they compile at the first start makes every later one seconds faster."""

PR_SET_PDEATHSIG = 1


class StopRequestedError(Exception):
    """Somebody pressed Ctrl-C or sent SIGTERM while we were still starting."""


class ServiceError(Exception):
    """A service did not start or ended when it should not have; the message is for the person at the terminal."""


class Service(ABC):
    """One child process that can be started again.

    It leads a session of its own, so that the terminal's Ctrl-C reaches only the supervisor. On Linux the kernel
    sends it `stop_signal` when the thread that started it ends; that is done for the main thread, which ends with its
    process, and not for others, which come and go.
    """

    def __init__(self, name: str, *, stop_signal: signal.Signals = signal.SIGTERM, stop_seconds: float = 10) -> None:
        """Name the service and say how it likes to be asked to end."""
        self.name = name
        self._stop_signal = stop_signal
        self._stop_seconds = stop_seconds
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def launch(self) -> None:
        """Start it, or raise `ServiceError` and leave nothing behind."""

    @property
    def pid(self) -> int | None:
        """The id of its latest process."""
        return self._process.pid if self._process else None

    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    def how_it_ended(self) -> str:
        """Describe the end of a process that is no longer running."""
        code = self._process.poll() if self._process else None
        if code is None:
            return "ended"
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def stop(self) -> None:
        """Ask it to end, wait, then end by force whatever is left of its process group."""
        if self._process is None:
            return
        with suppress(subprocess.TimeoutExpired):
            self._process.send_signal(self._stop_signal)
            self._process.wait(self._stop_seconds)
        self.kill()
        self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End its whole process group now. Called from a signal handler: it takes no lock and waits for nothing."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _spawn(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        output: int | None = None,
        account: tuple[int, int] | None = None,
        keep_open: tuple[int, ...] = (),
        first_input: bytes | None = None,
    ) -> None:
        """Start the process; `output` receives both of its streams, `account` is the user and group to run as."""
        self._process = process = subprocess.Popen(  # noqa: S603  # list arguments, all made by our own code
            list(arguments),
            cwd=cwd,
            env={name: value for name, value in os.environ.items() if name != UNWANTED_HERE},
            stdin=subprocess.DEVNULL if first_input is None else subprocess.PIPE,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            user=account[0] if account else None,
            group=account[1] if account else None,
            extra_groups=[] if account else None,
            pass_fds=keep_open,
            start_new_session=True,
            preexec_fn=_leash(self._stop_signal),  # noqa: PLW1509  # one system call, looked up before the fork
        )
        if first_input is not None and process.stdin:
            with suppress(BrokenPipeError), process.stdin:
                process.stdin.write(first_input)


class Command(Service):
    """A command of our own that inherits our output: gunicorn, the task worker."""

    def __init__(
        self, name: str, arguments: Sequence[str], *, cwd: Path, stop_seconds: float, keep_open: tuple[int, ...] = ()
    ) -> None:
        """Say what to run where, and which open file descriptors it is given."""
        super().__init__(name, stop_seconds=stop_seconds)
        self._arguments = arguments
        self._cwd = cwd
        self._keep_open = keep_open

    def launch(self) -> None:
        """Start the command, after ending what a crashed leader may have left of its group."""
        self.kill()
        try:
            self._spawn(self._arguments, cwd=self._cwd, keep_open=self._keep_open)
        except OSError as error:
            message = f"{self.name} cannot be started: {error}."
            raise ServiceError(message) from error


@dataclass
class _Watched:
    service: Service
    failures: int = 0
    started: float = 0
    due: float | None = None

    def launch(self) -> None:
        self.started = time.monotonic()
        self.due = None
        self.service.launch()

    def plan_restart(self) -> float:
        now = time.monotonic()
        self.failures = 1 if now - self.started > STEADY_AFTER_SECONDS else self.failures + 1
        delay = min(FIRST_DELAY_SECONDS * 2.0 ** (self.failures - 1), LONGEST_DELAY_SECONDS)
        self.due = now + delay
        return delay


class Supervisor:
    """Keeps services running until SIGINT or SIGTERM, then stops them in reverse order of their start.

    A second signal ends everything at once. Use it as a context manager, in the main thread.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        """Tell `say` one line about everything that happens."""
        self._say = say
        self._watched: list[_Watched] = []
        self._stop_requested_at: float | None = None
        self._alarm, self._alarm_in = os.pipe()

    def __enter__(self) -> Self:
        """Take over the signals; they also end `_wait`, so that a death is noticed at once."""
        os.set_blocking(self._alarm, False)
        os.set_blocking(self._alarm_in, False)
        signal.set_wakeup_fd(self._alarm_in, warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, self._on_stop_signal)
        signal.signal(signal.SIGTERM, self._on_stop_signal)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup asked for it to be ignored
            signal.signal(signal.SIGHUP, self._on_stop_signal)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        return self

    def __exit__(self, *_exception: object) -> None:
        """Stop what runs, last started first. The signals stay ours: a late Ctrl-C must not spoil a clean end."""
        for watched in reversed(self._watched):
            watched.service.stop()
        self._watched.clear()
        signal.set_wakeup_fd(-1)
        os.close(self._alarm)
        os.close(self._alarm_in)

    def start(self, service: Service) -> None:
        """Launch a service and watch it from now on."""
        self.check()
        watched = _Watched(service)
        self._watched.append(watched)
        watched.launch()

    def check(self) -> None:
        """Give up starting when a stop was asked for.

        Raises:
            StopRequestedError: when a signal has arrived.

        """
        if self._stop_requested_at is not None:
            raise StopRequestedError

    def wait_until(self, condition: Callable[[], bool], *, seconds: float) -> bool:
        """Wait for a condition while everything keeps running; False when the time is up.

        Raises:
            StopRequestedError: when a signal has arrived.
            ServiceError: when a service ends meanwhile.

        """
        deadline = time.monotonic() + seconds
        while not condition():
            self.check()
            for service in (watched.service for watched in self._watched):
                if not service.is_running():
                    message = f"{service.name} {service.how_it_ended()} before Stockroom was ready."
                    raise ServiceError(message)
            if time.monotonic() > deadline:
                return False
            self._wait(0.05)
        return True

    def run(self) -> None:
        """Restart what dies, until asked to stop."""
        while self._stop_requested_at is None:
            for watched in self._watched:
                self._attend(watched)
            due = [watched.due for watched in self._watched if watched.due is not None]
            self._wait(max(0.0, min(due) - time.monotonic()) if due else 1.0)

    def _attend(self, watched: _Watched) -> None:
        if self._stop_requested_at is not None:
            return
        service = watched.service
        if watched.due is None:
            if not service.is_running():
                delay = watched.plan_restart()
                self._say(f"{service.name} {service.how_it_ended()}; it starts again in {delay:.1f} s.")
        elif time.monotonic() >= watched.due:
            try:
                watched.launch()
            except ServiceError as error:
                self._say(f"{error} Next attempt in {watched.plan_restart():.1f} s.")

    def _wait(self, seconds: float) -> None:
        select.select([self._alarm], [], [], seconds)
        with suppress(BlockingIOError):
            os.read(self._alarm, 4096)

    def _on_stop_signal(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._stop_requested_at is None:
            self._stop_requested_at = now
        elif now - self._stop_requested_at > ECHO_SECONDS:
            for watched in self._watched:
                watched.service.kill()
            os._exit(EXIT_CODE_WHEN_FORCED)


def _leash(number: signal.Signals) -> Callable[[], None] | None:
    """Build what the new process runs before its program, so that the kernel signals it when its parent dies."""
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def tie() -> None:
        prctl(PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:
            os._exit(1)

    return tie
