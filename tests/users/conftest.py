"""Requests here share a transaction and nothing else."""

from tests.rest.clients import client

__all__ = ["client"]
