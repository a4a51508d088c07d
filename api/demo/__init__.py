"""A real shop's year, to try things on."""
