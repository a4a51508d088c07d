"""Installing a program that npm has, and running it for as long as it is measured."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

STOP_SECONDS = 30


def version(files: Path, package: str) -> str:
    """Tell which version of a package a program's own package.json names."""
    named: str = json.loads((files / "package.json").read_text("utf-8"))["dependencies"][package]
    return named


def installed(files: Path, cache: Path, *, release: str) -> Path:
    """Install what package.json names, unless it is there, and put the program's other files beside it.

    It is installed beside its place and moved there whole, so that an interrupted attempt is not taken for it.
    """
    place = cache / f"{files.name}-{release}"
    if not place.exists():
        draft = place.with_name(f"{place.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        shutil.copy(files / "package.json", draft)
        command = ["npm", "install", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(command, cwd=draft, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  # with npm's own settings
        draft.replace(place)
    for script in files.glob("*.js"):
        shutil.copy(script, place)
    return place


def environment(**more: str) -> dict[str, str]:
    """Say what a program in production needs to know, and nothing else."""
    return {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "NODE_ENV": "production", **more}


def run(command: Sequence[str], place: Path, env: Mapping[str, str], log: IO[bytes]) -> bytes:
    """Let a command do its work; tells what it says on standard output.

    Raises:
        ClickException: it failed.

    """
    done = subprocess.run(command, cwd=place, env=env, stdout=subprocess.PIPE, stderr=log, check=False)  # noqa: S603  # of our own
    log.write(done.stdout)
    if done.returncode:
        message = f"{' '.join(command)} failed, see {log.name}"
        raise click.ClickException(message)
    return done.stdout


@contextmanager
def running(
    command: Sequence[str],
    place: Path,
    env: Mapping[str, str],
    log: IO[bytes],
    is_ready: Callable[[subprocess.Popen[bytes]], bool],
) -> Iterator[int]:
    """Start a group of processes, wait until it is ready, and stop them all at the end.

    Raises:
        ClickException: it does not become ready.

    """
    process = subprocess.Popen(  # noqa: S603  # list arguments of our own
        command, cwd=place, env=env, stdout=subprocess.PIPE, stderr=log, start_new_session=True
    )
    try:
        if not is_ready(process):
            message = f"{' '.join(command)} does not start, see {log.name}"
            raise click.ClickException(message)
        yield process.pid
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
