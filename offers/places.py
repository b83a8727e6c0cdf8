"""Which stores a campaign is for: by code, by tag, by city, by drawn areas; all where it names none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from copy import copy
from typing import Any

from offers.campaign import Campaign
from offers.catalogue import AreaRow, StoreRow, fold

Outlines = list[dict[str, Any]]


class Places:
    """The stores and areas of one retailer."""

    def __init__(self, stores: Mapping[str, StoreRow]) -> None:
        self.stores = stores
        self.areas: dict[str, AreaRow] = {}
        self._by_tag: dict[str, list[StoreRow]] = defaultdict(list)
        self._by_city: dict[str, list[StoreRow]] = defaultdict(list)
        for store in stores.values():
            for tag in store.tags:
                self._by_tag[fold(tag)].append(store)
            if store.city:
                self._by_city[fold(store.city)].append(store)

    def of(self, spec: Campaign) -> list[StoreRow]:
        """The stores of a campaign that there are, each once; what it names and is gone is left out."""
        if spec.everywhere:
            return list(self.stores.values())
        if not (spec.tags or spec.cities or spec.drawn):
            return [self.stores[code] for code in dict.fromkeys(spec.stores) if code in self.stores]
        drawn = [self.areas[code].store for code in spec.drawn if code in self.areas]
        found = {code: self.stores[code] for code in (*spec.stores, *drawn) if code in self.stores}
        for words, stores in ((spec.tags, self._by_tag), (spec.cities, self._by_city)):
            for word in words:
                found |= {store.code: store for store in stores.get(fold(word), ())}
        return list(found.values())

    def outlines(self, spec: Campaign) -> dict[str, Outlines]:
        """Store code → what is drawn around it for this campaign, in place of the circle."""
        found: dict[str, Outlines] = defaultdict(list)
        for area in spec.areas:
            found[area.store].append(area.geometry)
        for code in spec.drawn:
            if code in self.areas:
                found[self.areas[code].store].append(self.areas[code].geometry)
        return found


def by_retailer(stores: Mapping[int, Mapping[str, StoreRow]], areas: Iterable[AreaRow]) -> dict[int, Places]:
    """Retailer → its places."""
    return with_areas({retailer: Places(some) for retailer, some in stores.items()}, areas)


def with_areas(places: Mapping[int, Places], areas: Iterable[AreaRow]) -> dict[int, Places]:
    """The same stores with these areas in place of their own."""
    found = {retailer: copy(one) for retailer, one in places.items()}
    for one in found.values():
        one.areas = {}
    for area in areas:
        if area.retailer in found:
            found[area.retailer].areas[area.code] = area
    return found
