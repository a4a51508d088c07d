"""Webhooks: what happened, sent to the URLs of those who subscribed."""
