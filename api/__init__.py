"""The inventory-and-order API that never sells a unit twice.

**Authentication.** `POST /api/v1/auth/token` takes a username (an e-mail address) and a password and gives an access
token for ten minutes: `Authorization: Bearer TOKEN`. `POST /api/v1/auth/refresh` exchanges the refresh token, which is
good once, for the next pair; repeated within half a minute, because an answer was lost, it gives the same refresh token
again, as long as that has not been used itself.
Programs use an API key in the same header (`POST /api/v1/api-keys`). A role is a set of scopes, and so is a key; every
operation below names the scopes it needs. A login that is ended, an account that is closed or has a new role: all of
that counts at the very next request. Sensitive changes want a login of the last quarter of an hour, or a confirmation
(`POST /api/v1/auth/reauthenticate`).

**Limits.** Requests are counted per account and per network (IPv6: /64); `RateLimit-Policy` names the limits,
`RateLimit` what is left (`r`) and when it starts anew (`t`, seconds). Beyond them the answer is 429 `rate_limited` with
`Retry-After`. Logins and everything else under `/auth` that looks at a secret or sends a mail has narrower ones.

**Errors.** Every failure has one form: `{"error": {"code", "message", "field", "details", "request_id"}}`. Decide on
`code`, which is stable; show `message` to people; `details` lists every problem, not only the first; `field` says
where, as in `lines.0.quantity`; `request_id` finds the request in the log and is also the header `X-Request-ID`. Only
what is no HTTP request at all, as a header of 100 kB, is answered by the web server itself, in HTML.

**Repeating safely.** Send `Idempotency-Key` with a `POST` that creates or moves something. The same key with the same
request gets the first answer again, marked `Idempotency-Replayed: true`, and nothing happens twice; with a different
request it is 422 `idempotency_key_reused`. Keys are kept for 24 hours, per caller.

**Changing safely.** What can be changed has a `version` and an `ETag`. A `PATCH` needs `If-Match` with the ETag of the
copy it is based on: missing is 428, out of date is 412, and of several racing writers exactly one wins. A `GET` with
`If-None-Match` is 304 when nothing has changed.

**Lists** come in pages: `limit` from 1 to 200 and `cursor`, which is the `next_cursor` of the page before (also in
the `Link` header). A page costs the same however deep it lies.

**Values.** Quantities are integers in the item's base unit. Money is a decimal string, never a float. Ids are UUIDs,
times are RFC 3339 in UTC. Fields and parameters that are not documented are refused, not ignored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from api.config import Settings


def create_app(settings: Settings | None = None) -> Flask:
    """Build the application from its settings, or from the environment."""
    from api.app import create_app as build  # noqa: PLC0415  # whoever needs only a part of `api` need not load it all

    return build(settings)
