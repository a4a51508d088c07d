"""Stock of orders coming back."""
