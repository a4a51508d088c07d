"""`flask events`."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from api.core.caller import Caller
from api.events import service
from api.events.schemas import EventSchema
from api.rest.console import transaction
from api.rest.strict_json import dumps

events = AppGroup("events", help="The feed of what happened.")


@events.command("list")
@click.option("--after", type=click.IntRange(min=0), help="Only what follows this position.")
@click.option("--type", "types", multiple=True, help="Only events of this type; `order.*` for all that begin so.")
@click.option("--subject", "subject_id", type=click.UUID, help="Only what happened to this order, item, …")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 100_000), help="How many at most.")
def list_events(*, limit: int, **wanted: object) -> None:
    """Print events, oldest first, as one JSON object on each line."""
    with transaction() as session:
        found = service.read(session, by=Caller.system(), limit=limit, **wanted)  # type: ignore[arg-type]  # click has checked the types
        for event in EventSchema().dump(found.data, many=True):
            click.echo(dumps(event))
