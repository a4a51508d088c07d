"""How gunicorn serves what is bare: with threaded workers of its own, as many and as large as Stockroom's."""

from __future__ import annotations

worker_class = "gthread"
threads = 4
preload_app = True
control_socket_disable = True
worker_tmp_dir = "/dev/shm"  # noqa: S108  # where gunicorn makes its file with mkstemp
accesslog = None
loglevel = "warning"
