"""Budget blocks as a hash table of campaign ids: open addressing, linear probing, never more than half full."""

from __future__ import annotations

import numpy as np

from geo.arrays import Longs
from geo.kernels import inlined, kernel
from offers.kernels.records import Blocks

EMPTY = np.int64(-1)
"""In place of a campaign's id."""
_MIX = np.uint64(0x9E3779B97F4A7C15)
_DOWN = np.uint64(32)


@inlined
def slot_of(campaigns: Longs, campaign: int) -> int:
    """Where the campaign's block is, or would be. Fibonacci hashing (Knuth, TAOCP 3, 6.4)."""
    mask = len(campaigns) - 1
    slot = int((np.uint64(campaign) * _MIX) >> _DOWN) & mask
    while campaigns[slot] != campaign and campaigns[slot] != EMPTY:
        slot = (slot + 1) & mask
    return slot


@inlined
def coupons_left(blocks: Blocks, campaign: int) -> int:
    """What may still be spent; 0 of a campaign unknown here."""
    slot = slot_of(blocks.campaign, campaign)
    return int(blocks.granted[slot] - blocks.spent[slot])


@kernel
def find(campaigns: Longs, campaign: int) -> int:
    """`slot_of`, to be asked from outside."""
    return slot_of(campaigns, campaign)


@kernel
def place(campaigns: Longs, given: Longs, slots: Longs) -> int:
    """Write the slot of each of *given*, taking a free one for those not there; how many were new."""
    new = 0
    for i in range(len(given)):
        slot = slot_of(campaigns, given[i])
        if campaigns[slot] == EMPTY:
            campaigns[slot] = given[i]
            new += 1
        slots[i] = slot
    return new
