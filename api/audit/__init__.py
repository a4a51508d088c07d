"""The security log: who did what, when, from where, and who was refused."""
