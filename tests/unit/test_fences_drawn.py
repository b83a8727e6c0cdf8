"""What a fence means to a phone, point by point. How to read a scene stands in tests/reference/geo_drawing.py."""

from __future__ import annotations

import numpy as np
import pytest

from geo.fence import Circle
from geo.index import FenceIndex
from geo.presence import Presence
from geo.transitions import PING, advance
from tests.reference.geo_drawing import play

# ── 1. Verdicts: in, out, undecided with a reason ──


def test_an_undecided_fix_changes_nothing_and_has_a_reason() -> None:
    play("""
        . . ( . A . ) . . . . . . .   | A 25 m
        b . ( a . . ) . . c . . d .   | b   0 s   5 m
        . . ( . . . ) . . . . . . .   | a  30 s  60 m   undecided accuracy_too_low
                                      | a  60 s  20 m   enter A
                                      | c  90 s  20 m   undecided on_boundary
                                      | d 120 s  60 m   undecided accuracy_too_low
                                      | a 100 s   5 m   undecided stale
                                      | d 150 s  20 m   exit A left after 90 s
    """)


# ── 2. Arrival asks which side, departure asks for more ──


def test_a_small_venue_is_reachable_though_no_fix_is_that_good() -> None:
    """Radius 15 m, fixes good to 40 m: a margin on the way in would never let anybody in."""
    play("""
        . . . . . . . . . . . . . .   | A 15 m
        a . . . A b . . . . . . . c   | a   0 s  40 m
                                      | b  30 s  40 m   enter A
                                      | a  60 s  40 m   undecided on_boundary
                                      | c  90 s  40 m   exit A left after 60 s
    """)


# ── 3. The accuracy ceiling is for arrivals only ──


def test_a_poor_fix_far_away_is_decisive() -> None:
    play(
        """
        a . . . . . . . . . b   | A 150 m
        A . . . . . . . . . .   | a   0 s    5 m   enter A initial
                                | b  60 s  122 m   exit A left after 60 s
        """,
        scale_m=100.0,
    )


# ── 4. Hysteresis ──


def test_a_wide_fence_is_left_a_tenth_of_its_radius_beyond_the_edge() -> None:
    """Radius 500 m: at 540 m the visit is confirmed still, at 560 m it is over."""
    play(
        """
        A . . . a . . . . . . . . . b . c   | A 500 m
        . . . . . . . . . . . . . . . . .   | a    0 s  5 m   enter A initial
                                            | b  600 s  5 m   exit A left after 600 s
        """,
        scale_m=40.0,
    )
    play(
        """
        A . . . a . . . . . . . . b d   | A 500 m
        . . . . . . . . . . . . . . .   | a    0 s  5 m   enter A initial
                                        | b  600 s  5 m
        """,
        scale_m=41.5,
    )


def test_between_edge_and_rim_a_visit_neither_begins_nor_ends() -> None:
    play("""
        . . ( . A . ) . . . . .   | A 25 m
        c . ( a . . ) b . . d .   | b   0 s  5 m
        . . ( . . . ) . . . . .   | a  30 s  5 m   enter A
                                  | b  60 s  5 m
                                  | d  90 s  5 m   exit A left after 60 s
                                  | b 120 s  5 m
    """)


# ── 5. Phones lie: corroboration, speed gate, teleports, no accuracy ──


def test_among_many_fixes_one_is_not_believed() -> None:
    """Once a second: b lies 200 m off and claims 2 m. Five are needed."""
    play(
        """
        a . . . . . . . . . b . .   | A 25 m
        . . . . . . . . . . A . .   | a   0 s  5 m
                                    | a   1 s  5 m
                                    | b   2 s  2 m   undecided uncorroborated
                                    | a   3 s  5 m
                                    | a   4 s  5 m
        """,
        scale_m=20.0,
    )


def test_one_wild_fix_does_not_end_a_visit() -> None:
    play(
        """
        a . . . . . . . . . b . .   | A 25 m
        A . . . . . . . . . . . .   | a   0 s  5 m   enter A initial
                                    | a   5 s  5 m
                                    | b  10 s  2 m   undecided uncorroborated
                                    | a  15 s  5 m
                                    | b  20 s  2 m   undecided uncorroborated
                                    | b  25 s  5 m   undecided uncorroborated
                                    | b  30 s  5 m   undecided uncorroborated
                                    | b  35 s  5 m   exit A left after 20 s
        """,
        scale_m=20.0,
    )


