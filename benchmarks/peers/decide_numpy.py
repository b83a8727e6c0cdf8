"""The same decisions with numpy: columns of all campaigns and postings, an event's candidates found by a scan."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.decide_world import NOW_MS, World
from geo.arrays import Ints, Longs
from offers.affinity import BRAND, CATEGORY, HALF_LIFE_DAYS, PRODUCT, RETAILER
from offers.campaign import DAY_MS
from offers.intervals import ALWAYS, IntervalTable
from offers.kernels.records import Flag

VERSION: Final = f"numpy {np.__version__}"
_AUDIENCE, _COVERED, _LISTS = 0, 3, 6


class NumpyDecider:
    """A world as columns."""

    def __init__(self, world: World) -> None:
        self._world = world
        snapshot = world.snapshot
        self._rows = {name: snapshot.table.rows[name].copy() for name in snapshot.table.rows.dtype.names or ()}
        ptr = snapshot.postings.ptr
        place, which, self._key = world.wanted()
        self._ends = np.searchsorted(place * _LISTS + which, np.arange(_LISTS * len(self._rows["id"]) + 1))
        self._fence = np.repeat(np.arange(len(ptr) - 1, dtype=np.int32), np.diff(ptr))
        self._week_runs, self._open = _runs(snapshot.schedules), _runs(snapshot.hours)

    def scan(self, rows: Ints, fences: Ints) -> list[int]:
        """The campaign of each event, -1 for none; its candidates are looked for among all postings."""
        return [self._one(row, np.flatnonzero(self._fence == fence)) for row, fence in _pairs(rows, fences)]

    def gathered(self, rows: Ints, fences: Ints) -> list[int]:
        """The same; its candidates are taken by the index that ours has."""
        ptr = self._world.snapshot.postings.ptr
        return [self._one(row, np.arange(ptr[fence], ptr[fence + 1])) for row, fence in _pairs(rows, fences)]

    def _one(self, row: int, posting: NDArray[np.intp]) -> int:
        postings, column = self._world.snapshot.postings, self._rows
        place = postings.campaign[posting]
        good = (column["starts_ms"][place] <= NOW_MS) & (column["ends_ms"][place] > NOW_MS)
        week = postings.schedule[posting]
        good &= (week == ALWAYS) | self._week_runs[week]
        good &= (column["flags"][place] & Flag.OPEN == 0) | self._open[postings.hours[self._fence[posting]]]
        good &= self._world.left[place] > 0
        place = place[good]
        place = place[self._had(row, place) < column["cap_coupons"][place]]
        line = self._bought(row)
        place = place[self._belongs(place, line)]
        if not len(place):
            return -1
        affinity = np.rint(self._affinity(place, line) * 1e6)
        order = np.lexsort((place, -column["worth_minor"][place], -affinity, -column["priority"][place]))
        return int(place[order[0]]) + 1

    def _had(self, row: int, place: Ints) -> NDArray[np.intp]:
        people = self._world.customers
        some = slice(*people.coupon_ptr[row : row + 2].tolist())
        campaign, at_ms = (column[some] for column in people.coupons)
        since_ms = NOW_MS - self._rows["cap_s"][place].astype(np.int64) * 1000
        met = (campaign[None, :] == place[:, None] + 1) & (at_ms[None, :] > since_ms[:, None])
        counts: NDArray[np.intp] = met.sum(axis=1)
        return counts

    def _bought(self, row: int) -> dict[str, NDArray[Any]]:
        people, products = self._world.customers, self._world.snapshot.products
        some = slice(*people.bought_ptr[row : row + 2].tolist())
        product, at_ms, quantity = (column[some] for column in people.bought)
        at = np.searchsorted(products.arrays["ids"], product)
        at_s = at_ms // 1000
        age_days = (NOW_MS - at_s * 1000) / DAY_MS
        return {
            "product": product,
            "at_s": at_s,
            "retailer": products.arrays["retailer"][at],
            "brand": products.keys[products.arrays["brand"][at]],
            "category": products.keys[products.arrays["category"][at]],
            "weight": np.log2(1.0 + quantity) * np.exp2(-age_days / HALF_LIFE_DAYS),
        }

    def _met(self, place: Ints, which: int, keys: Longs) -> NDArray[np.bool_]:
        """bool[n, lines]: whether a list of each campaign has each key."""
        at = place.astype(np.int64) * _LISTS + which
        first, sizes = self._ends[at], self._ends[at + 1] - self._ends[at]
        owner = np.repeat(np.arange(len(place)), sizes)
        listed = self._key[np.repeat(first - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())]
        out = np.zeros((len(place), len(keys)), np.bool_)
        hit, line = np.nonzero(listed[:, None] == keys[None, :])
        out[owner[hit], line] = True
        return out

    def _belongs(self, place: Ints, line: dict[str, NDArray[Any]]) -> NDArray[np.bool_]:
        flags = self._rows["flags"][place]
        met = self._met(place, _AUDIENCE, line["product"]) | self._met(place, _AUDIENCE + 1, line["brand"])
        met |= self._met(place, _AUDIENCE + 2, line["category"])
        met &= line["at_s"][None, :] >= (NOW_MS // 1000 - self._rows["within_s"][place])[:, None]
        inside: NDArray[np.bool_] = met.any(axis=1) | (flags & Flag.AUDIENCE == 0)
        return inside

    def _affinity(self, place: Ints, line: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
        own = self._rows["retailer"][place]
        weight = line["weight"]
        total = RETAILER * ((line["retailer"][None, :] == own[:, None]) * weight).sum(axis=1)
        for level, which, name in ((PRODUCT, 0, "product"), (BRAND, 1, "brand"), (CATEGORY, 2, "category")):
            total = total + level * (self._met(place, _COVERED + which, line[name]) * weight).sum(axis=1)
        out: NDArray[np.float64] = total
        return out


def _pairs(rows: Ints, fences: Ints) -> Any:
    return zip(rows.tolist(), fences.tolist(), strict=True)


def _runs(table: IntervalTable) -> NDArray[np.bool_]:
    """bool[rows]: whether now is in an interval of each."""
    first, ends = table.ptr[:-1], table.ptr[1:]
    spans = zip(first.tolist(), ends.tolist(), strict=True)
    found = np.array([np.searchsorted(table.starts[a:b], NOW_MS, side="right") + a - 1 for a, b in spans])
    runs: NDArray[np.bool_] = (found >= first) & (table.ends[np.maximum(found, 0)] > NOW_MS)
    return runs
