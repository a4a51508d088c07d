"""Load programs: each says what it promises, measures it against a running Stockroom, and fails when it does not hold.

uv run --group bench python -m bench
"""
