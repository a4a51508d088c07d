"""Telling people what concerns them: in the app, by mail, and once a day."""
