"""Whether the installation can do its work."""
