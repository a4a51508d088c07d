"""Small files in the form of the shop's."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from api.demo.reading import COLUMNS, read
from api.demo.retail import sort_out

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from api.demo.retail import Sorted

LINE = ("489434", "85048", "GLASS BALL", "12", "2009-12-01 07:45:00", "6.95", "13085.0", "United Kingdom")


def line(**cells: str) -> list[str]:
    """Make a line: a sale, but for the cells given by the first word of their column."""
    names = [column.split()[0].lower() for column in COLUMNS]
    return [cells.get(name, usual) for name, usual in zip(names, LINE, strict=True)]


def write(directory: Path, *lines: Sequence[str]) -> Path:
    """Write a file of such lines under the header."""
    path = directory / "invoices.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *lines])
    return path


def sorted_out(directory: Path, *lines: Sequence[str], limit_days: int | None = None) -> Sorted:
    """Write such lines and sort them out."""
    return sort_out(read(write(directory, *lines)), limit_days=limit_days)
