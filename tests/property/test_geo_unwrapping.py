"""Rings closed, unwrapped, refused and measured as their slow twin does it; simple ones told without the library."""

from __future__ import annotations

import math
import random
import re

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from geo.arrays import frozen
from geo.errors import FenceError
from geo.extent import extents
from geo.rings import Parts, Ring, rings_of
from geo.simple import surely_simple
from geo.sphere import distance_m
from geo.unwrapping import unwrapped
from tests.reference import geo_rings as slow
from tests.reference.geo_polygons import archipelago

odd = st.sampled_from([0.0, -0.0, 90.0, 91.0, 180.0, -180.0, 359.0, 540.0, 541.0, math.nan, math.inf])
lats = st.one_of(st.floats(-1.0, 1.0), st.floats(-89.5, 89.5), odd)
lngs = st.one_of(st.floats(-1.0, 1.0), st.floats(179.0, 181.0), st.floats(-400.0, 400.0), odd)
few = st.sampled_from([(0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.25, 359.75)])
rings_ = st.lists(st.one_of(few, few, st.tuples(lats, lngs)), max_size=9)
several = st.lists(st.lists(rings_, min_size=1, max_size=3), min_size=1, max_size=2)
places = st.tuples(
    st.one_of(st.floats(-88.0, 88.0), st.just(88.5)), st.one_of(st.floats(-180.0, 180.0), st.just(180.0))
)
seeds = st.integers(0, 1 << 30)


@settings(max_examples=600, deadline=None)
@given(several)
def test_rings_are_unwrapped_or_refused_as_the_twin_does(parts: list[list[Ring]]) -> None:
    try:
        wanted = slow.unwrapped(parts)
    except FenceError as error:
        with pytest.raises(FenceError) as got:
            unwrapped(parts)
        assert _without_numbers(got.value) == _without_numbers(error)
        return
    got_parts = unwrapped(parts)
    assert [len(rings) for rings in got_parts] == [len(rings) for rings in wanted]
    for rings, wanted_rings in zip(got_parts, wanted, strict=True):
        for ring, wanted_ring in zip(rings, wanted_rings, strict=True):
            assert ring.tobytes() == wanted_ring.tobytes()


def _without_numbers(error: FenceError) -> str:
    return re.sub(r"[0-9.e+]+", "#", str(error))


def _drawn(at: tuple[float, float], size_m: float, corners: int, extras: int, seed: int) -> Parts:
    try:
        return unwrapped(archipelago(random.Random(seed), at, size_m, corners, extras))
    except FenceError as error:
        assume("pole" not in str(error) and "km" not in str(error) and "longitude" not in str(error))
        raise


@settings(max_examples=200, deadline=None)
@given(places, st.floats(1.0, 5.2), st.integers(5, 80), st.integers(0, 3), seeds)
def test_middle_area_and_reach_are_the_twins(
    at: tuple[float, float], log_size: float, corners: int, extras: int, seed: int
) -> None:
    drawn = _drawn(at, 10.0**log_size, corners, extras if log_size > 2.7 else min(extras, 1), seed)
    around = np.zeros((1, 4))
    extents(rings_of([drawn]), around)
    lat, lng, radius_m, reach_m = around[0].tolist()
    wanted_lat, wanted_lng, wanted_reach_m = slow.reach(drawn)
    assert (lat, lng) == (wanted_lat, wanted_lng)
    assert radius_m == pytest.approx(math.sqrt(slow.fence_area_m2(drawn) / math.pi), rel=1e-6)
    share = np.linspace(0.0, 1.0, 200)[:, None]
    edges = [(a, b - a) for rings in drawn for a, b in zip(rings[0], rings[0][1:], strict=False)]
    along = np.concatenate([a + share * step for a, step in edges])
    farthest_m = distance_m(along[:, 0], along[:, 1], lat, lng).max()
    assert farthest_m <= reach_m <= max(wanted_reach_m, 1.002 * farthest_m + 0.03)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=3, max_size=9), st.floats(0.1, 3.0))
def test_what_is_surely_simple_is_valid(corners: list[tuple[int, int]], scale: float) -> None:
    try:
        ring = unwrapped([[[(60.0 + a * scale / 100.0, 20.0 + b * scale / 100.0) for a, b in corners]]])[0][0]
    except FenceError:
        return
    if surely_simple(frozen(ring, np.float64)):
        assert shapely.is_valid(shapely.Polygon(ring))


@settings(max_examples=100, deadline=None)
@given(places, st.floats(10.0, 50_000.0), st.integers(5, 190), seeds)
def test_a_star_is_surely_simple(at: tuple[float, float], size_m: float, corners: int, seed: int) -> None:
    ring = _drawn(at, size_m, corners, 0, seed)[0][0]
    assert shapely.is_valid(shapely.Polygon(ring))
    assert surely_simple(frozen(ring, np.float64))


@pytest.mark.parametrize(
    "corners",
    [
        [(0, 0), (0, 2), (2, 0), (2, 2)],  # crosses
        [(0, 0), (0, 4), (4, 4), (2, 0), (2, -1)],  # a vertex on an edge's line beyond it: simple
        [(0, 0), (0, 4), (2, 2), (4, 4), (4, 0), (2, 2)],  # touches itself in a vertex
        [(0, 0), (0, 4), (4, 4), (0, 2), (4, 0)],  # touches an edge
        [(0, 0), (0, 4), (4, 4), (4, 0), (4, 2)],  # runs back over itself
    ],
)
def test_no_doubt_about_what_is_not_simple(corners: list[tuple[int, int]]) -> None:
    ring = np.array([*corners, corners[0]], np.float64)
    assert surely_simple(frozen(ring, np.float64)) <= shapely.is_valid(shapely.Polygon(ring))


def test_a_vertex_has_two_coordinates() -> None:
    with pytest.raises(FenceError, match="not a latitude and a longitude"):
        unwrapped([[[(0.0, 0.0, 5.0), (0.0, 1.0, 5.0), (1.0, 0.0, 5.0)]]])  # type: ignore[list-item]
