"""Balances, the ledger, promises."""
