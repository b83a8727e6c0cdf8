"""Visits that are told once the lateness window has closed: the same however the pings came, and a slow twin's.

The twin knows all pings at once: it drops what has the time of another, sorts, and asks `tests.reference.geo_visits`.
"""

from __future__ import annotations

import random
from typing import Any, TypeAlias

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from geo.fence import Circle
from geo.index import FenceIndex
from geo.presence import Presence
from geo.records import RULES, Kind, Reason
from geo.settling import LATE_MS, Settling
from geo.transitions import PING, advance
from tests.reference.geo_ground import edge_m, moved
from tests.reference.geo_visits import Ping, Twin

START_MS = 1_700_000_000_000
TOWN = (60.17, 24.94)
CIRCLES = [
    Circle(4, *TOWN, 25.0),
    Circle(7, *moved(*TOWN, 0.0, 120.0), 60.0),
    Circle(9, *moved(*TOWN, 60.0, 0.0), 30.0),
]
INDEX = FenceIndex.build(CIRCLES)
FAR_MS = 1 << 45
Heard: TypeAlias = list[tuple[int, int]]
"""(number of the ping, log time after the start), in the order of the log."""

fixes = st.tuples(
    st.integers(0, 2),
    st.integers(0, 240),
    st.tuples(st.integers(-20, 20), st.integers(-20, 25)),
    st.sampled_from([5.0, 5.0, 20.0, 60.0, 0.0]),
)


def _pings(walk: list[Any]) -> np.ndarray[Any, Any]:
    """PING[n]; times in whole seconds after the start, so that some are the same."""
    pings = np.zeros(len(walk), PING)
    for ping, (row, at_s, (north, east), accuracy_m) in zip(pings, walk, strict=True):
        ping["row"], ping["at_ms"], ping["accuracy_m"] = row, START_MS + at_s * 1_000, accuracy_m
        ping["lat"], ping["lng"] = moved(*TOWN, 8.0 * north, 8.0 * east)
    return pings


def _settled(pings: np.ndarray[Any, Any], heard: Heard, settle_every_ms: int = 1_000) -> list[tuple[int, ...]]:
    """What is told, ticks in between: (row, fence, since, until, reason), sorted."""
    settling, told, ticked_ms = Settling(), [], 0
    for number, log_ms in heard:
        while ticked_ms + settle_every_ms <= log_ms:
            ticked_ms += settle_every_ms
            told.append(settling.settle(INDEX, ticked_ms))
        settling.hear(pings[number : number + 1], log_ms)
    told.append(settling.settle(INDEX, FAR_MS))
    told.append(settling.settle(INDEX, 2 * FAR_MS))
    assert settling.waiting == 0
    return sorted(
        (int(v["row"]), int(v["fence"]), int(v["since_ms"]), int(v["until_ms"]), int(v["reason"]))
        for visits in told
        for v in visits
    )


def _twin(pings: np.ndarray[Any, Any]) -> list[tuple[int, ...]]:
    """All pings at once, in the order of (customer, time), the first by place of those of one time."""
    one_each: dict[tuple[int, int], Ping] = {}
    for row, lat, lng, accuracy_m, at_ms in sorted(pings.tolist(), key=lambda p: (p[0], p[4], p[1], p[2], p[3])):
        one_each.setdefault((row, at_ms), Ping(row, lat, lng, accuracy_m, at_ms))
    twin, out = Twin(CIRCLES), []
    ids = sorted(circle.fence for circle in CIRCLES)
    for number, ping in enumerate(one_each.values()):
        for kind, reason, _, _, row, fence, since_ms, at_ms, _ in twin.ping(number, ping):
            if kind == Kind.EXIT:
                out.append((row, ids[fence], since_ms, at_ms, int(reason)))
    for (row, fence), stay in twin.stays.items():
        out.append((row, fence, stay.since_ms, stay.last_ms, int(Reason.TIMEOUT)))
    return sorted(out)


def _clear(pings: np.ndarray[Any, Any]) -> bool:
    """No fix lies on a limit, where two formulas may differ."""
    for ping in pings:
        accuracy_m = ping["accuracy_m"] if ping["accuracy_m"] > 0 else 50.0
        for circle in CIRCLES:
            edge = edge_m(circle, ping["lat"], ping["lng"])
            if any(abs(edge - limit) < 1e-6 for limit in (0.0, accuracy_m + 20.0, 20.0)):
                return False
    return True


