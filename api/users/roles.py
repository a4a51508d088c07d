"""Which role holds which scopes: the permission matrix."""

from __future__ import annotations

from api.core.scopes import SCOPES

CUSTOMER = frozenset({"account", "items:read", "orders:read", "orders:write"})
CLERK = CUSTOMER | {"locations:read", "stock:read", "stock:write", "orders:all"}
MANAGER = CLERK | {"items:write", "locations:write", "orders:price", "users:read", "users:write"}
ADMIN = frozenset(SCOPES)

ROLES: dict[str, frozenset[str]] = {"customer": CUSTOMER, "clerk": CLERK, "manager": MANAGER, "admin": ADMIN}
"""From the least to the most; nobody gives, takes or edits a role above their own."""
