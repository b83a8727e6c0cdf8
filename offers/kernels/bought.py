"""What a customer bought: remembered once an event, then asked by audiences and by affinity.

The weights and levels are explained in `offers.affinity`.
"""

from __future__ import annotations

import math

import numpy as np

from geo.arrays import Longs
from geo.kernels import inlined, kernel
from offers.affinity import BRAND, CATEGORY, HALF_LIFE_DAYS, PRODUCT, RETAILER
from offers.campaign import DAY_MS
from offers.kernels.records import NO_WORD, NONE, Lines, Past, Rows, World
from offers.kernels.wanted import AUDIENCE, COVERED, end_of, start_of

_PRODUCTS, _BRANDS, _CATEGORIES, _RETAILERS = 0, 1, 2, 3
_LISTS, _LIST_BITS = 4, 2
_MIX = np.uint64(0x9E3779B97F4A7C15)
_DOWN = np.uint64(32)


@kernel
def remember(world: World, lines: Lines, row: int, now_ms: int, past: Past) -> int:
    """Write BOUGHT of the customer, ascending by product, and its index; how many, or -1 if there may be more than
    there is room for.

    Purchases of one product are added in the order of (time, quantity), so that the order in which they were noted
    does not matter to the last bit.
    """
    bought, count, slot = past.bought, 0, lines.head[row] if row < len(lines.head) else NONE
    while slot != NONE:
        if count == len(bought):
            return -1
        line = bought[count]
        line["product"], line["at_s"], line["retailer"] = lines.product[slot], lines.at_s[slot], lines.quantity[slot]
        count, slot = count + 1, lines.following[slot]
    _sort(bought, count)
    count = _summed(world, now_ms, bought, count)
    _index(past, count)
    return count


@kernel
def _sort(bought: Rows, count: int) -> None:
    """By product, time and quantity (in `retailer`). Shell's sort with Ciura's gaps: most have bought little."""
    for gap in (701, 301, 132, 57, 23, 10, 4, 1):
        for k in range(gap, count):
            product, at_s, quantity = bought[k]["product"], bought[k]["at_s"], bought[k]["retailer"]
            at = k
            while at >= gap and _after(bought[at - gap], product, at_s, quantity):
                before, here = bought[at - gap], bought[at]
                here["product"], here["at_s"], here["retailer"] = before["product"], before["at_s"], before["retailer"]
                at -= gap
            here = bought[at]
            here["product"], here["at_s"], here["retailer"] = product, at_s, quantity


@inlined
def _after(one: Rows, product: int, at_s: int, quantity: int) -> bool:
    if one["product"] != product:
        return bool(one["product"] > product)
    return bool(one["at_s"] > at_s or (one["at_s"] == at_s and one["retailer"] > quantity))


@inlined
def _summed(world: World, now_ms: int, bought: Rows, count: int) -> int:
    """One record a product, of *count* ascending ones whose `retailer` is a quantity still; how many."""
    out = 0
    for k in range(count):
        line = bought[k]
        product, at_s, quantity = line["product"], line["at_s"], line["retailer"]
        age_days = max(0, now_ms - at_s * 1000) / DAY_MS
        weight = math.log2(1.0 + quantity) * np.exp2(-age_days / HALF_LIFE_DAYS)
        if out and bought[out - 1]["product"] == product:
            bought[out - 1]["weight"] += weight
            bought[out - 1]["at_s"] = at_s
            continue
        into, at = bought[out], _place_of(world.product, product)
        into["product"], into["at_s"], into["weight"] = product, at_s, weight
        into["retailer"] = world.product_retailer[at] if at != NONE else NONE
        into["brand"] = _word(world, world.product_brand[at]) if at != NONE else NO_WORD
        into["category"] = _word(world, world.product_category[at]) if at != NONE else NO_WORD
        out += 1
    return out


@inlined
def _word(world: World, place: int) -> int:
    return world.word[place] if place != NONE else NO_WORD


@kernel
def _place_of(ids: Longs, product: int) -> int:
    """Place of the product, or -1."""
    first, end = 0, len(ids)
    while first < end:
        middle = (first + end) >> 1
        if ids[middle] < product:
            first = middle + 1
        else:
            end = middle
    return first if first < len(ids) and ids[first] == product else NONE


