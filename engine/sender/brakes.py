"""What holds messages back for a while: the project, a lane, a platform, a device. Times are monotonic seconds."""

from __future__ import annotations

from engine.sender.breaker import Breaker
from engine.sender.lanes import LANES, Lane
from engine.sender.retry import RetryBudget

CLOSED_PLATFORM_S = 600.0
"""A platform whose own credentials are refused is left out for so long; its people get the message elsewhere."""


class Brakes:
    """One sender's. Mutable, one writer."""

    def __init__(self) -> None:
        self.breakers = {lane: Breaker() for lane in LANES}
        self.budgets = {lane: RetryBudget() for lane in LANES}
        self._stopped_until_s = 0.0
        self._platforms: dict[str, float] = {}
        self._devices: dict[int, float] = {}

    def stop(self, until_s: float) -> None:
        """Nothing goes before; an earlier end changes nothing."""
        self._stopped_until_s = max(self._stopped_until_s, until_s)

    def wait_s(self, lane: Lane, now_s: float) -> float:
        """Until something of *lane* may go; 0: now."""
        return max(0.0, self._stopped_until_s - now_s, self.breakers[lane].opens_in_s(now_s))

    def share(self, lane: Lane, now_s: float) -> float:
        """Share of the slots that *lane* may use."""
        return 0.0 if now_s < self._stopped_until_s else self.breakers[lane].share(now_s)

    def may_retry(self, lane: Lane, now_s: float) -> bool:
        """Whether the retry budget of *lane* has one to give; takes it."""
        return self.budgets[lane].allows(self.breakers[lane].failing(now_s))

    def close(self, platform: str, now_s: float) -> bool:
        """Leave out *platform*; True when it was open."""
        was_open = platform not in self.closed(now_s)
        self._platforms[platform] = now_s + CLOSED_PLATFORM_S
        return was_open

    def closed(self, now_s: float) -> list[str]:
        """Platforms to leave out."""
        if self._platforms:
            self._platforms = {name: until_s for name, until_s in self._platforms.items() if until_s > now_s}
        return list(self._platforms)

    def rest(self, device: int, until_s: float, now_s: float) -> None:
        """Leave *device* alone until then."""
        self._devices = {one: end_s for one, end_s in self._devices.items() if end_s > now_s}
        self._devices[device] = until_s

    def rests_s(self, device: int | None, now_s: float) -> float:
        """How long *device* is to be left alone still."""
        return max(0.0, self._devices.get(device, 0.0) - now_s) if self._devices and device is not None else 0.0
