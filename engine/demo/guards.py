"""What is tried on purpose: consent withdrawn in mid-run, also with a push waiting, and a matcher killed.

The other guards are tried by the traffic itself: pings twice and late (`traffic`), fences entered again (`rides`),
coupons at two tills (`tills`), campaigns too small for the town (`campaigns`).
"""

from __future__ import annotations

import asyncio
import math
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.clock import Clock
from engine.demo.api import Caller
from engine.demo.people import PURPOSES, Person
from engine.demo.phones import Push
from engine.demo.setup import Town
from engine.supervise import Stack

REVOKE_SHARE = 0.015
FROM, UNTIL, KILL_AT = 0.15, 0.8, 0.4
"""Parts of the run."""
MARKETING = ("marketing_push", "marketing_inapp")
VICTIM = "matcher"
TURNED_AWAY = {"answer": "quota_device", "retry_after": "10", "times": 7}
"""FCM says that this phone gets too many messages: the push certainly did not arrive, and waits for another attempt."""


@dataclass
class Tried:
    """What was done; times in engine milliseconds."""

    revoked: dict[str, int] = field(default_factory=dict)
    """Customer id → when the API had answered."""
    waiting: int = 0
    """Revoked while a push of theirs waited for its next attempt."""
    killed: int = 0
    restarted: bool = False


class Guards:
    """Runs beside the traffic."""

    def __init__(self, town: Town, stack: Stack, clock: Clock, people: Sequence[Person]) -> None:
        self._town, self._stack, self._clock, self._people = town, stack, clock, people
        self._told: asyncio.Queue[Person] = asyncio.Queue()
        self.tried = Tried()

    async def prepare(self, stand_in: Caller) -> None:
        """Let the stand-in be busy for the waiting phones, so that their pushes have to wait."""
        for person in self._people:
            if person.part == "waiting":
                await stand_in.must("POST", "/script", {"registration": person.registration, "answers": [TURNED_AWAY]})

    def hear(self, push: Push) -> None:
        """An arrival at the stand-in: a waiting phone's push was turned away and is queued again."""
        if push.person.part == "waiting" and not push.arrival.accepted and push.person.id not in self.tried.revoked:
            self.tried.revoked[push.person.id] = 0
            self._told.put_nowait(push.person)

    async def run(self, seconds: float) -> None:
        """Everything within *seconds*, then done (the waiting phones are served until cancelled)."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._revoke_waiting())
            tasks.create_task(self._revoke_some(seconds))
            tasks.create_task(self._kill(seconds))

    async def _revoke_waiting(self) -> None:
        while True:
            await self._revoke(await self._told.get(), MARKETING)
            self.tried.waiting += 1

    async def _revoke_some(self, seconds: float) -> None:
        """A share of the customers, evenly over the run; every second one everything, the others marketing alone."""
        able = [person for person in self._people if person.part == "walker" and person.allows_all]
        some = able[: max(2, math.ceil(REVOKE_SHARE * len(self._people)))]
        await asyncio.sleep(seconds * FROM)
        for n, person in enumerate(some):
            await self._revoke(person, PURPOSES if n % 2 else MARKETING)
            await asyncio.sleep(seconds * (UNTIL - FROM) / len(some))

    async def _revoke(self, person: Person, purposes: Sequence[str]) -> None:
        await self._town.app.must("PUT", f"/v1/customers/{person.id}/consents", dict.fromkeys(purposes, False))
        self.tried.revoked[person.id] = self._clock.now_ms()

    async def _kill(self, seconds: float) -> None:
        """SIGKILL to one of the matchers; the other takes over, the supervisor starts it again."""
        await asyncio.sleep(seconds * KILL_AT)
        self.tried.killed = self._stack.kill(VICTIM, signal.SIGKILL)
        while self._stack.pid(VICTIM) in {None, self.tried.killed}:  # noqa: ASYNC110 - the stack tells nobody
            await asyncio.sleep(0.1)
        self.tried.restarted = True
