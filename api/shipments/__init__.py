"""Stock of orders leaving."""
