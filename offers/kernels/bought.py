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
from offers.kernels.records import NO_WORD, NONE, Lines, Rows, World
from offers.kernels.wanted import wants

_AUDIENCE, _COVERED = 3, 6
"""The first of three lists each."""


@kernel
def remember(world: World, lines: Lines, row: int, now_ms: int, bought: Rows) -> int:
    """Write BOUGHT of the customer, ascending by product; how many, or -1 if there may be more than *bought* holds.

    Purchases of one product are added in the order of (time, quantity), so that the order in which they were noted
    does not matter to the last bit.
    """
    count, slot = 0, lines.head[row] if row < len(lines.head) else NONE
    while slot != NONE:
        if count == len(bought):
            return -1
        line = bought[count]
        line["product"], line["at_s"], line["retailer"] = lines.product[slot], lines.at_s[slot], lines.quantity[slot]
        count, slot = count + 1, lines.following[slot]
    _sort(bought, count)
    return _summed(world, now_ms, bought, count)


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
        into["product"], into["at_s"], into["weight"], into["known"] = product, at_s, weight, at != NONE
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
def belongs(world: World, campaign: Rows, bought: Rows, cross_retailer: bool, now_ms: int) -> bool:
    """Whether the last purchase of a product is a wanted one: see `offers.audience`."""
    since_s, row = (now_ms - campaign["within_s"] * 1000) // 1000, campaign["wanted"]
    for k in range(len(bought)):
        line = bought[k]
        if line["at_s"] >= since_s:
            if wants(world, row, _AUDIENCE, line["product"]):
                return True
            if line["known"] and (cross_retailer or line["retailer"] == campaign["retailer"]):
                if line["brand"] != NO_WORD and wants(world, row, _AUDIENCE + 1, line["brand"]):
                    return True
                if line["category"] != NO_WORD and wants(world, row, _AUDIENCE + 2, line["category"]):
                    return True
    return False


@kernel
def tell(world: World, campaign: Rows, bought: Rows, cross_retailer: bool, into: Rows) -> None:
    """Write the terms of the affinity."""
    row, product, brand, category, retailer = campaign["wanted"], 0.0, 0.0, 0.0, 0.0
    for k in range(len(bought)):
        line = bought[k]
        own = line["known"] and line["retailer"] == campaign["retailer"]
        if own:
            retailer += line["weight"]
        if row != NONE:
            if wants(world, row, _COVERED, line["product"]):
                product += line["weight"]
            if own or (cross_retailer and line["known"]):
                if line["brand"] != NO_WORD and wants(world, row, _COVERED + 1, line["brand"]):
                    brand += line["weight"]
                if line["category"] != NO_WORD and wants(world, row, _COVERED + 2, line["category"]):
                    category += line["weight"]
    into["product"], into["brand"] = PRODUCT * product, BRAND * brand
    into["category"], into["retailer"] = CATEGORY * category, RETAILER * retailer
