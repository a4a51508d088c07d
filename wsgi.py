"""The WSGI application, and what `flask` finds: `gunicorn wsgi:app`, `flask --help`."""

import gc
import sys

gc.disable()  # what is imported stays, so nothing of it need be looked through, now or ever again

from api import create_app  # noqa: E402  # after that
from api.config import InvalidSettingsError  # noqa: E402  # the same

try:
    app = create_app()
except InvalidSettingsError as error:
    sys.stderr.write(f"Stockroom cannot start with these settings.\n{error}\n")
    raise SystemExit(2) from None

gc.freeze()
gc.enable()
