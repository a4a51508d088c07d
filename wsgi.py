"""The WSGI application, and what `flask` finds: `gunicorn wsgi:app`, `flask --help`."""

import sys

from api import create_app
from api.config import InvalidSettingsError

try:
    app = create_app()
except InvalidSettingsError as error:
    sys.stderr.write(f"Stockroom cannot start with these settings.\n{error}\n")
    raise SystemExit(2) from None
