"""Stockroom from the outside: real processes, real servers."""
