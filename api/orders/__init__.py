"""Promises to deliver."""
