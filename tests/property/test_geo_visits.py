"""Presence against its slow twin, on random walks with random clocks, ticks and changing fences."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from geo.checkpoint import pack, unpack
from geo.fence import Circle
from geo.index import FenceIndex
from geo.pings import PingIndex
from geo.presence import Presence
from geo.starting import appeared, arrive, meet
from geo.starts import Starts, starts_of
from geo.transitions import PING, Advance, Rules, Verdict, advance, switch, tick
from tests.reference.geo_ground import edge_m, moved
from tests.reference.geo_visits import Ping, Twin
from tests.reference.geo_visits import appeared as twin_appeared

START_MS = 1_700_000_000_000
TOWN = (60.17, 24.94)
ROWS = (0, 1, 2, 1_030)
Pings: TypeAlias = np.ndarray[tuple[int], np.dtype[np.void]]

steps_s = st.one_of(st.integers(0, 90), st.sampled_from([0, 1, 300, 599, 601, 1_799, 1_801, 4_000, -5, -60]))
grounds_m = st.tuples(st.integers(-160, 160), st.integers(-160, 160))
accuracies_m = st.sampled_from([5.0, 5.0, 12.5, 40.0, 50.0, 51.0, 130.0, 0.0, -1.0, float("nan"), float("inf")])
moves = st.tuples(st.sampled_from(ROWS), grounds_m, accuracies_m, steps_s)
drawn_fences = st.dictionaries(
    st.integers(1, 9),
    st.tuples(
        st.tuples(st.integers(-120, 120), st.integers(-120, 120)),
        st.sampled_from([15.0, 25.0, 60.0, 130.0, 260.0, 900.0]),
        st.sets(st.sampled_from([30, 60, 300, 700]), max_size=3),
    ),
    max_size=7,
)
acts = st.one_of(
    st.tuples(st.just("pings"), st.lists(moves, max_size=12)),
    st.tuples(st.just("tick"), steps_s),
    st.tuples(st.just("switch"), drawn_fences),
    st.tuples(st.just("begin"), st.sets(st.integers(1, 9))),
)
FRESH_MS = 120_000
RULES = Rules(speed_m_s=20.000_37)
"""Slow enough that many a fix here is a teleport; no whole number of metres lies on its limit."""


def _circles(drawn: dict[int, Any]) -> list[Circle]:
    return [
        Circle(fence, *moved(*TOWN, *map(float, by)), radius_m, tuple(dwells))
        for fence, (by, radius_m, dwells) in drawn.items()
    ]


def _batch(walk: list[Any], clock_ms: int) -> tuple[Pings, int]:
    pings = np.zeros(len(walk), PING)
    for ping, (row, by, accuracy_m, step_s) in zip(pings, walk, strict=True):
        clock_ms += step_s * 1000
        ping["row"], ping["accuracy_m"], ping["at_ms"] = row, accuracy_m, clock_ms
        ping["lat"], ping["lng"] = moved(*TOWN, *map(float, by))
    return pings, clock_ms


def _judgements(pings: Pings, circles: list[Circle]) -> bool:
    """No fix lies so close to a limit that the twin's other formula may decide otherwise."""
    for ping in pings:
        for circle in circles:
            edge = edge_m(circle, ping["lat"], ping["lng"])
            accuracy_m = ping["accuracy_m"] if ping["accuracy_m"] > 0 else 50.0
            limits = (0.0, accuracy_m + 20.0, max(20.0, 0.1 * circle.radius_m))
            if any(abs(edge - limit) < 1e-6 for limit in limits):
                return False
    return True


def _state(presence: Presence, index: FenceIndex) -> dict[tuple[int, int], tuple[int, int, int]]:
    return {
        (row, int(index.fence[visit.fence])): (visit.since_ms, visit.last_ms, visit.dwelt_s)
        for row in ROWS
        for visit in presence.visits(row)
    }


