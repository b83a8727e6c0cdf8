"""How far a long compile is, in the log."""

from __future__ import annotations

import structlog

from engine.clock import Clock

log = structlog.get_logger()

EVERY_MS = 3_000


class Progress:
    """Called with how many fences are compiled, and of how many; logs it every few seconds, so a short compile says
    nothing.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due_ms = clock.now_ms() + EVERY_MS

    def __call__(self, done: int, total: int) -> None:
        now_ms = self._clock.now_ms()
        if now_ms >= self._due_ms:
            log.info("snapshot.compiling", done=done, total=total)
            self._due_ms = now_ms + EVERY_MS
