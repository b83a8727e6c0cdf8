"""When a part that died may start again."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Backoff:
    """0.2 s after the first death, doubled to at most 5 s, forgotten after a life of 30 s."""

    first_s: float = 0.2
    longest_s: float = 5.0
    healthy_s: float = 30.0
    _next_s: float = field(default=0.0, init=False)

    def died(self, lived_s: float) -> float:
        """Seconds to wait after a life of *lived_s* seconds."""
        if lived_s >= self.healthy_s or not self._next_s:
            self._next_s = self.first_s
        wait_s, self._next_s = self._next_s, min(self._next_s * 2, self.longest_s)
        return wait_s
