"""Enter, exit and dwell, drawn: how to read a picture stands in tests/reference/geo_sketch.py."""

from __future__ import annotations

import math

import numpy as np
import pytest

from geo.errors import GeoError
from geo.presence import Presence
from geo.transitions import PING, Reason, Verdict, advance, switch, tick
from tests.reference.geo_sketch import START_MS, Walk, fences, fixes, marks, story, told, walked

MIN_MS = 60_000


def test_a_walk_through_enters_once_and_exits_beyond_rim_and_accuracy() -> None:
    # Radius 25 m. Metres to the edge: c 6.6, d -10.9, g 6.6, h 16.2, i 26.0; the exit wants more than 5 + 20.
    picture = """
        . . . ( . . . ) . . . . .
        a b c ( d e f ) g h i j .
        . . . ( . A . ) . . . . .
    """
    assert story(picture) == ["d enter A", "i exit A left"]


def test_jitter_on_the_edge_is_one_visit() -> None:
    picture = """
        . . . . ( . . . ) . . .
        . . a b ( c . A ) . . .
        . . . d ( e . . ) . . .
        . . . f ( g . . ) . . .
        . . . h ( i . . ) . . .
    """
    assert story(picture, Walk(radius_m=28.0, accuracy_m=15.0)) == ["c enter A"]


def test_the_first_fix_ever_inside_is_initial_and_only_that_one() -> None:
    picture = """
        a A b . . . . c . . . d B
    """
    assert story(picture) == ["a enter A initial", "c exit A left", "d enter B"]


def test_an_inaccurate_fix_never_begins_a_visit_and_is_counted() -> None:
    picture = """
        a . . . b A c . . .
    """
    walk = Walk(accuracies_m={"b": 51.0})
    assert story(picture, walk) == ["c enter A"]
    assert walked(picture, walk).undecided == {Verdict.ACCURACY_TOO_LOW: 1}


def test_fifty_metres_is_still_accurate_enough() -> None:
    assert story("a . . . . b A . .", Walk(accuracies_m={"b": 50.0})) == ["b enter A"]


def test_a_poor_fix_far_outside_is_decisive() -> None:
    far = " ".join(["a A"] + ["."] * 98 + ["b"])
    assert story(far, Walk(accuracies_m={"b": 122.0})) == ["a enter A initial", "b exit A left"]


def test_a_poor_fix_not_so_far_outside_is_not() -> None:
    assert story("a A . . . . . . . . . . . b", Walk(accuracies_m={"b": 122.0})) == ["a enter A initial"]


@pytest.mark.parametrize("unknown", [0.0, -1.0, math.nan])
def test_unknown_accuracy_arrives_but_leaves_only_beyond_seventy_metres(unknown: float) -> None:
    # b's edge is 65 m away, c's 75 m.
    picture = """
        a A . . . . . . . . b c
    """
    walk = Walk(accuracies_m=dict.fromkeys("abc", unknown))
    assert story(picture, walk) == ["a enter A initial", "c exit A left"]


def test_a_wide_fence_has_a_wide_rim() -> None:
    # Radius 400 m: the rim is 40 m, though the fixes are good to 5 m.
    row = ["."] * 60
    row[0], row[1], row[43], row[45] = "A", "a", "b", "c"
    assert story(" ".join(row), Walk(radius_m=400.0)) == ["a enter A initial", "c exit A left"]


def test_one_fix_leaves_several_and_enters_several_in_order_of_fence() -> None:
    picture = """
        . D . . . . . . . . . C
        a . . . . . . . . . . b
        . B . . . . . . . . . A
    """
    assert story(picture) == [
        "a enter B initial",
        "a enter D initial",
        "b exit B left",
        "b exit D left",
        "b enter A",
        "b enter C",
    ]


def test_fences_of_all_sizes_are_found_in_one_fix() -> None:
    picture = "a A B C D"
    walk = Walk(radii_m={"A": 12_000.0, "B": 3_000.0, "C": 500.0, "D": 60.0})
    assert story(picture, walk) == [f"a enter {letter} initial" for letter in "ABCD"]


def test_dwell_fires_once_a_threshold_dated_when_it_was_reached() -> None:
    picture = """
        a b c . . . . . . . .
        d A e . . . . . . f .
    """
    walk = Walk(every_s=45.0, dwells_s=(120, 60))
    done = walked(picture, walk).transitions
    assert told(done) == ["a enter A initial", "c dwell A 60 s", "d dwell A 120 s", "f exit A left"]
    assert [int(at_ms) - START_MS for at_ms in done["at_ms"]] == [0, 60_000, 120_000, 225_000]
    assert set(done["since_ms"].tolist()) == {START_MS}


