"""`flask keys`."""

from __future__ import annotations

import click
from flask import current_app
from flask.cli import AppGroup

from api.auth import keys as ring

keys = AppGroup("keys", help="The keys that sign access tokens.")


@keys.command("create")
def create() -> None:
    """Make a new signing key; processes started from now on sign with it, and verify older ones too."""
    directory = current_app.extensions["stockroom"].keys_dir
    click.echo(f"Made signing key {ring.create(directory)} in {directory}.")
