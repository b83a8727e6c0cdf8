"""The one clock: wall time plus the one offset that log time and SQL share."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """`offset_ms` is added to wall time; the demo uses it to open on a Saturday at 11:00."""

    offset_ms: int = 0

    def now_ms(self) -> int:
        """Engine time, epoch milliseconds."""
        return time.time_ns() // 1_000_000 + self.offset_ms