def test_two_thresholds_passed_between_two_fixes_fire_in_order() -> None:
    walk = Walk(every_s=200.0, dwells_s=(60, 120, 500))
    assert story("a A b", walk) == ["a enter A initial", "b dwell A 60 s", "b dwell A 120 s"]


def test_leaving_with_the_threshold_unnoticed_gives_no_dwell() -> None:
    walk = Walk(every_s=200.0, dwells_s=(60,))
    assert story("a A . . . . . . b", walk) == ["a enter A initial", "b exit A left"]


def test_a_second_visit_dwells_anew() -> None:
    picture = """
        a A . . . . . . c
        d . . . . . . . .
        b e . . . . . . .
    """
    walk = Walk(every_s=70.0, dwells_s=(60,))
    assert story(picture, walk) == [
        "a enter A initial",
        "b dwell A 60 s",
        "c exit A left",
        "d enter A",
        "e dwell A 60 s",
    ]


def test_a_long_silence_ends_the_visit_when_it_was_last_confirmed() -> None:
    walk = Walk(at_s={"b": 300.0, "c": 300.0 + 30 * 60 + 1})
    done = walked("a A b c", walk).transitions
    assert told(done) == ["a enter A initial", "c exit A timeout", "c enter A"]
    assert int(done["at_ms"][1]) == START_MS + 300_000
    assert int(done["since_ms"][2]) > int(done["since_ms"][1])


def test_half_an_hour_to_the_second_is_not_yet_silence() -> None:
    assert story("a A b", Walk(at_s={"b": 1_800.0})) == ["a enter A initial"]


def test_fixes_that_cannot_tell_do_not_keep_a_visit_alive() -> None:
    # b and c lie 55 m outside with 100 m accuracy: undecided.
    walk = Walk(at_s={"b": 1_000.0, "c": 1_801.0}, accuracies_m={"b": 100.0, "c": 100.0})
    assert story("a A . . . . . b c", walk) == ["a enter A initial", "c exit A timeout"]


def test_duplicate_and_late_fixes_change_nothing() -> None:
    walk = Walk(at_s={"b": 60.0, "c": 60.0, "d": 59.0, "e": 80.0})
    result = walked("a b A . . . . . . . c d . e", walk)
    assert told(result.transitions) == ["a enter A initial", "e exit A left"]
    assert (result.accepted, result.duplicate, result.late, result.invalid) == (3, 1, 1, 0)


def test_impossible_fixes_are_counted_and_change_nothing() -> None:
    pings = fixes("a b c d e A", Walk())
    pings["lat"][0], pings["lng"][1], pings["lat"][2] = 91.0, math.inf, math.nan
    pings["at_ms"][3], pings["at_ms"][4] = -1, 1 << 60
    presence = Presence()
    result = advance(presence, fences("a A", Walk()), pings)
    assert (result.invalid, result.accepted, len(result.transitions)) == (5, 0, 0)
    assert presence.position(0) is None
    assert presence.take_dirty() == []


def test_a_negative_row_is_refused_before_anything_happens() -> None:
    pings = np.repeat(fixes("a A", Walk()), 2)
    pings["row"] = [0, -1]
    presence = Presence()
    with pytest.raises(GeoError, match="negative"):
        advance(presence, fences("a A", Walk()), pings)
    assert presence.rows == 0


def test_no_pings_and_no_fences_are_fine() -> None:
    picture = "a b c"
    presence, index = Presence(), fences(picture, Walk())
    assert advance(presence, index, np.empty(0, PING)).accepted == 0
    assert advance(presence, index, fixes(picture, Walk())).accepted == 3
    assert len(tick(presence, index, START_MS)) == 0
    assert presence.position(0) == (*marks(picture)["c"], START_MS + 60_000)


def test_a_tick_fires_the_dwell_of_a_silent_phone_once() -> None:
    picture, walk, presence = "a A", Walk(dwells_s=(60,)), Presence()
    walked(picture, walk, presence)
    index = fences(picture, walk)
    assert len(tick(presence, index, START_MS + 59_999)) == 0
    done = tick(presence, index, START_MS + 60_500)
    assert told(done) == ["- dwell A 60 s"]
    assert int(done["at_ms"][0]) == START_MS + 60_000
    assert len(tick(presence, index, START_MS + 61_500)) == 0


