"""Who may do what: the permission matrix. A role and an API key are sets of scopes; an operation demands one or more.

Roles are a ladder, `customer < clerk < manager < admin`: each row names the lowest rung that holds the scope.
"""

from __future__ import annotations

from typing import NamedTuple

LADDER = ("customer", "clerk", "manager", "admin")


class Permission(NamedTuple):
    """The lowest role that holds a scope, what it allows, and whether an API key can hold it too."""

    lowest: str
    allows: str
    for_keys: bool = True


PERMISSIONS: dict[str, Permission] = {
    "account": Permission(
        "customer", "Manage one's own account: password, second factor, logins, API keys", for_keys=False
    ),
    "items:read": Permission("customer", "See the catalogue and what is available"),
    "orders:read": Permission("customer", "See orders: one's own, or everybody's together with orders:all"),
    "orders:write": Permission(
        "customer", "Reserve, order, change, cancel and send back: one's own, or anybody's together with orders:all"
    ),
    "orders:all": Permission("clerk", "Act on everybody's orders and reservations, not only one's own"),
    "orders:fulfil": Permission("clerk", "Hold, pick, ship and deliver orders, and receive what comes back"),
    "payments:write": Permission("clerk", "Record payments and refunds"),
    "jobs:read": Permission("customer", "See what has become of background jobs one has started"),
    "notifications": Permission("customer", "Read one's own notifications, and choose which to get"),
    "locations:read": Permission("clerk", "See locations"),
    "stock:read": Permission("clerk", "See stock levels, the ledger, transfers and counts"),
    "stock:write": Permission("clerk", "Receive, adjust, transfer and count stock"),
    "events:read": Permission("clerk", "Follow the feed of events, of those types whose subjects one may see"),
    "items:write": Permission("manager", "Create and change items"),
    "locations:write": Permission("manager", "Create and change locations"),
    "orders:price": Permission("manager", "Set the price of an order line by hand"),
    "costs:read": Permission("manager", "See what items cost and what stock is worth"),
    "webhooks:read": Permission("manager", "See webhook endpoints and their deliveries"),
    "webhooks:write": Permission("manager", "Create, change, test and delete webhook endpoints, and deliver again"),
    "users:read": Permission("manager", "See users"),
    "users:write": Permission("manager", "Create, invite and change users whose role is not above one's own"),
    "jobs:all": Permission("admin", "See and repeat everybody's background jobs"),
    "metrics:read": Permission("admin", "Read the metrics"),
    "sessions:all": Permission("admin", "See and end everybody's logins, not only one's own"),
    "api-keys:all": Permission("admin", "See and revoke everybody's API keys, not only one's own"),
    "audit:read": Permission("admin", "See the security log, and how accounts can be entered"),
}

SCOPES: dict[str, str] = {scope: permission.allows for scope, permission in PERMISSIONS.items()}

ROLES: dict[str, frozenset[str]] = {
    role: frozenset(
        scope for scope, permission in PERMISSIONS.items() if LADDER.index(permission.lowest) <= LADDER.index(role)
    )
    for role in LADDER
}
"""From the least to the most; nobody gives, takes or edits a role above their own."""

ONLY_FOR_PEOPLE = frozenset(scope for scope, permission in PERMISSIONS.items() if not permission.for_keys)
"""Scopes an API key cannot hold: a key must not make keys, nor change the password of its owner."""
