"""Opening an account and looking after it."""
