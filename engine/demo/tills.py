"""Coupons at tills: most once, some shown at two tills in the same moment, by the customer's own code."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import numpy as np

from engine.demo.api import Caller
from engine.demo.households import CURRENCY
from engine.demo.phones import Phones, Push
from engine.demo.setup import Town

BASKET_MINOR = 2_500
REDEEM = 0.15
"""Share of the shown pushes whose customers walk to the till; made up."""
TWICE_FIRST = 40
"""So many of the first coupons that are redeemed are shown at two tills at once."""
CREATED, CONFLICT = 201, 409


@dataclass
class Shown:
    """What the tills were shown and what they were answered; a second source beside the store."""

    twice: list[str] = field(default_factory=list)
    redeemed: int = 0
    refused: int = 0
    """409: redeemed before."""
    other: list[int] = field(default_factory=list)


class Tills:
    """Takes coupons from phones to tills."""

    def __init__(self, town: Town, phones: Phones, seed: int) -> None:
        self._phones = phones
        self._tills = {chain.name: retailer.tills for chain, retailer in town.retailers.items()}
        self._random = np.random.default_rng((seed, 3))
        self.shown = Shown()

    async def carry(self, push: Push) -> None:
        """Perhaps redeem the push's coupon: the first ones at two tills at once, and then a share."""
        at_two = len(self.shown.twice) < TWICE_FIRST and push.person.part != "waiting"
        if at_two or self._random.uniform() < REDEEM:
            coupon = await self._coupon(push)
            if coupon is not None and coupon["state"] == "issued":
                await self._redeem(coupon, at_two)

    async def _coupon(self, push: Push) -> Any:
        """The coupon as its customer sees it, code and all."""
        caller = await self._phones.caller(push.person)
        answer = await caller.ask("GET", f"/v1/coupons/{quote(push.arrival.data['coupon'])}")
        return answer.json() if answer.status == 200 else None

    async def _redeem(self, coupon: dict[str, Any], at_two: bool) -> None:
        tills = self._tills[coupon["retailer"]]
        asked = [self._at(till, n, coupon) for n, till in enumerate(tills if at_two else tills[:1], 1)]
        for status in await asyncio.gather(*asked):
            self._note(status)
        if at_two:  # noted when both have answered: what a stop of the demo cut short proves nothing
            self.shown.twice.append(coupon["id"])

    async def _at(self, till: Caller, number: int, coupon: dict[str, Any]) -> int:
        body = {
            "code": coupon["code"],
            "basket_minor": BASKET_MINOR,
            "currency": CURRENCY,
            "till": f"till {number}",
            "store": coupon["store"],
        }
        answer = await till.ask("POST", "/v1/redemptions", body, once=f"{coupon['id']}-{number}")
        return answer.status

    def _note(self, status: int) -> None:
        if status == CREATED:
            self.shown.redeemed += 1
        elif status == CONFLICT:
            self.shown.refused += 1
        else:
            self.shown.other.append(status)
