"""Who waits for in-app messages: streams sleep here until their customer's number is called."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from engine.http.problems import Problem

MOST_STREAMS = 10_000
MOST_A_CUSTOMER = 5


class Wakes:
    """Events by customer number. A wake says only: look at the inbox."""

    def __init__(self) -> None:
        self._waiting: dict[int, set[asyncio.Event]] = {}
        self.streams = 0
        self.closing = False

    @contextmanager
    def stream(self, number: int) -> Iterator[asyncio.Event]:
        """An event that is set whenever *number* may have news; raises the `Problem` of a full house."""
        if self.closing or self.streams >= MOST_STREAMS:
            raise Problem.busy(5, "too many streams are open")
        mine = self._waiting.setdefault(number, set())
        if len(mine) >= MOST_A_CUSTOMER:
            raise Problem("too_many_requests", "close another stream first", headers=[(b"retry-after", b"5")])
        event = asyncio.Event()
        mine.add(event)
        self.streams += 1
        try:
            yield event
        finally:
            self.streams -= 1
            mine.discard(event)
            if not mine:
                self._waiting.pop(number, None)

    def somebody(self, number: str) -> None:
        """A notice with a customer's number; anything else is ignored."""
        if number.isascii() and number.isdigit() and len(number) <= 18:
            for event in self._waiting.get(int(number), ()):
                event.set()

    def everybody(self) -> None:
        """Notices may have been lost: all look."""
        for events in self._waiting.values():
            for event in events:
                event.set()

    def close(self) -> None:
        """The process drains: every stream ends."""
        self.closing = True
        self.everybody()
