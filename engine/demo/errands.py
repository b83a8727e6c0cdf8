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
from engine.demo.setup import Town
from engine.demo.traffic import Traffic

SEARCHES_S, PURCHASES_S = 0.25, 0.5
"""Seconds between two searches, two purchases."""
RADIUS_M = 800


class Errands:
    """Somebody searches where they stand; somebody buys something."""

    def __init__(self, town: Town, clock: Clock, people: Sequence[Person], traffic: Traffic, seed: int) -> None:
        self._town, self._clock, self._traffic = town, clock, traffic
        self._people = [person for person in people if person.allows_all]
        self._random = np.random.default_rng((seed, 4))

    async def run(self, words: Sequence[str], books: Books) -> None:
        """Until cancelled; *words* is what people search for."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._search_on(words))
            tasks.create_task(self._buy_on(books))

    async def _search_on(self, words: Sequence[str]) -> None:
        while True:
            person, phrase = self._somebody(), words[int(self._random.integers(len(words)))]
            place = {"lat": self._traffic.lat_deg[person.phone], "lng": self._traffic.lng_deg[person.phone]}
            query = urlencode({"q": phrase, "radius_m": RADIUS_M, "customer": person.id, **place})
            await self._town.app.ask("GET", f"/v1/search?{query}")
            await asyncio.sleep(SEARCHES_S)

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
