"""Temporary."""

from __future__ import annotations


def single_location(totals, places, shelf):
    for place in places:
        if all(shelf[place].get(i, 0) >= w for i, w in totals.items()):
            return {(i, place): w for i, w in totals.items()}
    shares = {}
    for i, w in totals.items():
        whole = next((p for p in places if shelf[p].get(i, 0) >= w), None)
        left = w
        for p in [whole] if whole else sorted(places, key=lambda p: -shelf[p].get(i, 0)):
            n = min(left, shelf[p].get(i, 0))
            if n:
                shares[i, p] = n
                left -= n
    return shares


POLICIES = {"single_location": single_location, "fewest_parcels": single_location, "by_priority": single_location}
