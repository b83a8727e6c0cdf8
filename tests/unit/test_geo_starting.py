"""Who is there when something begins, by example."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from geo import starting
from geo.compiling import Fence
from geo.fence import Circle
from geo.index import FenceIndex
from geo.match import match
from geo.pings import PingIndex
from geo.polygon import polygon
from geo.presence import Presence
from geo.records import Kind
from geo.starting import appeared, arrive, meet
from geo.starts import starts_of
from geo.transitions import PING, advance, tick
from tests.reference.geo_ground import moved

SHOP = (60.0, 25.0)
NOW_MS = 1_700_000_000_000
FRESH_MS = NOW_MS - 120_000
SQUARE = [(60.1, 25.1), (60.1, 25.2), (60.2, 25.2), (60.2, 25.1)]
HOLE = [(60.14, 25.14), (60.14, 25.16), (60.16, 25.16), (60.16, 25.14)]


def shop(fence: int = 1, radius_m: float = 100.0, dwells_s: tuple[int, ...] = ()) -> Circle:
    return Circle(fence, *SHOP, radius_m, dwells_s)


def people(*fixes: tuple[float, float, float, int], index: FenceIndex | None = None) -> Presence:
    """One customer a row: (lat, lng, accuracy_m, at_ms)."""
    presence = Presence()
    pings = np.array([(row, *fix) for row, fix in enumerate(fixes)], PING)
    advance(presence, index or FenceIndex.empty(), pings)
    return presence


def came(presence: Presence, *fences: Fence) -> list[tuple[int, int]]:
    """(row, fence id) of those who are in the fences when they appear, found both ways."""
    index = FenceIndex.build(fences)
    new = appeared(FenceIndex.empty(), index)
    with patch.object(starting, "_QUESTION_ROWS", 0):
        asked = starting._asked(PingIndex(presence), index, new)
    got = arrive(PingIndex(presence), index, new, FRESH_MS)
    assert set(got["row"].tolist()) <= set(asked.tolist())
    return [(int(one["row"]), int(index.fence[one["fence"]])) for one in got]


def meetings(presence: Presence, index: FenceIndex, fences: Any) -> list[Any]:
    return list(meet(presence, np.array(fences, np.int32), FRESH_MS).tolist())


# ── what appears ──


def test_a_fence_that_looks_as_it_did_is_not_new() -> None:
    square = polygon(2, SQUARE, [HOLE])
    old = FenceIndex.build([shop(), square])
    again = FenceIndex.build([Circle(0, 1.0, 1.0, 50.0), shop(dwells_s=(60,)), square])
    assert again.fence[appeared(old, again)].tolist() == [0]


@pytest.mark.parametrize(
    "other",
    [
        shop(radius_m=100.5),
        Circle(1, 60.0000001, 25.0, 100.0),
        Circle(1, 60.0, 25.0000001, 100.0),
        polygon(1, SQUARE),
    ],
)
def test_a_circle_that_moved_or_grew_or_became_a_drawing_is_new(other: Fence) -> None:
    assert appeared(FenceIndex.build([shop()]), FenceIndex.build([other])).tolist() == [0]
    assert appeared(FenceIndex.build([other]), FenceIndex.build([shop()])).tolist() == [0]


def test_a_drawing_of_the_same_extent_with_another_vertex_is_new() -> None:
    before, dented = polygon(1, [*SQUARE, (60.15, 25.12)]), polygon(1, [*SQUARE, (60.15, 25.13)])
    assert appeared(FenceIndex.build([before]), FenceIndex.build([dented])).tolist() == [0]
    one, other = (starting._same_outline(a, b, 0, 0) for a, b in _outlines(before, dented))
    assert (one, other) == (True, False)


def _outlines(before: Fence, after: Fence) -> list[Any]:
    old, new = (FenceIndex.build([one]).kernel_view.outlines for one in (before, after))
    return [(old, old), (old, new)]


# ── who arrives ──


def test_who_is_inside_by_a_young_fix_arrives_with_it() -> None:
    presence = people((*SHOP, 8.0, FRESH_MS), (*SHOP, 8.0, FRESH_MS - 1), (*moved(*SHOP, 101.0, 0.0), 8.0, NOW_MS))
    assert came(presence, shop()) == [(0, 1)]
    assert [(v.since_ms, v.last_ms) for v in presence.visits(0)] == [(FRESH_MS, FRESH_MS)]
    assert presence.take_dirty() == [0]


@pytest.mark.parametrize(
    ("accuracy_m", "arrives"), [(50.0, True), (50.5, False), (0.0, True), (np.nan, True), (np.inf, False)]
)
def test_an_arrival_needs_an_accurate_fix(accuracy_m: float, arrives: bool) -> None:
    assert came(people((*SHOP, accuracy_m, NOW_MS)), shop()) == ([(0, 1)] if arrives else [])


def test_drawings_are_entered_by_their_exact_outline() -> None:
    square = polygon(3, SQUARE, [HOLE])
    presence = people((60.15, 25.12, 5.0, NOW_MS), (60.15, 25.15, 5.0, NOW_MS), (60.15, 25.201, 5.0, NOW_MS))
    assert came(presence, shop(), square) == [(0, 3)]


def test_visits_that_are_open_go_on_and_the_list_stays_in_order() -> None:
    index = FenceIndex.build([shop(2)])
    presence = people((*SHOP, 5.0, FRESH_MS), index=index)
    new = FenceIndex.build([shop(1), shop(2), shop(3, 200.0)])
    presence.pool["fence"][0] = 1  # as a switch carries it
    again = arrive(PingIndex(presence), new, np.array([0, 1, 2], np.int32), FRESH_MS)
    assert again["fence"].tolist() == [0, 2]
    assert [visit.fence for visit in presence.visits(0)] == [0, 1, 2]


def test_questions_and_matching_everybody_find_the_same() -> None:
    random = np.random.default_rng(7)
    spots = [(*moved(*SHOP, *random.uniform(-400, 400, 2)), 5.0, NOW_MS) for _ in range(600)]
    circle, index = shop(), FenceIndex.build([shop(), shop(2, 60.0)])
    few, all_ = people(*spots), people(*spots)
    with patch("geo.starting.match", wraps=match) as matched:
        asked = arrive(PingIndex(few), index, np.array([0], np.int32), FRESH_MS)
    assert len(matched.call_args.args[1]) < 100, "only who is around was matched"
    with patch.object(starting, "_QUESTION_ROWS", 1_000):
        everybody = arrive(PingIndex(all_), index, np.array([0], np.int32), FRESH_MS)
    assert asked.tolist() == everybody.tolist()
    assert asked["row"].tolist() == PingIndex(few).inside(circle).tolist()


def test_nothing_new_asks_nobody() -> None:
    presence, index = people((*SHOP, 5.0, NOW_MS)), FenceIndex.build([shop()])
    with patch("geo.starting.match", wraps=match) as matched:
        assert not len(arrive(PingIndex(presence), index, np.zeros(0, np.int32), FRESH_MS))
    assert not len(matched.call_args.args[1])


# ── who has stayed ──


def test_open_visits_are_met_if_they_were_confirmed_lately() -> None:
    index = FenceIndex.build([shop(1, dwells_s=(30,)), shop(2, 60.0)])
    old, young = (*SHOP, 5.0, FRESH_MS - 1), (*SHOP, 5.0, FRESH_MS)
    presence = people(old, young, (0.0, 0.0, 5.0, NOW_MS), index=index)
    tick(presence, index, NOW_MS)
    since = FRESH_MS
    assert meetings(presence, index, [0]) == [(Kind.START, 0, False, -1, 1, 0, since, since, 30)]
    assert [one[5] for one in meetings(presence, index, [0, 1])] == [0, 1]
    presence.forget(1)
    assert meetings(presence, index, [0, 1]) == []


def test_who_was_silent_is_met_at_the_first_fix_that_confirms() -> None:
    index = FenceIndex.build([shop(1), shop(2, 60.0)])
    starts = starts_of(np.array([1, 1], np.int32), np.array([NOW_MS, NOW_MS - 5]))
    presence = people((*SHOP, 5.0, NOW_MS - 1), (*SHOP, 5.0, NOW_MS), index=index)
    again = np.array([(row, *SHOP, 5.0, NOW_MS + ms) for ms in (1, 2) for row in (0, 1)], PING)
    got = advance(presence, index, again, starts=starts).transitions
    assert got.tolist() == [(Kind.START, 0, False, 0, 0, 1, NOW_MS - 1, NOW_MS - 1, 0)]


def test_of_several_starts_of_a_fence_the_latest_counts() -> None:
    starts = starts_of(np.array([4, 2, 4, 4], np.int32), np.array([7, 5, 9, 8]))
    assert (starts.fence.tolist(), starts.before_ms.tolist()) == ([2, 4], [5, 9])
