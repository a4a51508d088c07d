"""Harm done to servers on purpose."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from api.embedded import Valkey


def disturb(valkey: Valkey, how: str) -> None:
    """End a server, or let it stop answering."""
    if how == "killed":
        valkey.stop()
    elif valkey.pid is not None:
        os.kill(valkey.pid, signal.SIGSTOP)
