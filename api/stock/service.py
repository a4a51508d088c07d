"""The shelves: receiving, adjusting, promising and releasing stock, and showing what lies where.

Every change goes the same way: lock the levels in key order, decide in memory, write levels, ledger and promises in
one statement. So two callers can neither oversell nor deadlock, and the ledger always equals the balances.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.stock import bookkeeping, errors, keeping, policies, posting, promising, reading, repository

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

Line = posting.Line
Carried = posting.Carried
Returned = posting.Returned
Journey = posting.Journey
Posting = posting.Posting
receive = posting.receive
adjust = posting.adjust
correct = posting.correct
send = posting.send
bring = posting.bring
take_back = posting.take_back
resolve = posting.resolve
past = posting.past
InsufficientStock = errors.InsufficientStock
NotAllocated = errors.NotAllocated

Availability = reading.Availability
Valuation = reading.Valuation
Verification = reading.Verification
availability = reading.availability
levels = reading.levels
movements = reading.movements
valuation = reading.valuation
verify = reading.verify
on_hand = reading.on_hand
close_days = reading.close_days
words = reading.words
low_among = reading.low_among

Demand = promising.Demand
Promise = promising.Promise
DEFAULT_POLICY = promising.DEFAULT_POLICY
Gone = keeping.Gone
LAPSED = bookkeeping.LAPSED
POLICIES = tuple(policies.POLICIES)
reserve = keeping.reserve
reserve_all = keeping.reserve_all
reserve_each = keeping.reserve_each
revise = keeping.revise
release = keeping.release
release_all = keeping.release_all
hand_over = keeping.hand_over
extend = keeping.extend
ship = keeping.ship
promises = keeping.promises
serve_backorders = keeping.serve_backorders


def clock(session: Session) -> datetime:
    """Tell the time, by the database's clock: that of this moment, not of the transaction's beginning."""
    return repository.now(session)
