"""FCM's rates: 600,000 messages a minute and project, 240 a minute and 5,000 an hour and Android device.

Source: Firebase, "Throttling and quotas". Windows open with the first message, so they are not aligned to the clock;
what is answered 429 does not count.
"""

from __future__ import annotations

from dataclasses import dataclass

PROJECT_A_MINUTE = 600_000
DEVICE_A_MINUTE = 240
DEVICE_AN_HOUR = 5_000
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
FORGET_ABOVE = 100_000
"""Devices remembered before those whose hour is over are forgotten."""


@dataclass(slots=True)
class Window:
    """At most `most` in `length_ms`. Times are epoch ms, given by the caller."""

    most: int
    length_ms: int
    opened_ms: int = 0
    count: int = 0

    def full_for_ms(self, now_ms: int) -> int:
        """0 when one more fits now, else the time until the window closes."""
        if now_ms >= self.opened_ms + self.length_ms:
            self.opened_ms, self.count = now_ms, 0
        return 0 if self.count < self.most else self.opened_ms + self.length_ms - now_ms


class Limits:
    """The rates of one project; smaller ones suit a test."""

    def __init__(self, project_a_minute: int = PROJECT_A_MINUTE, device_a_minute: int = DEVICE_A_MINUTE) -> None:
        self._project = Window(project_a_minute, MINUTE_MS)
        self._device_a_minute = device_a_minute
        self._devices: dict[str, tuple[Window, Window]] = {}

    def project_full_for_ms(self, now_ms: int) -> int:
        """Count one request of the project: 0, or how long it must wait (and is not counted)."""
        return _take((self._project,), now_ms)

    def device_full_for_ms(self, registration: str, now_ms: int) -> int:
        """Count one message for *registration*: 0, or how long it must wait (and is not counted)."""
        windows = self._devices.get(registration)
        if windows is None:
            self._forget(now_ms)
            windows = Window(self._device_a_minute, MINUTE_MS), Window(DEVICE_AN_HOUR, HOUR_MS)
            self._devices[registration] = windows
        return _take(windows, now_ms)

    def _forget(self, now_ms: int) -> None:
        if len(self._devices) > FORGET_ABOVE:
            fresh = {r: w for r, w in self._devices.items() if now_ms < w[1].opened_ms + HOUR_MS}
            self._devices = fresh if len(fresh) <= FORGET_ABOVE else {}


def _take(windows: tuple[Window, ...], now_ms: int) -> int:
    wait_ms = max(window.full_for_ms(now_ms) for window in windows)
    if wait_ms == 0:
        for window in windows:
            window.count += 1
    return wait_ms