def _claims(presence: Presence, index: FenceIndex) -> dict[tuple[int, int], int]:
    records = [record for row in ROWS for record in presence.pool[presence.slots(row, row + 1)] if not record["begun"]]
    return {(int(one["row"]), int(index.fence[one["fence"]])): int(one["weighed_ms"]) for one in records}


@settings(max_examples=200, deadline=None)
@given(drawn_fences, st.lists(acts, max_size=8))
def test_presence_agrees_with_its_slow_twin(drawn: dict[int, Any], script: list[Any]) -> None:
    circles = _circles(drawn)
    twin, presence, index, clock_ms = Twin(circles, RULES), Presence(), FenceIndex.build(circles), START_MS
    for act, value in script:
        if act == "pings":
            pings, clock_ms = _batch(value, clock_ms)
            assume(_judgements(pings, circles))
            before = twin.counts.copy()
            wanted = [event for number, ping in enumerate(pings) for event in twin.ping(number, Ping(*_values(ping)))]
            result = advance(presence, index, pings, RULES, _starts(index, twin))
            for name in ("accepted", "duplicate", "late"):
                assert getattr(result, name) == twin.counts[name] - before[name], name
            for why in (Verdict.ACCURACY_TOO_LOW, Verdict.ON_BOUNDARY, Verdict.UNCORROBORATED):
                name = why.name.lower()
                assert result.undecided.get(why, 0) == twin.counts[name] - before[name], name
            got = result.transitions
        elif act == "tick":
            clock_ms += abs(value) * 1000
            wanted, got = twin.tick(clock_ms), tick(presence, index, clock_ms)
        elif act == "switch":
            old, earlier, circles = index, circles, _circles(value)
            wanted, index = twin.switch(circles, clock_ms), FenceIndex.build(circles)
            got = switch(presence, old, index, clock_ms)
            twin.unmet_before_ms = {}
            assume(_judgements(_last(presence), circles))
            new = appeared(old, index)
            assert set(index.fence[new].tolist()) == twin_appeared(earlier, circles)
            places = PingIndex(presence)
            came = arrive(places, index, new, clock_ms - FRESH_MS)
            assert came.tolist() == twin.arrive(twin_appeared(earlier, circles), clock_ms - FRESH_MS)
        else:
            begun = value & {circle.fence for circle in circles}
            twin.unmet_before_ms |= dict.fromkeys(begun, clock_ms - FRESH_MS)
            fences = index.position_of(np.array(sorted(begun), np.int64))
            wanted, got = twin.meet(begun, clock_ms - FRESH_MS), meet(presence, fences, clock_ms - FRESH_MS)
        assert got.tolist() == wanted
        stays = {key: (stay.since_ms, stay.last_ms, stay.dwelt_s) for key, stay in twin.stays.items()}
        assert _state(presence, index) == stays
        assert _claims(presence, index) == {key: one.weighed_ms for key, one in twin.claims.items()}


def _starts(index: FenceIndex, twin: Twin) -> Starts:
    """Each told with an earlier start of the same fence, which does not count."""
    ids = np.array([*twin.unmet_before_ms] * 2, np.int64)
    before_ms = np.array([*twin.unmet_before_ms.values()] * 2, np.int64)
    before_ms[len(twin.unmet_before_ms) :] -= 50_000
    return starts_of(index.position_of(ids), before_ms)


def _last(presence: Presence) -> Pings:
    """Everybody's last fix."""
    fixes = [presence.customers[row] for row in ROWS if presence.position(row) is not None]
    out = np.zeros(len(fixes), PING)
    for name in ("lat", "lng", "accuracy_m", "at_ms"):
        out[name] = [fix[name] for fix in fixes]
    return out


def _values(ping: np.void) -> tuple[int, float, float, float, int]:
    row, lat, lng, accuracy_m, at_ms = ping.tolist()
    return row, lat, lng, accuracy_m, at_ms


walks = st.lists(moves, max_size=40)


