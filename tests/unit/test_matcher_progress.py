"""A long compile says how far it is; a short one says nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from structlog.testing import capture_logs

from engine.clock import Clock
from engine.matcher.progress import EVERY_MS, Progress


@dataclass(frozen=True)
class Steps(Clock):
    """Each asking is *step_ms* later."""

    step_ms: int = 0
    asked: list[int] = field(default_factory=list)

    def now_ms(self) -> int:
        self.asked.append(0)
        return 1_000 + len(self.asked) * self.step_ms


def _logged(step_ms: int) -> list[tuple[int, int]]:
    with capture_logs() as logs:
        progress = Progress(Steps(step_ms=step_ms))
        for done in range(1, 7):
            progress(done, 6)
    assert {line["event"] for line in logs} <= {"snapshot.compiling"}
    return [(line["done"], line["total"]) for line in logs]


def test_it_tells_every_few_seconds() -> None:
    assert _logged(EVERY_MS // 2) == [(2, 6), (4, 6), (6, 6)]


def test_a_short_compile_is_silent() -> None:
    assert _logged(EVERY_MS // 10) == []
