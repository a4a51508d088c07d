"""The HTTP conventions every route shares."""