@kernel
def forget(past: Past) -> None:
    """The customer bought nothing that may be used."""
    _index(past, 0)


@inlined
def _index(past: Past, count: int) -> None:
    """Of the first *count* lines; those of one key are chained in ascending order."""
    size = _size(count)
    past.slot[:size] = NONE
    for line in range(count - 1, -1, -1):
        for which in range(_LISTS):
            key = _key(past.bought[line], which)
            if which == _PRODUCTS or key != (NONE if which == _RETAILERS else NO_WORD):
                at, entry = _slot(past, size, which, key), line << _LIST_BITS | which
                past.following[entry] = past.slot[at]
                past.slot[at] = entry


@inlined
def _size(count: int) -> int:
    """Slots used for so many lines."""
    size = 16
    while size < 8 * count:
        size *= 2
    return size


@inlined
def _key(line: Rows, which: int) -> int:
    if which == _PRODUCTS:
        return int(line["product"])
    if which == _BRANDS:
        return int(line["brand"])
    return int(line["category"] if which == _CATEGORIES else line["retailer"])


@inlined
def _slot(past: Past, size: int, which: int, key: int) -> int:
    """Where the entries of a key begin, or would."""
    mask = size - 1
    at = int(((np.uint64(key) + np.uint64(which)) * _MIX) >> _DOWN) & mask
    while past.slot[at] != NONE:
        entry = past.slot[at]
        if entry & (_LISTS - 1) == which and _key(past.bought[entry >> _LIST_BITS], which) == key:
            break
        at = (at + 1) & mask
    return at


@kernel
def belongs(wanted: Longs, campaign: Rows, past: Past, count: int, cross_retailer: bool, now_ms: int) -> bool:
    """Whether the last purchase of a product is a wanted one: see `offers.live.LiveAudience`."""
    since_s, size = (now_ms - campaign["within_s"] * 1000) // 1000, _size(count)
    row = campaign["wanted"]
    for which in range(_RETAILERS):
        for k in range(start_of(wanted, row, AUDIENCE, which), end_of(wanted, row, AUDIENCE, which)):
            entry = past.slot[_slot(past, size, which, wanted[k])]
            while entry != NONE:
                line = past.bought[entry >> _LIST_BITS]
                if line["at_s"] >= since_s and (
                    which == _PRODUCTS or cross_retailer or line["retailer"] == campaign["retailer"]
                ):
                    return True
                entry = past.following[entry]
    return False


@kernel
def tell(wanted: Longs, campaign: Rows, past: Past, count: int, cross_retailer: bool, into: Rows) -> None:
    """Write the terms of the affinity."""
    size, own = _size(count), campaign["retailer"]
    product, brand, category = 0.0, 0.0, 0.0
    if campaign["wanted"] != NONE:
        row = campaign["wanted"]
        product = _sum(wanted, row, past, size, (_PRODUCTS, True, own))
        brand = _sum(wanted, row, past, size, (_BRANDS, cross_retailer, own))
        category = _sum(wanted, row, past, size, (_CATEGORIES, cross_retailer, own))
    into["product"], into["brand"], into["category"] = PRODUCT * product, BRAND * brand, CATEGORY * category
    total, entry = 0.0, past.slot[_slot(past, size, _RETAILERS, own)]
    while entry != NONE:
        total += past.bought[entry >> _LIST_BITS]["weight"]
        entry = past.following[entry]
    into["retailer"] = RETAILER * total


@inlined
def _sum(wanted: Longs, row: int, past: Past, size: int, asked: tuple[int, bool, int]) -> float:
    """Weights of the lines with a key of the list; asked: which list, whether all retailers' count, else whose."""
    which, everybody, own = asked
    total = 0.0
    for k in range(start_of(wanted, row, COVERED, which), end_of(wanted, row, COVERED, which)):
        entry = past.slot[_slot(past, size, which, wanted[k])]
        while entry != NONE:
            line = past.bought[entry >> _LIST_BITS]
            if everybody or line["retailer"] == own:
                total += line["weight"]
            entry = past.following[entry]
    return total
