"""A recorded track as the guest's phone: carried into the city, replayed at its own pace past a shop with a campaign.

At its own pace because the engine judges a report's age by its clock: an accelerated track would run ahead of it.
Pauses of the recording are cut, and the part before the first shop that is passed is skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from engine.clock import Clock
from engine.demo.campaigns import LIVE_PLACES, Placed, base, offered_everybody, open_at
from engine.demo.chains import chain_of
from engine.demo.city import City, Shop
from engine.demo.people import Person
from engine.demo.receipts import instant
from engine.demo.shift import Passed, shift_into_city, shops_passed
from engine.demo.streets import Streets
from engine.demo.tracks import Track, TrackError, read_track
from engine.demo.traffic import Report, Traffic

PASSED_M = 25.0
"""Nearer than the fences' radius, so that the track's fix is surely inside."""
LEAD_MS, LONGEST_PAUSE_S, LONGEST_S = 15_000, 5, 90.0
ACCURACY_M = 6.0
GUEST = 0


@dataclass(frozen=True)
class Replay:
    """The part of the track that is replayed, `said` about it on the screen, and the campaign at the passed shop."""

    said: tuple[str, ...]
    track: Track
    shop: Shop
    placed: Placed

    @property
    def seconds(self) -> float:
        """How long it takes, at most `LONGEST_S`."""
        return min(LONGEST_S, float(self.track.at_ms[-1] - self.track.at_ms[0]) / 1000)


def replayed(path: Path, city: City, streets: Streets, now_ms: int) -> Replay:
    """Raises `TrackError` for a file that is no track or, moved into the city, passes no shop of a chain."""
    moved = shift_into_city(read_track(path).without_pauses(LONGEST_PAUSE_S), city, streets)
    met = first_shop(shops_passed(moved.track, city, PASSED_M), now_ms)
    if met is None:
        raise TrackError(f"{path.name}: moved into the city it passes no shop that could have a campaign")
    part = cut(moved.track, met.first_ms - LEAD_MS)
    wait_s = (met.first_ms - int(part.at_ms[0])) / 1000
    said = (
        f"{moved}.",
        f"Replayed at its own pace (a report's age counts), from {wait_s:.0f} s before it passes {met.shop.name}; "
        f"pauses longer than {LONGEST_PAUSE_S} s are cut, and its accuracy ({ACCURACY_M:.0f} m) is simulated.",
    )
    return Replay(said, part, met.shop, campaign_at(met.shop, now_ms))


def first_shop(met: Sequence[Passed], now_ms: int) -> Passed | None:
    """The shop the track stays at longest among those that belong to a chain; open ones before the others."""
    able = [passed for passed in met if chain_of(passed.shop) is not None]
    return min(able, key=lambda passed: not open_at(passed.shop, now_ms), default=None)


def cut(track: Track, from_ms: int) -> Track:
    """*track* without what lies before *from_ms*."""
    keep = track.at_ms >= from_ms
    return Track(track.name, track.lat_deg[keep], track.lng_deg[keep], track.at_ms[keep], track.skipped)


def campaign_at(shop: Shop, now_ms: int) -> Placed:
    """An offer for everybody who comes to *shop*; where it is closed now, one that does not ask for opening hours."""
    chain = chain_of(shop)
    assert chain is not None, "chosen among the chains' shops"
    campaign = offered_everybody(base(chain, [shop], now_ms), "passing-by", chain.thing)
    schedule = msgspec.structs.replace(campaign.schedule, only_while_open=open_at(shop, now_ms))
    return Placed(chain, msgspec.structs.replace(campaign, schedule=schedule, priority=LIVE_PLACES))


class Player:
    """Reports the track's fixes when their time has come: each second those of the last second."""

    def __init__(self, replay: Replay, guest: Person, traffic: Traffic, clock: Clock) -> None:
        self._guest, self._traffic, self._clock = guest, traffic, clock
        self._track, self._next = replay.track, 0

    def report(self) -> list[Report]:
        """The fixes due by now; the first call starts the track."""
        if self._next == 0:
            self._track = self._track.starting_at(self._clock.now_ms())
        due = int((self._track.at_ms <= self._clock.now_ms()).sum())
        rows = [self._row(n) for n in range(self._next, due)]
        self._next = due
        return rows

    def _row(self, n: int) -> Report:
        lat_deg, lng_deg = float(self._track.lat_deg[n]), float(self._track.lng_deg[n])
        self._traffic.lat_deg[GUEST], self._traffic.lng_deg[GUEST] = lat_deg, lng_deg
        return Report(
            self._guest.id, round(lat_deg, 7), round(lng_deg, 7), instant(int(self._track.at_ms[n])), ACCURACY_M
        )
