"""Two recorded tracks, carried into the demo's city, through the real step: the visits a person would draw by hand.

Drawn with a map, a ruler and a clock: around each shop a circle of 40 m; a visit begins at the track's first fix in the
circle and goes on through every loop that stays near, until the track is farther than the circle and 26 m more (the 6 m
that the fixes claim, and 20 m) away. The seconds are those since the track's first fix.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from engine.demo.city import read_city
from engine.demo.shift import shift_into_city
from engine.demo.streets import read_streets
from engine.demo.tracks import RIDE, RUN, Track, read_track
from engine.log.entries import Entry, EntryKind, Payload, PingBatch
from engine.log.keys import SEQ_BITS
from engine.matcher.decision import StepResult
from engine.matcher.state import State
from engine.matcher.step import step
from offers.catalogue import CampaignRow, Catalogue
from offers.compile import compile_snapshot
from tests.reference.offers_world import NOW_MS, campaign, store

P = 5
HELLO_S = 4
"""At a fix a second five fixes have to agree."""

BY_HAND = {
    "run.tcx.gz": [
        # A warm-up: it loops around the shop at 40 to 65 m for five minutes, one visit; back at the end of the long
        # round, where the watch stood still for 400 s before it went on.
        ("Pien", 86, 394),
        # On the way out and on the way home, each time past the door at 3 or 4 m.
        ("Grande Grill", 249, 425),
        # Three minutes of exercises on the corner, at 16 to 60 m.
        ("Picnic", 650, 841),
        # The far end of the round: once across the corner, 26 s.
        ("Patricia", 1485, 1511),
        # Home: 40 s along the same street, at 21 m.
        ("Picnic", 1562, 1604),
        ("Grande Grill", 1720, 1829),
        ("Pien", 1744, 2577),
        # The last stretch: two and a half minutes around the laundry.
        ("Pyykkipoika", 3437, 3614),
        # And the optician next to it, as it goes on.
        ("Salme", 3695, 3746),
    ],
    "ride.gpx.gz": [
        # A bicycle at 4 m/s crosses a circle in about 20 s; each is passed once.
        ("Pikkudami", 3454, 3479),
        ("Patricia", 3687, 3716),
        ("Salme", 3808, 3825),
    ],
}
PLACES = {"Pien": 5143651443, "Grande Grill": 4754875498, "Picnic": 600394446, "Pyykkipoika": 4751244133}
PLACES |= {"Pikkudami": 24936253, "Patricia": 606944616, "Salme": 4751244151}


@cache
def _tracks() -> dict[str, Track]:
    city = read_city()
    streets = read_streets(city.plane)
    return {
        path.name: shift_into_city(read_track(path), city, streets).track.starting_at(NOW_MS) for path in (RUN, RIDE)
    }


@cache
def _walked(name: str) -> StepResult:
    """The step's answer to the track, a batch every five seconds and a tick every second, to half an hour after."""
    shops = {shop.place_id: shop for shop in read_city().shops}
    stores = [store(n, lat=shops[id].lat_deg, lng=shops[id].lng_deg) for n, id in enumerate(PLACES.values(), 1)]
    hello = campaign(
        code="hello", radius_m=40, cap={"coupons": 100, "per_days": 1}, schedule={"only_while_open": False}
    )
    snapshot = compile_snapshot(Catalogue(stores, [], [CampaignRow(1, 1, hello)]), NOW_MS)
    state = State(P, snapshot=snapshot, revision=1)
    state.reserve(1)
    state.consents[0] = 63
    state.blocks.grant(1, 100)
    return step(state, _log(_tracks()[name]), {})


def _log(track: Track) -> list[Entry]:
    entries: list[Entry] = []

    def append(at_ms: int, kind: EntryKind, payload: Payload) -> None:
        entries.append(Entry((at_ms << SEQ_BITS) + len(entries), at_ms, kind, payload))

    last_s = int(track.at_ms[-1] - NOW_MS) // 1_000 + 3_600
    for tick_s in range(1, last_s):
        low, high = NOW_MS + (tick_s - 5) * 1_000, NOW_MS + tick_s * 1_000
        due = (track.at_ms >= low) & (track.at_ms < high) & (tick_s % 5 == 0)
        if due.any():
            n = int(due.sum())
            columns = track.lat_deg[due], track.lng_deg[due], np.full(n, 6.0, np.float32), track.at_ms[due]
            append(high, EntryKind.PINGS, PingBatch(np.full(n, P, np.int64), *columns))
        append(high, EntryKind.TICK, None)
    return entries


@pytest.mark.parametrize("name", BY_HAND)
def test_a_real_track_gives_the_visits_a_person_would_draw(name: str) -> None:
    result, places = _walked(name), list(PLACES)
    told = [visit for visits in result.visits for visit in visits]
    seconds = sorted(
        (round((int(v["since_ms"]) - NOW_MS) / 1_000), round((int(v["until_ms"]) - NOW_MS) / 1_000)) for v in told
    )
    assert seconds == sorted((since_s, until_s) for _, since_s, until_s in BY_HAND[name])
    greeted = sorted((places[d.store - 1], round((d.event_at_ms - NOW_MS) / 1_000)) for d in result.decisions)
    assert greeted == sorted((shop, since_s + HELLO_S) for shop, since_s, _ in BY_HAND[name])


@pytest.mark.parametrize("name", BY_HAND)
def test_a_real_track_has_as_many_exits_as_enters(name: str) -> None:
    tally = _walked(name).tally
    assert tally[0, "trigger.enter"] == tally[0, "trigger.exit"] == tally[0, "visit.left"] == len(BY_HAND[name])
