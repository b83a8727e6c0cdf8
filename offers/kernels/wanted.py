"""Ascending lists of keys: is one among them, have two one in common."""

from __future__ import annotations

from geo.arrays import Longs
from geo.kernels import inlined, kernel
from offers.kernels.records import NONE, WANTED_LISTS, Asked, World

FEW = 8
"""As many are looked through one by one."""


@kernel
def among(keys: Longs, first: int, end: int, key: int) -> bool:
    """Whether *key* is one of keys[first:end]."""
    while end - first > FEW:
        middle = (first + end) >> 1
        if keys[middle] <= key:
            first = middle
        else:
            end = middle
    found = False
    for at in range(first, end):
        found = found or keys[at] == key
    return found


@inlined
def wants(world: World, wanted: int, which: int, key: int) -> bool:
    """Whether list *which* of the row *wanted* has the key."""
    at = wanted * WANTED_LISTS + which
    return among(world.wanted_key, world.wanted_ptr[at], world.wanted_ptr[at + 1], key)


@kernel
def answers(world: World, wanted: int, asked: Asked, search: int) -> bool:
    """Whether the campaign's own search terms, lists 0 to 2, have anything in common with the search's."""
    if wanted == NONE:
        return False
    for which in range(3):
        at = wanted * WANTED_LISTS + which
        first, end = world.wanted_ptr[at], world.wanted_ptr[at + 1]
        if end > first:
            for k in range(asked.search_ptr[search * 3 + which], asked.search_ptr[search * 3 + which + 1]):
                if among(world.wanted_key, first, end, asked.search_key[k]):
                    return True
    return False