def test_a_tick_does_not_believe_in_a_stay_unconfirmed_for_ten_minutes() -> None:
    picture, walk, presence = "a A b", Walk(dwells_s=(601,), every_s=720.0), Presence()
    index = fences(picture, walk)
    advance(presence, index, fixes(picture, walk)[:1])
    assert len(tick(presence, index, START_MS + 601_000)) == 0
    assert told(advance(presence, index, fixes(picture, walk)[1:]).transitions) == ["a dwell A 601 s"]


def test_a_tick_ends_the_visit_of_a_phone_silent_for_half_an_hour() -> None:
    picture, walk, presence = "a b A", Walk(), Presence()
    walked(picture, walk, presence)
    index = fences(picture, walk)
    assert len(tick(presence, index, START_MS + 30_000 + 30 * MIN_MS)) == 0
    done = tick(presence, index, START_MS + 30_001 + 30 * MIN_MS)
    assert told(done) == ["- exit A timeout"]
    assert int(done["at_ms"][0]) == START_MS + 30_000
    assert presence.visits(0) == []


def test_a_tick_never_moves_a_watermark() -> None:
    picture, walk, presence = "a b A", Walk(every_s=60.0), Presence()
    index = fences(picture, walk)
    advance(presence, index, fixes(picture, walk)[:1])
    tick(presence, index, START_MS + 90_000)
    assert advance(presence, index, fixes(picture, walk)[1:]).accepted == 1


def test_a_switch_carries_visits_by_id_and_ends_those_whose_fence_is_gone() -> None:
    presence = Presence()
    old = fences("a A B C", Walk(radius_m=60.0))
    advance(presence, old, fixes("a A B C", Walk()))
    new = fences("a . B C Z", Walk(radius_m=60.0))
    done = switch(presence, old, new, START_MS + 5_000)
    assert told(done) == ["- exit A fence_gone"]
    assert int(done["at_ms"][0]) == START_MS + 5_000
    assert [visit.fence for visit in presence.visits(0)] == [0, 1]
    assert presence.inside(2).tolist() == []
    later = advance(presence, new, fixes(". . . . . . . . . . . . . . a", Walk(at_s={"a": 60.0})))
    assert later.transitions["fence"].tolist() == [0, 1]


def test_a_dwell_added_later_does_not_fire_for_time_gone_by() -> None:
    picture, presence = "a b A c", Presence()
    before, after = Walk(every_s=100.0), Walk(every_s=100.0, dwells_s=(60, 150))
    old, new = fences(picture, before), fences(picture, after)
    advance(presence, old, fixes(picture, before)[:2])
    assert len(switch(presence, old, new, START_MS + 110_000)) == 0
    assert told(advance(presence, new, fixes(picture, after)[2:]).transitions) == ["a dwell A 150 s"]


def test_a_dwell_fired_by_a_tick_stays_fired_across_a_switch() -> None:
    picture, walk, presence = "a A", Walk(dwells_s=(60,)), Presence()
    old, new = fences(picture, walk), fences(picture, Walk(dwells_s=(60, 600)))
    walked(picture, walk, presence)
    assert told(tick(presence, old, START_MS + 60_000)) == ["- dwell A 60 s"]
    switch(presence, old, new, START_MS + 61_000)
    assert len(tick(presence, new, START_MS + 62_000)) == 0


def test_a_fence_that_moved_away_is_left_at_once() -> None:
    presence = Presence()
    old, new = fences("a A . . . . . . .", Walk()), fences(". . . . . . . . A", Walk())
    advance(presence, old, fixes("a A", Walk()))
    assert told(switch(presence, old, new, START_MS)) == ["- exit A fence_edited"]
    assert presence.visits(0) == []


def test_forgetting_leaves_nothing_and_tells_the_exits() -> None:
    picture, presence = "a b A B", Presence()
    index = fences(picture, Walk())
    advance(presence, index, fixes(picture, Walk()))
    presence.take_dirty()
    done = presence.forget(0)
    assert told(done) == ["- exit A forgotten", "- exit B forgotten"]
    assert set(done["at_ms"].tolist()) == {START_MS + 30_000}
    assert (presence.visits(0), presence.position(0), presence.take_dirty()) == ([], None, [0])
    assert set(done["reason"].tolist()) == {Reason.FORGOTTEN}
    again = advance(presence, index, fixes(picture, Walk())[:1])
    assert told(again.transitions) == ["a enter A initial"]