def test_four_fixes_that_agree_begin_a_visit_dated_by_the_first() -> None:
    scene = play("""
        . . . ( . . ) . . . .   | A 25 m
        a . b ( c d A e ) . .   | a  0 s  5 m
        . . . ( . . ) . . . .   | c  5 s  5 m   undecided uncorroborated
                                | d 10 s  5 m   undecided uncorroborated
                                | e 15 s  5 m   undecided uncorroborated
                                | d 20 s  5 m   enter A
    """)
    assert scene.presence.visits(0)[0].since_ms % 100_000 == 5_000


def test_fixes_outside_take_a_claim_back() -> None:
    play("""
        . . . ( . . ) . . . .   | A 25 m
        a . b ( c d A e ) . .   | a  0 s  5 m
        . . . ( . . ) . . . .   | c  5 s  5 m   undecided uncorroborated
                                | d 10 s  5 m   undecided uncorroborated
                                | b 15 s  5 m
                                | b 20 s  5 m
                                | c 25 s  5 m   undecided uncorroborated
                                | c 30 s  5 m   undecided uncorroborated
                                | c 35 s  5 m   undecided uncorroborated
                                | c 40 s  5 m   enter A
    """)


def test_a_teleport_starts_a_new_track() -> None:
    """10 km in a minute: the fix alone neither ends the visit nor begins another; the next ones there do both."""
    play(
        """
        a . . . . . . . . . b   | A 1200 m
        A . . . . . . . . . B   | B 1200 m
                                | a    0 s  5 m   enter A initial
                                | b   60 s  5 m   undecided uncorroborated
                                | b  120 s  5 m   exit A left after 60 s; enter B
        """,
        scale_m=1_000.0,
    )
    play(
        """
        a . . . . . . . . . b   | A 1200 m
        A . . . . . . . . . B   | B 1200 m
                                | a    0 s  5 m   enter A initial
                                | b   60 s  5 m   undecided uncorroborated
                                | a  120 s  5 m
                                | b  900 s  5 m   exit A left after 900 s; enter B
        """,
        scale_m=1_000.0,
    )


def test_no_accuracy_is_not_a_perfect_one() -> None:
    """It counts as 50 m: b, 65 m beyond the edge, is undecided."""
    play("""
        a . . . . . . . . b c   | A 25 m
        A . . . . . . . . . .   | a   0 s  ? m   enter A initial
                                | b  60 s  ? m   undecided on_boundary
                                | c  90 s  ? m   exit A left after 90 s
    """)


# ── 6. Dwell in event time; the exit carries how long it was ──


def test_a_dwell_is_found_by_the_next_fix_or_by_a_tick() -> None:
    play("""
        a . . . . . . . . b .   | A 25 m dwell 60 s
        A . . . . . . . . . .   | a    0 s  5 m   enter A initial
                                | -   59 s
                                | -   61 s        dwell A 60 s
                                | -   62 s
                                | b  200 s  5 m   exit A left after 200 s
                                | a  300 s  5 m   enter A
                                | a  400 s  5 m   dwell A 60 s
    """)


# ── 7. Order: late and repeated fixes trigger nothing and correct the visits ──

ORDERS = [
    """
        . . . . . . . . . . .   | A 25 m
        a . . . . . . . . b .   | a   0 s  5 m   enter A initial
        A . . . . . . . . . .   | a  10 s  5 m
                                | b  20 s  5 m   undecided uncorroborated
                                | b  30 s  5 m   exit A left after 20 s
    """,
    """
        . . . . . . . . . . .   | A 25 m
        a . . . . . . . . b .   | a  10 s  5 m   enter A initial
        A . . . . . . . . . .   | b  30 s  5 m   exit A left after 20 s
                                | a  10 s  5 m   undecided stale
                                | b  20 s  5 m   undecided stale
                                | b  30 s  5 m   duplicate
                                | a   0 s  5 m   undecided stale
    """,
]


def test_late_and_repeated_fixes_trigger_nothing_and_correct_the_visits() -> None:
    told = [play(order).visits() for order in ORDERS]
    assert told == [["A 0-20 s left"]] * 2


def test_a_visit_that_only_late_fixes_show_is_a_visit_without_triggers() -> None:
    scene = play("""
        a . . . . . b . . . . c   | A 25 m
        . . . . . . A . . . . .   | a    0 s  5 m
                                  | c  150 s  5 m
                                  | b   30 s  5 m   undecided stale
                                  | b   60 s  5 m   undecided stale
    """)
    assert scene.visits() == ["A 30-150 s left"]


# ── 8. The first fix inside ──


def test_only_the_first_fix_ever_is_initial() -> None:
    play("""
        a . . . . . . . . b .   | A 25 m
        A . . . . . . . . B .   | B 25 m
                                | a   0 s  5 m   enter A initial
                                | b  60 s  5 m   exit A left after 60 s; enter B
    """)


# ── 9. What ends without anybody leaving ──


