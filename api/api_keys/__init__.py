"""API keys: what programs show instead of logging in."""
