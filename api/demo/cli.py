"""`flask demo`."""

from flask.cli import AppGroup

demo = AppGroup("demo", help="A real shop's year, to try things on.")
