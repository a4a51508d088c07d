"""Holds on stock for a while."""