@settings(max_examples=150, deadline=None)
@given(st.lists(fixes, max_size=30), st.randoms(use_true_random=False))
def test_visits_are_the_same_under_any_shuffle_and_repetition_in_the_window(
    walk: list[Any], dice: random.Random
) -> None:
    pings = _pings(walk)
    assume(_clear(pings))
    again = [dice.randrange(len(pings)) for _ in range(dice.randint(0, 8) if walk else 0)]
    came = [(int(pings[n]["at_ms"]) - START_MS + dice.randrange(LATE_MS), n) for n in [*range(len(pings)), *again]]
    assert _settled(pings, [(number, log_ms) for log_ms, number in sorted(came)]) == _twin(pings)


@settings(max_examples=60, deadline=None)
@given(st.lists(fixes, max_size=40))
def test_in_order_the_visits_are_those_that_triggers_told(walk: list[Any]) -> None:
    pings = _pings(walk)
    pings = pings[np.argsort(pings["at_ms"], kind="stable")]
    one_each = {(int(p["row"]), int(p["at_ms"])): k for k, p in reversed(list(enumerate(pings)))}
    pings = pings[sorted(one_each.values())]
    moved_on = advance(Presence(), INDEX, pings).transitions
    exits = moved_on[moved_on["kind"] == int(Kind.EXIT)]
    live = sorted((int(e["row"]), int(INDEX.fence[e["fence"]]), int(e["since_ms"]), int(e["at_ms"])) for e in exits)
    heard = [(number, int(ping["at_ms"]) - START_MS) for number, ping in enumerate(pings)]
    assert [visit[:4] for visit in _settled(pings, heard) if visit[4] == Reason.LEFT] == live


def _at(row: int, at_s: float, north_m: float) -> np.ndarray[Any, Any]:
    return np.array([(row, *moved(*TOWN, north_m, 0.0), 5.0, START_MS + round(1_000 * at_s))], PING)


def test_who_comes_after_the_window_is_too_late() -> None:
    settling = Settling()
    settling.hear(_at(0, 0.0, 0.0), 0)
    settling.hear(_at(0, 100.0, 400.0), 1)
    assert len(settling.settle(INDEX, LATE_MS + 1)) == 1
    settling.hear(_at(0, 50.0, 0.0), LATE_MS + 2)
    assert len(settling.settle(INDEX, FAR_MS)) == 0


def test_before_the_window_closes_nothing_is_told() -> None:
    settling = Settling()
    settling.hear(_at(0, 0.0, 0.0), 0)
    settling.hear(_at(0, 100.0, 400.0), 0)
    assert len(settling.settle(INDEX, LATE_MS - 1)) == 0
    assert settling.waiting == 2
    visit = settling.settle(INDEX, LATE_MS)[0]
    assert (int(visit["until_ms"] - visit["since_ms"]), int(visit["fence"])) == (100_000, 4)


def test_who_is_forgotten_leaves_no_visit_and_no_ping() -> None:
    settling = Settling()
    for row in (0, 1):
        settling.hear(_at(row, 0.0, 0.0), 0)
        settling.hear(_at(row, 100.0, 400.0), 0)
    settling.forget(0)
    settling.hear(_at(0, 5.0, 0.0), 5)
    settling.hear(_at(0, 105.0, 400.0), 5)
    ended = settling.settle(INDEX, FAR_MS)
    assert [(int(v["row"]), int(v["since_ms"]) - START_MS) for v in ended] == [(0, 5_000), (1, 0)]


def test_a_new_owner_goes_on_from_presence() -> None:
    presence = Presence()
    advance(presence, INDEX, _at(3, 0.0, 0.0))
    settling = Settling().going_on(presence)
    settling.hear(_at(3, 60.0, 400.0), 60_000)
    ended = settling.settle(INDEX, FAR_MS)
    assert [(int(v["row"]), int(v["since_ms"]) - START_MS, int(v["until_ms"]) - START_MS) for v in ended] == [
        (3, 0, 60_000)
    ]
    assert presence.visits(3), "its own presence is another one"


def test_who_is_silent_for_half_an_hour_has_left() -> None:
    settling = Settling()
    settling.hear(_at(0, 0.0, 0.0), 0)
    assert len(settling.settle(INDEX, LATE_MS + RULES.silent_ms)) == 0
    gone = settling.settle(INDEX, LATE_MS + RULES.silent_ms + 60_001)
    assert gone["reason"].tolist() == [Reason.TIMEOUT]
