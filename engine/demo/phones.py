"""What happens on phones: pushes arrive (read from the stand-in's ledger), are shown, and some coupons go to a till.

A phone acts with its own short-lived token; streams are real in-app streams of a few phones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from engine.demo.api import Caller
from engine.demo.people import Person
from engine.demo.setup import Town
from engine.standin.ledger import Arrival

POLL_S = 0.2
WORKERS = 8
PAGE = 500
STREAM_PAUSE_S = 0.5


class _Page(msgspec.Struct):
    arrivals: list[Arrival]
    next: int


@dataclass(frozen=True)
class Push:
    """A push that arrived on a phone."""

    person: Person
    arrival: Arrival


class Phones:
    """Tokens by phone, and everything that follows a push. `watch` is told of every arrival, accepted or not."""

    def __init__(self, town: Town, people: Sequence[Person], stand_in: Caller) -> None:
        self._town, self._stand_in = town, stand_in
        self._by_registration = {person.registration: person for person in people}
        self._tokens: dict[int, Caller] = {}
        self._arrived: asyncio.Queue[Push] = asyncio.Queue()
        self.watch: list[Callable[[Push], None]] = []

    async def caller(self, person: Person) -> Caller:
        """The phone's own caller; its token is minted once."""
        if person.phone not in self._tokens:
            app = self._town.app
            minted = await app.must("POST", f"/v1/customers/{person.id}/token")
            self._tokens[person.phone] = Caller(app.client, app.url, minted["token"])
        return self._tokens[person.phone]

    async def run(self, carry: Callable[[Push], Awaitable[None]]) -> None:
        """Follow the ledger until cancelled; *carry* is awaited for each accepted push that was shown."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            for _ in range(WORKERS):
                tasks.create_task(self._work(carry))

    async def _follow(self) -> None:
        since = 0
        while True:
            answer = await self._stand_in.ask("GET", f"/ledger?since={since}&limit={PAGE}")
            if answer.status == 200:
                page = msgspec.json.decode(answer.body, type=_Page)
                since = page.next
                for arrival in page.arrivals:
                    self._hear(arrival)
            await asyncio.sleep(POLL_S)

    def _hear(self, arrival: Arrival) -> None:
        person = self._by_registration.get(arrival.registration)
        if person is not None:
            push = Push(person, arrival)
            for watcher in self.watch:
                watcher(push)
            if arrival.accepted:
                self._arrived.put_nowait(push)

    async def _work(self, carry: Callable[[Push], Awaitable[None]]) -> None:
        while True:
            push = await self._arrived.get()
            caller = await self.caller(push.person)
            await caller.ask("POST", "/v1/receipts", receipt(push.arrival.tag, "fcm"))
            await carry(push)

    async def stream(self, person: Person, tell: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        """Keep the phone's in-app stream open until cancelled; *tell* hears every message once, then it is shown."""
        caller, last = await self.caller(person), 0
        while True:
            async for seq, data in caller.events(last):
                if seq > last:
                    last, message = seq, msgspec.json.decode(data)
                    await tell(message)
                    await caller.ask("POST", "/v1/receipts", receipt(message["decision"], "inapp"))
            await asyncio.sleep(STREAM_PAUSE_S)


def receipt(decision: str, channel: str) -> dict[str, str]:
    """The body of POST /v1/receipts: it was shown."""
    return {"decision": decision, "kind": "shown", "channel": channel}
