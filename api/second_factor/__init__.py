"""A second proof of who somebody is: time-based codes (RFC 6238) and recovery codes."""
