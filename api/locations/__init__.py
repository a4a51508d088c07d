"""Places that hold stock."""
