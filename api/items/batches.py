"""What becomes of many items that are sent together, each named by its SKU. Knows no database."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from api.core import ids
from api.core.errors import Problem
from api.core.outcomes import Outcome, refusal
from api.items.errors import BarcodeTaken, SkuRepeated, UnitFixed, VersionStale
from api.items.models import DENY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from api.core.orm import AnyRow

NEEDED = ("name", "unit_price")
SETTLED = ("unit", "is_stocked")
NOT_FACTS = ("version", "idempotency_key")
BLANK: dict[str, Any] = {
    "description": None,
    "barcode": None,
    "category": None,
    "tags": [],
    "attributes": {},
    "image_url": None,
    "unit": "each",
    "cost_price": None,
    "reorder_point": None,
    "reorder_quantity": None,
    "backorders": DENY,
    "lead_time_days": None,
    "is_stocked": True,
}
"""What a new item has where a row says nothing."""

type Values = Mapping[str, Any]
type Rows = Sequence[tuple[int, Values]]
"""Rows with the lines they stand on."""


@dataclass(slots=True)
class Plan:
    """What is to be written, and what is to be answered once it is."""

    new: list[dict[str, Any]] = field(default_factory=list)
    changed: list[dict[str, Any]] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    def rehearsed(self) -> list[Outcome]:
        """Tell what would be answered: the same, but that new items have no ids yet."""
        made = {row["id"] for row in self.new}
        return [
            replace(one, facts={**one.facts, "id": None}) if one.facts.get("id") in made else one
            for one in self.outcomes
        ]


def plan(rows: Rows, *, present: Mapping[str, AnyRow], holders: Mapping[str, UUID]) -> Plan:
    """Decide about every row, given the items that have the SKUs (in lower case) and those that have the barcodes.

    A barcode that another item has is taken, even when a row of the same call gives it up.
    """
    made = Plan()
    seen: set[str] = set()
    holding: dict[str, object] = dict(holders)
    for line, values in rows:
        key = values["sku"].lower()
        item = present.get(key)
        barcode = (values.get("barcode") or "").zfill(14) if values.get("barcode") else None
        identifier = item.id if item else ids.new()
        if key in seen:
            problems = [SkuRepeated().problem]
        else:
            problems = list(_problems(values, item))
            if barcode and holding.get(barcode, identifier) != identifier:
                problems.append(BarcodeTaken().problem)
        seen.add(key)
        if problems:
            known = {"id": item.id, "version": item.version} if item else {}
            made.outcomes.append(refusal(line, *problems, sku=item.sku if item else values["sku"], **known))
            continue
        if barcode:
            holding[barcode] = identifier
        made.outcomes.append(_settle(made, line, values, item, identifier))
    return made


def _problems(values: Values, item: AnyRow | None) -> list[Problem]:
    """Tell what is wrong with a row, apart from its SKU and barcode."""
    problems = []
    if values.get("version", item and item.version) != (item and item.version):
        problems.append(VersionStale().problem)
    if item is None:
        text = "There is no item with this SKU, and a new one needs this field."
        problems += [Problem("required", text, name) for name in NEEDED if name not in values]
    else:
        changed = (name for name in SETTLED if values.get(name, getattr(item, name)) != getattr(item, name))
        problems += [UnitFixed(at=name).problem for name in changed]
    return problems


def _settle(made: Plan, line: int, values: Values, item: AnyRow | None, identifier: UUID) -> Outcome:
    """Put a good row among those to be written, unless it changes nothing."""
    said = {name: value for name, value in values.items() if name not in NOT_FACTS}
    if item is None:
        made.new.append(BLANK | said | {"id": identifier})
        return Outcome(line, "created", {"sku": values["sku"], "id": identifier, "version": 1})
    before = {name: getattr(item, name) for name in BLANK | said} | {"id": item.id, "sku": item.sku}
    after = before | said | {"sku": item.sku}
    if not differs(before, after):
        return Outcome(line, "unchanged", {"sku": item.sku, "id": item.id, "version": item.version})
    made.changed.append({"name": item.name, "unit_price": item.unit_price} | after)
    return Outcome(line, "updated", {"sku": item.sku, "id": item.id, "version": item.version + 1})


def differs(before: Values, after: Values) -> bool:
    """Tell whether values are not the same; 1 is neither true nor 1.0 among attributes."""
    return before != after or _canonical(before) != _canonical(after)


def _canonical(values: Values) -> str:
    return json.dumps(values.get("attributes"), sort_keys=True)
