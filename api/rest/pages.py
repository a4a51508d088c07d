"""Answers that people print: HTML without scripts, whose styles are its own."""

from __future__ import annotations

from typing import Any

from flask import Response, render_template

POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
"""Nothing is loaded and nothing runs, whatever the text says that is shown."""


def printable(template: str, **values: Any) -> Response:
    """Answer with a page made of a template, which escapes what it shows."""
    page = Response(render_template(template, **values), mimetype="text/html")
    page.headers["Content-Security-Policy"] = POLICY
    page.headers["Content-Disposition"] = "inline"
    return page
