"""Logging in and proving it."""
