"""Deadlines of requests: one timer looks after all of them.

A timer a request, set and cancelled thousands of times a second, costs more than the checks of a ping. Here a request
puts itself on a list and takes itself off; every `LOOK_S` the timer cancels those that are over their time.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

LOOK_S = 0.1
"""A deadline passes at most this much late."""


class Deadlines:
    """The requests of one event loop."""

    def __init__(self) -> None:
        self._running: set[Deadline] = set()
        self._timer: asyncio.TimerHandle | None = None

    def within(self, seconds: float) -> Deadline:
        """A context manager that raises TimeoutError when its block takes longer; see `Deadline.renew`."""
        return Deadline(self, seconds)

    def _add(self, deadline: Deadline) -> None:
        self._running.add(deadline)
        if self._timer is None:
            self._timer = deadline.loop.call_later(LOOK_S, self._look)

    def _remove(self, deadline: Deadline) -> None:
        self._running.discard(deadline)

    def _look(self) -> None:
        self._timer = None
        for deadline in self._running:
            deadline.check()
        if self._running:
            loop = next(iter(self._running)).loop
            self._timer = loop.call_later(LOOK_S, self._look)


class Deadline:
    """One request's time; made by `Deadlines.within`."""

    __slots__ = ("_all", "_cancelling", "_expired", "_seconds", "_task", "_until", "loop")

    def __init__(self, all_of_them: Deadlines, seconds: float) -> None:
        self._all = all_of_them
        self._seconds = seconds
        self._expired = False
        self.loop = asyncio.get_running_loop()

    def __enter__(self) -> Deadline:
        task = asyncio.current_task(self.loop)
        assert task is not None, "a deadline cancels a task"
        self._task = task
        self._cancelling = task.cancelling()
        self.renew(self._seconds)
        self._all._add(self)
        return self

    def renew(self, seconds: float) -> None:
        """From now on this many seconds are left."""
        self._until = self.loop.time() + seconds

    def check(self) -> None:
        """Cancel the request when its time is over; once."""
        if not self._expired and self.loop.time() > self._until:
            self._expired = True
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._all._remove(self)
        # As in asyncio.timeout: a cancellation from elsewhere, at the same time, stays a cancellation.
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
