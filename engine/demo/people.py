"""The people of the demo: real households and copies of them, what they allow, and which phones play a part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

import numpy as np

from engine.demo.city import ZONE
from engine.demo.households import customer_id

Part = Literal["walker", "rider", "waiting", "guest"]
"""walker: goes about town; rider: a courier who passes the same shops again and again (caps); waiting: its push is
kept waiting at the stand-in, and it revokes meanwhile; guest: the phone shown on the page, or the replayed track."""

PURPOSES = ("location", "history", "marketing_push", "marketing_inapp", "cross_retailer", "measurement")
NO_CONSENT, NO_MARKETING, NO_HISTORY, CROSS_RETAILER = 0.06, 0.04, 0.10, 0.25
"""Shares of the walkers; made up."""
RIDERS, WAITING = 24, 12


@dataclass(frozen=True)
class Person:
    """One customer with one phone; a `copy` > 0 of a household has no purchases of its own."""

    phone: int
    id: str
    part: Part
    household: int
    copy: int
    consents: dict[str, bool]
    registration: str = field(repr=False)

    @property
    def allows_all(self) -> bool:
        """Whether offers may reach this phone through both channels."""
        return all(self.consents[name] for name in ("location", "history", "marketing_push", "marketing_inapp"))

    def wire(self) -> dict[str, object]:
        """The row of POST /v1/customers."""
        device = {"name": "phone", "platform": "android", "kind": "token", "registration": self.registration}
        return {"id": self.id, "zone": ZONE, "consents": self.consents, "devices": [device]}


def people(households: Sequence[int], count: int, seed: int) -> list[Person]:
    """*count* people: phone 0 is the guest, then riders, waiting ones, walkers; the same for the same *seed*."""
    random = np.random.default_rng((seed, 2))
    order = random.permutation(np.asarray(households))
    draws = random.uniform(size=(count, 3))
    found = []
    for phone in range(count):
        household = int(order[phone % len(order)])
        part = _part(phone)
        consents = _consents(draws[phone]) if part == "walker" else dict.fromkeys(PURPOSES, True)
        found.append(_person(phone, part, household, phone // len(order), consents))
    return found


def _part(phone: int) -> Part:
    if phone <= RIDERS:
        return "rider" if phone else "guest"
    return "waiting" if phone <= RIDERS + WAITING else "walker"


def _person(phone: int, part: Part, household: int, copy: int, consents: dict[str, bool]) -> Person:
    identity = customer_id(household, copy)
    registration = "demo:" + blake2b(identity.encode(), digest_size=32, person=b"registration").hexdigest()
    return Person(phone, identity, part, household, copy, consents, registration)


def _consents(draw: np.ndarray[tuple[int], np.dtype[np.float64]]) -> dict[str, bool]:
    consents = dict.fromkeys(PURPOSES, True)
    consents["cross_retailer"] = bool(draw[1] < CROSS_RETAILER)
    if draw[0] < NO_CONSENT:
        return dict.fromkeys(PURPOSES, False)
    if draw[0] < NO_CONSENT + NO_MARKETING:
        consents["marketing_push"] = consents["marketing_inapp"] = False
    consents["history"] = bool(draw[2] >= NO_HISTORY)
    return consents
