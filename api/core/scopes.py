"""Every permission there is. A role and an API key are sets of these; an operation demands one or more."""

from __future__ import annotations

SCOPES: dict[str, str] = {
    "items:read": "See the catalogue and what is available",
    "items:write": "Create and change items",
    "locations:read": "See locations",
    "locations:write": "Create and change locations",
    "stock:read": "See stock levels and the ledger",
    "stock:write": "Receive and adjust stock",
    "orders:read": "See orders: one's own, or everybody's together with orders:all",
    "orders:write": "Place and cancel orders",
    "orders:all": "Act on everybody's orders, not only one's own",
    "orders:price": "Set the price of an order line by hand",
    "users:read": "See users",
    "users:write": "Create, invite and change users whose role is not above one's own",
    "account": "Manage one's own account: password, second factor, logins, API keys; never given to an API key",
    "sessions:all": "See and end everybody's logins, not only one's own",
    "api-keys:all": "See and revoke everybody's API keys, not only one's own",
    "audit:read": "See the security log",
}

ONLY_FOR_PEOPLE = frozenset({"account"})
"""Scopes an API key cannot hold: a key must not make keys, nor change the password of its owner."""
