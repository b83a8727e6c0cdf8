"""The breaker of a lane: opens when half of the answers are failures, lets a twentieth through after half a minute.

Pure; time is an argument. Failures are 5xx and timeouts: what says nothing about the message itself.
"""

from __future__ import annotations

from collections import deque

WINDOW_S = 10
LEAST_SAMPLES = 200
SHARE = 0.5
OPEN_S = 30.0
PROBE = 0.05
PROBES = 20
"""Answers of probes after which the half-open breaker decides."""


class Breaker:
    """Mutable, one writer; *now_s* never runs back."""

    def __init__(self) -> None:
        self._seconds: deque[list[int]] = deque()  # [second, answers, failures]
        self._opened_s: float | None = None
        self._probes = 0
        self._failed = 0

    def note(self, failed: bool, now_s: float) -> bool:
        """Count one answer; True when it opened the breaker."""
        if self._opened_s is not None:
            return self._probed(failed, now_s)
        second = int(now_s)
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append([second, 0, 0])
        self._seconds[-1][1] += 1
        self._seconds[-1][2] += failed
        if failed and self._broken(second):
            self._open(now_s)
            return True
        return False

    def share(self, now_s: float) -> float:
        """Share of the messages that may go: 1 closed, 0 open, `PROBE` half-open."""
        if self._opened_s is None:
            return 1.0
        return PROBE if now_s >= self._opened_s + OPEN_S else 0.0

    def opens_in_s(self, now_s: float) -> float:
        """Seconds until probes may go; 0 when something may go now."""
        return 0.0 if self._opened_s is None else max(0.0, self._opened_s + OPEN_S - now_s)

    def failing(self, now_s: float) -> float:
        """Share of failures among the answers of the last seconds; 0 when there were none."""
        self._forget(int(now_s))
        answers = sum(one[1] for one in self._seconds)
        return sum(one[2] for one in self._seconds) / answers if answers else 0.0

    def _broken(self, second: int) -> bool:
        self._forget(second)
        answers = sum(one[1] for one in self._seconds)
        return answers >= LEAST_SAMPLES and sum(one[2] for one in self._seconds) >= SHARE * answers

    def _probed(self, failed: bool, now_s: float) -> bool:
        if self._opened_s is None or now_s < self._opened_s + OPEN_S:
            return False  # an answer of before
        self._probes += 1
        self._failed += failed
        if self._probes < PROBES:
            return False
        if self._failed >= SHARE * self._probes:
            self._open(now_s)
            return True
        self._opened_s = None
        self._seconds.clear()
        return False

    def _open(self, now_s: float) -> None:
        self._opened_s, self._probes, self._failed = now_s, 0, 0

    def _forget(self, second: int) -> None:
        while self._seconds and self._seconds[0][0] <= second - WINDOW_S:
            self._seconds.popleft()
