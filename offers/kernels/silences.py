"""Why offers were held, counted by (campaign, reason)."""

from __future__ import annotations

from geo.kernels import inlined
from offers.kernels.hashing import EMPTY, expect, slot_of
from offers.kernels.records import Rows, Silences

REASON_BITS = 5
"""Below the campaign's id in a key."""
_AHEAD = 8
"""Silences between asking for a slot's line of memory and writing to it."""


@inlined
def key_of(campaign: int, reason: int) -> int:
    """The two as one key."""
    return campaign << REASON_BITS | reason


@inlined
def roomy(silences: Silences, more: int) -> bool:
    """Whether *more* keys leave half of the table free."""
    return bool(2 * (silences.used[0] + more) <= len(silences.table))


@inlined
def count(silences: Silences, campaigns: Rows, candidates: Rows, choice: int, outranked: int) -> None:
    """Count all *candidates* but the one at *choice*; there is room. *outranked* is the reason of those that passed."""
    table = silences.table
    for k in range(-_AHEAD, len(candidates)):
        if k + _AHEAD < len(candidates):
            soon = candidates[k + _AHEAD]
            expect(table, key_of(campaigns[soon["campaign"]]["id"], min(soon["reason"], outranked)))
        if k >= 0 and k != choice:
            held = candidates[k]
            key = key_of(campaigns[held["campaign"]]["id"], min(held["reason"], outranked))
            slot = slot_of(table, key)
            if table[slot]["key"] == EMPTY:
                table[slot]["key"] = key
                silences.used[0] += 1
            table[slot]["often"] += 1
