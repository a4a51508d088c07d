"""How gunicorn serves what is bare: as it serves Stockroom, without what Stockroom does when a worker is forked."""

from __future__ import annotations

worker_class = "gthread"
threads = 4
preload_app = True
control_socket_disable = True
worker_tmp_dir = "/dev/shm"  # noqa: S108  # where gunicorn makes its file with mkstemp
accesslog = None
loglevel = "warning"
