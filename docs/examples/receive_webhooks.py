"""A receiver of webhooks: verifies each message, drops repetitions, and prints what happened.

    SECRET=whsec_… python receive_webhooks.py PORT COUNT

Ends after COUNT different messages. Needs `standardwebhooks`, which exists for a dozen languages.
"""

import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

PORT, COUNT = int(sys.argv[1]), int(sys.argv[2])
verifier = Webhook(os.environ["SECRET"])
seen: set[str] = set()


class Receiver(BaseHTTPRequestHandler):
    """Answers within a moment; work that takes longer belongs into a queue of your own."""

    def do_POST(self) -> None:
        """Take one message."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            event = verifier.verify(body, dict(self.headers.items()))
        except WebhookVerificationError:
            self.send_response(401)
            self.end_headers()
            return
        message_id = self.headers["webhook-id"]
        if message_id not in seen:
            seen.add(message_id)
            sys.stdout.write(f"{event['type']} {event['data'].get('number', '')}".rstrip() + "\n")
            sys.stdout.flush()
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # named so by the library
        """Say nothing about requests."""


with HTTPServer(("127.0.0.1", PORT), Receiver) as server:
    while len(seen) < COUNT:
        server.handle_request()
