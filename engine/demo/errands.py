"""Searches and purchases of people in town, at a steady rate."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import urlencode

import numpy as np

from engine.clock import Clock
from engine.demo.chains import Chain
from engine.demo.households import CURRENCY
from engine.demo.people import Person
from engine.demo.receipts import Books, instant
from engine.demo.scene import Wanted
from engine.demo.setup import Town
from engine.demo.traffic import Traffic

SEARCHES_S, PURCHASES_S = 0.5, 0.5
"""Seconds between two searches, two purchases."""
RADIUS_M = 800
KEEN = 3


class Errands:
    """Somebody searches where they stand; somebody buys something."""

    def __init__(self, town: Town, clock: Clock, people: Sequence[Person], traffic: Traffic, seed: int) -> None:
        self._town, self._clock, self._traffic = town, clock, traffic
        self._people = [person for person in people if person.allows_all]
        self._random = np.random.default_rng((seed, 4))

    async def run(self, wanted: Sequence[Wanted], books: Books) -> None:
        """Until cancelled; *wanted* is what people search for."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._search_on(wanted))
            tasks.create_task(self._buy_on(books))

    async def _search_on(self, wanted: Sequence[Wanted]) -> None:
        """In turn somebody anywhere in town, and somebody keen who asks again and again at a shop's door (caps)."""
        keen = [person for person in self._people if person.part == "rider"][:KEEN]
        while True:
            one, person = wanted[int(self._random.integers(len(wanted)))], self._somebody()
            lat_deg, lng_deg = self._traffic.lat_deg[person.phone], self._traffic.lng_deg[person.phone]
            await self._search(person, one.words, float(lat_deg), float(lng_deg))
            regular = keen[int(self._random.integers(len(keen)))]
            await self._search(regular, one.words, one.shop.lat_deg, one.shop.lng_deg)
            await asyncio.sleep(SEARCHES_S)

    async def _search(self, person: Person, words: str, lat_deg: float, lng_deg: float) -> None:
        place = {"lat": lat_deg, "lng": lng_deg, "radius_m": RADIUS_M}
        await self._town.app.ask("GET", f"/v1/search?{urlencode({'q': words, 'customer': person.id} | place)}")

    async def _buy_on(self, books: Books) -> None:
        chains = [chain for chain, rows in books.prices.items() if rows]
        count = 0
        while True:
            chain = chains[int(self._random.integers(len(chains)))]
            count += 1
            await self._buy(chain, books, f"today-{count}")
            await asyncio.sleep(PURCHASES_S)

    async def _buy(self, chain: Chain, books: Books, receipt: str) -> None:
        prices = books.prices[chain]
        price = prices[int(self._random.integers(len(prices)))]
        line = {"product": price["product"], "quantity": 1, "amount_minor": price["price_minor"]}
        purchase = {
            "customer": self._somebody().id,
            "receipt": receipt,
            "at": instant(self._clock.now_ms()),
            "total_minor": price["price_minor"],
            "currency": CURRENCY,
            "lines": [line],
        }
        await self._town.app.ask("POST", f"/v1/purchases?retailer={self._town.retailers[chain].id}", purchase)

    def _somebody(self) -> Person:
        return self._people[int(self._random.integers(len(self._people)))]
