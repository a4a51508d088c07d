"""Stock transfers."""
