"""Safe regions change nothing but the cost: with them and without, the same transitions, visits and watermarks."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.compiling import Fence
from geo.fence import Circle
from geo.index import FenceIndex
from geo.polygon import polygon
from geo.presence import Presence
from geo.records import CUSTOMER
from geo.transitions import PING, RULES, Kind, advance, switch, tick
from tests.reference.geo_ground import haversine_m, moved

START_MS = 1_700_000_000_000
TOWNS = [(60.17, 24.94), (0.0, 0.0), (-16.5, 179.9995), (78.2, 15.6), (0.001, -180.0)]
WALKERS = 20
KEPT = [name for name in CUSTOMER.names or () if not name.startswith("safe")]


def _fences(dice: random.Random, town: tuple[float, float], count: int) -> list[Fence]:
    out: list[Fence] = []
    for fence in range(count):
        lat, lng = moved(*town, dice.uniform(-700.0, 700.0), dice.uniform(-700.0, 700.0))
        dwells = tuple(dice.sample([30, 60, 300, 700], dice.randrange(3)))
        radius_m = dice.choice([20.0, 60.0, 200.0, 900.0, 6_000.0])
        if fence % 3 and abs(lng) < 179.9:
            ring = [
                moved(lat, lng, reach * math.sin(course), reach * math.cos(course))
                for course, reach in ((k * 0.9, dice.uniform(0.4, 1.0) * min(radius_m, 900.0)) for k in range(7))
            ]
            out.append(polygon(fence, ring, dwells_s=dwells))
        else:
            out.append(Circle(fence, lat, lng, radius_m, dwells))
    return out


def _in_regions(presence: Presence, pings: np.ndarray) -> int:
    """How many of the pings lie in their customers' safe regions, by another formula, with a metre to spare."""
    count = 0
    for ping in pings:
        customer = presence.customers[ping["row"]]
        at = float(customer["safe_lat"]), float(customer["safe_lng"])
        count += haversine_m(float(ping["lat"]), float(ping["lng"]), *at) < float(customer["safe_m"]) - 1.0
    return count


@pytest.mark.parametrize("town", TOWNS)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 1 << 30))
def test_with_and_without_safe_regions_everything_is_the_same(town: tuple[float, float], seed: int) -> None:
    dice = random.Random(seed)
    fences = _fences(dice, town, dice.choice([0, 3, 12, 40]))
    index = FenceIndex.build(fences)
    kept, plain = Presence(), Presence()
    at = [moved(*town, dice.uniform(-700.0, 700.0), dice.uniform(-700.0, 700.0)) for _ in range(WALKERS)]
    now_ms, held = START_MS, 0
    for turn in range(60):
        now_ms += dice.choice([5_000, 15_000, 15_000, 90_000, 1_900_000])
        at = [moved(*place, dice.gauss(0.0, 15.0), dice.gauss(0.0, 15.0)) for place in at]
        pings = np.zeros(WALKERS, PING)
        for row, place in enumerate(at):
            pings[row] = (row, *place, dice.choice([5.0, 30.0, 80.0, 0.0]), now_ms)
        held += _in_regions(kept, pings) if turn else 0
        plain.void_safe()
        one, other = advance(kept, index, pings), advance(plain, index, pings)
        assert one.transitions.tobytes() == other.transitions.tobytes()
        assert one[1:] == other[1:]
        if turn == 30:
            new = FenceIndex.build([*fences[::2], Circle(999, *at[0], 40.0)])
            assert switch(kept, index, new, now_ms).tobytes() == switch(plain, index, new, now_ms).tobytes()
            index = new
        if turn % 7 == 6:
            now_ms += dice.choice([1_000, 1_900_000])
            assert tick(kept, index, now_ms).tobytes() == tick(plain, index, now_ms).tobytes()
        for row in range(WALKERS):
            assert kept.visits(row) == plain.visits(row)
    for name in KEPT:
        assert kept.customers[name][:WALKERS].tolist() == plain.customers[name][:WALKERS].tolist()
    assert held > 0 or len(fences) > 3


def test_who_falls_silent_in_a_fence_and_goes_on_there_enters_anew() -> None:
    """A tick ended the visit, so the fix that ends the silence begins another one, though nobody moved."""
    index, presence = FenceIndex.build([Circle(1, 60.0, 25.0, 200.0)]), Presence()

    def ping(at_ms: int) -> list[int]:
        seen = advance(presence, index, np.array([(0, 60.0, 25.0, 5.0, at_ms)], PING)).transitions
        kinds: list[int] = seen["kind"].tolist()
        return kinds

    assert [ping(START_MS), ping(START_MS + 1_000)] == [[Kind.ENTER], []]
    assert presence.customers[0]["safe_m"] > 100.0
    gone = tick(presence, index, START_MS + 1_000 + RULES.silent_ms + 1)
    assert gone["kind"].tolist() == [Kind.EXIT]
    assert ping(START_MS + 2 * RULES.silent_ms) == [Kind.ENTER]


def test_a_walk_far_from_any_fence_is_judged_by_distance_alone() -> None:
    index, presence = FenceIndex.build([Circle(1, 60.0, 25.0, 100.0)]), Presence()
    pings = np.zeros(10, PING)
    for nth in range(10):
        pings[nth] = (0, *moved(60.0, 25.0, 600.0 + 10.0 * nth, 0.0), 5.0, START_MS + nth * 1_000)
    advance(presence, index, pings)
    customer = presence.customers[0]
    assert customer["safe_m"] > 100.0, "SIGHT_M less the rounding"
    assert float(customer["safe_lat"]) == pytest.approx(float(pings[1]["lat"]), abs=1e-5), (
        "laid once, by the second fix"
    )
    assert (customer["lat"], customer["at_ms"]) == (pings[9]["lat"], pings[9]["at_ms"])
