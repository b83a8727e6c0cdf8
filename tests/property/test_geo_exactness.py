"""Matching is exact: millions of points beside fences' edges, at the places where geometry goes wrong."""

from __future__ import annotations

from collections import Counter
from itertools import count, cycle
from typing import Final

import numpy as np
import pytest

from geo.fence import Circle
from geo.index import FenceIndex
from geo.match import Pairs, match
from tests.reference.geo_exact import NEAREST_M, PLACES, Case, Tried, case, check

PROVED: Final = 12_000_000
"""Tests of a point against a fence."""
EACH: Final = {"circles": 50, "polygons": 30, "points": 3_000}
FEW: Final = {"circles": 20, "polygons": 12, "points": 2_000}
NEAR_A_PLACE: Final = 40
"""Tests within a centimetre of an edge that a small case has at least, of each kind and side; cases have hundreds."""


def matched(one: Case) -> Pairs:
    """What the product says."""
    return match(FenceIndex.build(one.fences()), one.lat, one.lng)


def kinds(place: str) -> list[str]:
    """Of tests near an edge that a place must have."""
    return [kind for kind in ("circle inside", "circle outside", "polygon inside", "polygon outside")
            if "pole" not in place or "circle" in kind]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_no_test_is_wrong_farther_than_a_millimetre_from_an_edge(place: str) -> None:
    one = case(1, PLACES[place], **FEW)
    tried = check(one, matched(one))
    assert tried.wrong_m[~(tried.wrong_m <= NEAREST_M)].tolist() == []
    assert all(tried.near[kind] >= NEAR_A_PLACE for kind in kinds(place)), tried.near


@pytest.fixture(scope="module")
def helsinki() -> Case:
    return case(2, PLACES["Helsinki"], **FEW)


@pytest.mark.parametrize("by_m", [-0.01, 0.01])
def test_a_radius_wrong_by_a_centimetre_would_be_caught(helsinki: Case, by_m: float) -> None:
    wrong = [Circle(one.fence, one.lat, one.lng, one.radius_m + by_m) for one in helsinki.circles]
    tried = check(helsinki, matched(Case(wrong, helsinki.shapes, helsinki.lat, helsinki.lng)))
    assert np.count_nonzero(tried.wrong_m > NEAREST_M) >= NEAR_A_PLACE


@pytest.mark.parametrize("by_m", [-0.01, 0.01])
def test_polygons_wrong_by_a_centimetre_would_be_caught(helsinki: Case, by_m: float) -> None:
    by_deg = by_m / 111_195.0
    shapes = [
        [[[(lat + by_deg, lng) for lat, lng in ring] for ring in rings] for rings in parts] for parts in helsinki.shapes
    ]
    tried = check(helsinki, matched(Case(helsinki.circles, shapes, helsinki.lat, helsinki.lng)))
    assert np.count_nonzero(tried.wrong_m > NEAREST_M) >= NEAR_A_PLACE


def test_a_pair_that_is_lacking_or_given_twice_would_be_caught(helsinki: Case) -> None:
    right = matched(helsinki)
    deep = int(np.argmin(right.edge_m))
    others = np.arange(len(right.point)) != deep
    without = Pairs(right.point[others], right.fence[others], right.edge_m[others])
    doubled = np.append(np.arange(len(right.point)), deep)
    again = Pairs(right.point[doubled], right.fence[doubled], right.edge_m[doubled])
    assert not check(helsinki, right).wrong_m.size
    assert check(helsinki, without).wrong_m.max() > 1.0
    assert np.isnan(check(helsinki, again).wrong_m).all()


@pytest.mark.slow
def test_twelve_million_tests_agree_with_great_circles_and_shapely(capsys: pytest.CaptureFixture[str]) -> None:
    tests, near = 0, Counter[str]()
    for seed, (place, at) in zip(count(100), cycle(PLACES.items()), strict=False):
        if tests >= PROVED:
            break
        one = case(seed, at, **EACH)
        tried: Tried = check(one, matched(one))
        wrong = tried.wrong_m[~(tried.wrong_m <= NEAREST_M)]
        assert wrong.tolist() == [], f"at {place}, seed {seed}"
        tests += tried.tests
        near.update(tried.near)
        with capsys.disabled():
            print(
                f"\r{tests:,} tests of a point against a fence, {sum(near.values()):,} within 1 cm", end="", flush=True
            )
    with capsys.disabled():
        print(f"\r{tests:,} tests, none wrong; 1 mm to 1 cm from an edge: {dict(near)}")
    assert min(near.values()) >= 5_000
