"""Cells of CSV files that spreadsheets open (RFC 4180; OWASP, "CSV Injection"; ASVS 5.0, 1.2.10)."""

from __future__ import annotations

import re

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?", re.ASCII)


def guarded(cell: object) -> object:
    """Put an apostrophe before text that a spreadsheet would take for a formula; numbers are none."""
    is_risky = isinstance(cell, str) and cell.startswith(FORMULA_STARTS) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if is_risky else cell


def unguarded(cell: str) -> str:
    """Take the apostrophe away again."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA_STARTS) else cell