def _told(result: Advance, offset: int = 0) -> list[Any]:
    moved_on = result.transitions.copy()
    moved_on["ping"] += offset
    return list(moved_on.tolist())


@settings(max_examples=120, deadline=None)
@given(drawn_fences, walks, st.integers(0, 40))
def test_a_batch_may_be_cut_anywhere(drawn: dict[int, Any], walk: list[Any], cut: int) -> None:
    index, (pings, _) = FenceIndex.build(_circles(drawn)), _batch(walk, START_MS)
    whole, halves = Presence(), Presence()
    at_once = advance(whole, index, pings)
    first, second = advance(halves, index, pings[:cut]), advance(halves, index, pings[cut:])
    assert _told(first) + _told(second, min(cut, len(pings))) == _told(at_once)
    sums = [getattr(first, name) + getattr(second, name) for name in Advance._fields[1:]]
    assert sums == list(at_once[1:])
    for chunk in (0, 1):
        assert pack(whole, index, chunk) == pack(halves, index, chunk)


@settings(max_examples=120, deadline=None)
@given(drawn_fences, walks, st.randoms())
def test_repeated_pings_change_nothing(drawn: dict[int, Any], walk: list[Any], dice: Any) -> None:
    """Copies of earlier pings, in any order among the later ones, neither add nor remove nor change a transition."""
    index, (pings, _) = FenceIndex.build(_circles(drawn)), _batch(walk, START_MS)
    order = list(range(len(pings)))
    for number in range(len(pings)):
        for _ in range(dice.randint(0, 2)):
            order.insert(dice.randint(order.index(number) + 1, len(order)), number)
    plain, repeated = Presence(), Presence()
    expected, got = advance(plain, index, pings), advance(repeated, index, pings[np.array(order, np.int64)])
    without_ping = [name for name in expected.transitions.dtype.names or () if name != "ping"]
    assert got.transitions[without_ping].tolist() == expected.transitions[without_ping].tolist()
    assert got.accepted == expected.accepted
    assert pack(plain, index, 0) == pack(repeated, index, 0)


@settings(max_examples=120, deadline=None)
@given(drawn_fences, walks)
def test_visits_of_one_customer_in_one_fence_follow_each_other(drawn: dict[int, Any], walk: list[Any]) -> None:
    """Enter, then exit, then a later enter; dwells only between them; no two visits begin at one time."""
    index, (pings, _) = FenceIndex.build(_circles(drawn)), _batch(walk, START_MS)
    inside: dict[tuple[int, int], int] = {}
    ended: dict[tuple[int, int], int] = {}
    for kind, _, _, _, row, fence, since_ms, at_ms, _ in advance(Presence(), index, pings).transitions.tolist():
        key = (row, fence)
        assert at_ms >= since_ms
        if kind == 1:
            assert key not in inside
            assert since_ms > ended.get(key, -1)
            inside[key] = since_ms
        else:
            assert inside[key] == since_ms
            if kind == 2:
                ended[key] = inside.pop(key)


@settings(max_examples=120, deadline=None)
@given(drawn_fences, walks, walks)
def test_unpacking_what_was_packed_is_the_same_presence(
    drawn: dict[int, Any], walk: list[Any], later: list[Any]
) -> None:
    index, (pings, clock_ms) = FenceIndex.build(_circles(drawn)), _batch(walk, START_MS)
    presence, again = Presence(), Presence()
    advance(presence, index, pings)
    advance(again, index, pings[::-1].copy())  # something to be replaced
    for chunk in (0, 1):
        unpack(again, index, chunk, pack(presence, index, chunk))
        assert pack(again, index, chunk) == pack(presence, index, chunk)
    assert [again.position(row) for row in ROWS] == [presence.position(row) for row in ROWS]
    assert _state(again, index) == _state(presence, index)
    more, _ = _batch(later, clock_ms)
    assert _told(advance(again, index, more)) == _told(advance(presence, index, more))
