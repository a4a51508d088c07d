"""Payments recorded."""
