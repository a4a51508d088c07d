"""Mails: written here, sent by the worker."""
