"""What everything else stands on. Knows no Flask and no marshmallow."""