def test_a_fence_that_ends_ends_its_visits() -> None:
    play("""
        a . . . . . . . . b .   | A 25 m
        A . B . . . . . . . .   | B 40 m
                                | a   0 s  5 m   enter A initial; enter B initial
                                | ! 45 s A ends  exit A fence_gone after 45 s
                                | b  90 s  5 m   exit B left after 90 s
    """)


def test_a_fence_that_is_moved_away_ends_its_visits_at_once() -> None:
    play("""
        a . . . . . . . . b .   | A 25 m
        A . . . . . . Z . . .   | Z 1 m
                                | a   0 s  5 m   enter A initial
                                | ! 45 s A at Z  exit A fence_edited after 45 s
                                | b  90 s  5 m   enter A
    """)


def test_a_fence_that_is_moved_a_little_keeps_its_visits() -> None:
    play("""
        a . . . . . . . . b .   | A 25 m
        A Z . . . . . . . . .   | Z 1 m
                                | a   0 s  5 m   enter A initial
                                | ! 45 s A at Z
                                | b  90 s  5 m   exit A left after 90 s
    """)


def test_a_silent_phone_times_out_when_it_was_last_heard() -> None:
    play("""
        a . . . . . . . . b .   | A 25 m
        A . . . . . . . . . .   | a     0 s  5 m   enter A initial
                                | a   300 s  5 m
                                | -  2100 s
                                | -  2101 s        exit A timeout after 300 s
    """)


# ── 11. Approach ──


def test_an_approach_is_told_once_when_the_eta_falls_below_the_threshold() -> None:
    """2 m/s towards the fence: 200 s before it is 400 m. Then again only after a visit."""
    play(
        """
        . . . . . . . . . . . . . . . . A   | A 70 m approach 200 s
        a . b . c . d . e . f . g . h . i   | a    0 s  5 m
        . . . . . . . . . . . . . . . . .   | b   60 s  5 m
                                            | c  120 s  5 m
                                            | d  180 s  5 m
                                            | e  240 s  5 m
                                            | f  300 s  5 m   approach A 200 s
                                            | g  360 s  5 m
                                            | h  420 s  5 m
                                            | i  480 s  5 m   enter A
                                            | h  540 s  5 m   exit A left after 60 s
                                            | g  600 s  5 m
                                            | h  660 s  5 m   approach A 200 s
        """,
        scale_m=60.0,
    )


def test_who_turns_round_and_comes_back_is_not_told_twice_unless_from_much_farther() -> None:
    play(
        """
        . . . . . . . . . . . . . . . . A   | A 70 m approach 200 s
        a . b . c . d . e . f . g . h . i   | e    0 s  5 m
        . . . . . . . . . . . . . . . . .   | f   60 s  5 m   approach A 200 s
                                            | e  120 s  5 m
                                            | f  180 s  5 m
                                            | b  400 s  5 m
                                            | f  700 s  5 m   approach A 200 s
        """,
        scale_m=60.0,
    )


def test_who_stands_still_or_goes_away_approaches_nothing() -> None:
    """a and b are 10 m apart, less than both accuracies; from a by c to d it is away."""
    play("""
        . . . . . . . . . . . .   | A 25 m approach 3000 s
        d . . c . a b . . . . A   | a    0 s  20 m
        . . . . . . . . . . . .   | b   60 s  20 m
                                  | a  120 s  20 m
                                  | b  180 s  20 m
                                  | a  240 s   5 m
                                  | c  300 s   5 m
                                  | d  360 s   5 m
    """)


# ── 13. Great circles, ±180°, poles ──


@pytest.mark.parametrize(
    "corner", [(60.17, 24.94), (0.0004, 179.9995), (-16.5, -180.0), (89.9995, 12.0), (-89.9995, 0.0)]
)
def test_a_walk_is_the_same_anywhere_in_the_world(corner: tuple[float, float]) -> None:
    """Across ±180° and over the poles, where the pictures are of no use but distances are."""
    play(
        """
        a . . . . . . . . b   | A 25 m
        A . . . . . . . . B   | B 25 m
                              | a   0 s  5 m   enter A initial
                              | b  60 s  5 m   exit A left after 60 s; enter B
                              | a 120 s  5 m   exit B left after 60 s; enter A
        """,
        corner=corner,
    )


def test_around_the_pole_every_direction_is_as_far() -> None:
    index = FenceIndex.build([Circle(1, 90.0, 0.0, 100.0)])
    for lng in (-180.0, -90.0, 0.0, 77.0, 180.0):
        pings = np.array([(0, 90.0 - away_m / 111_195.0, lng, 5.0, 1) for away_m in (99.9, 100.1)], PING)
        kinds = [len(advance(Presence(), index, pings[k : k + 1]).transitions) for k in (0, 1)]
        assert kinds == [1, 0], lng
