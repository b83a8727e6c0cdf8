"""Cells, covers and matching against brute force, everywhere on Earth."""

from __future__ import annotations

import math
import random

import h3.api.basic_int as h3
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.cells import encode, parent
from geo.compiling import compiled
from geo.cover import Covers
from geo.fence import Circle
from geo.index import FenceIndex
from geo.laying import LEVELS, level
from geo.leaves import LEAF_RES
from geo.match import match
from geo.sphere import distance_m, units
from tests.reference.geo_ground import edge_m, haversine_m, moved, pairs
from tests.reference.geo_near import pair_distance_m
from tests.reference.geo_places import face_edges

PENTAGONS = [h3.cell_to_latlng(cell) for res in (5, 7, 9, 11) for cell in h3.get_pentagons(res)]
FACE_EDGES = list(zip(*(column.tolist() for column in face_edges(np.random.default_rng(1), 48)), strict=True))

anywhere = st.tuples(st.floats(-90.0, 90.0), st.floats(-180.0, 180.0))
awkward = st.sampled_from(
    [
        *PENTAGONS,
        *FACE_EDGES,
        (90.0, 0.0),
        (-90.0, 17.0),
        (89.9999, -120.0),
        (0.0, 180.0),
        (60.0, -180.0),
        (-16.5, 179.9999),
        (0.0, 0.0),
    ]
)
offsets_m = st.tuples(st.floats(-30_000.0, 30_000.0), st.floats(-30_000.0, 30_000.0))
places = st.one_of(anywhere, awkward, st.builds(lambda at, by: moved(*at, *by), awkward, offsets_m))
radii_m = st.one_of(st.floats(0.5, 300.0), st.floats(300.0, 5_000.0), st.floats(5_000.0, 50_000.0))
circles_ = st.builds(lambda at, radius_m: Circle(1, at[0], at[1], radius_m), places, radii_m)


def _cover(circle: Circle) -> Covers:
    return compiled([circle], map, None).covers


def _within(circle: Circle, seed: int, count: int, reach: float) -> tuple[list[float], list[float]]:
    """Points around the circle's centre: half of them close to the rim, the rest anywhere up to *reach* radii."""
    dice = random.Random(seed)
    points = []
    for k in range(count):
        share = reach * dice.random() ** 0.5 if k % 2 else 1.0 - 10.0 ** dice.uniform(-9.0, -1.0)
        course = dice.uniform(0.0, 2.0 * np.pi)
        away_m = circle.radius_m * share
        points.append(moved(circle.lat, circle.lng, away_m * np.cos(course), away_m * np.sin(course)))
    return [lat for lat, _ in points], [lng for _, lng in points]


@settings(deadline=None)
@given(st.lists(places, min_size=1, max_size=20))
def test_parents_agree_with_the_library(at: list[tuple[float, float]]) -> None:
    cells = encode(np.array([lat for lat, _ in at]), np.array([lng for _, lng in at]))
    assert cells.tolist() == [h3.latlng_to_cell(lat, lng, LEAF_RES) for lat, lng in at]
    for res in range(LEAF_RES + 1):
        assert parent(cells, res).tolist() == [h3.cell_to_parent(cell, res) for cell in cells.tolist()]


@settings(deadline=None)
@given(places, places)
def test_distances_agree_with_another_formula(a: tuple[float, float], b: tuple[float, float]) -> None:
    expected = haversine_m(*a, *b)
    near_antipode = expected > 20_000_000.0
    for got in (float(distance_m(*a, *b)), pair_distance_m(*a, *b)):
        assert abs(got - expected) < (2.0 if near_antipode else 1e-5)


@settings(max_examples=150, deadline=None)
@given(circles_, st.integers(0, 1 << 30))
def test_a_cover_never_under_includes_and_its_inside_is_sure(circle: Circle, seed: int) -> None:
    cover = _cover(circle)
    assert len(cover.cell) <= 130
    lat, lng = _within(circle, seed, 150, 1.4)
    leaves = encode(np.array(lat), np.array(lng))
    inside = np.zeros(len(leaves), np.bool_)
    covered = np.zeros(len(leaves), np.bool_)
    for res in LEVELS:
        ancestors = parent(leaves, res)
        inside |= np.isin(ancestors, cover.cell[cover.inside])
        covered |= np.isin(ancestors, cover.cell)
    edges = np.array([edge_m(circle, a, b) for a, b in zip(lat, lng, strict=True)])
    assert covered[edges <= 0.0].all()
    assert (edges[inside] <= 0.0).all()


@settings(max_examples=150, deadline=None)
@given(circles_, st.integers(0, 1 << 30))
def test_the_farthest_leaves_of_an_inside_cell_lie_inside(circle: Circle, seed: int) -> None:
    cover, centre = _cover(circle), (circle.lat, circle.lng)
    sure = cover.cell[cover.inside].tolist()
    for cell in random.Random(seed).sample(sure, min(3, len(sure))):
        assert max(_rim_distances(centre, _leaf(centre, cell, 1.0))) <= circle.radius_m


@pytest.mark.parametrize("radius_m", [0.5, 12.0, 28.0, 60.0, 80.0, 81.0, 400.0, 501.0, 3_500.0, 3_501.0, 50_000.0])
@pytest.mark.parametrize("place", [(60.1699, 24.9384), (0.0, 180.0), (90.0, 0.0), *PENTAGONS[::12], *FACE_EDGES[:3]])
def test_no_cell_beside_a_cover_reaches_into_the_circle(place: tuple[float, float], radius_m: float) -> None:
    """Circles around the corners of a cell, as far from its centre as can be; every cell beside the cover is tried."""
    home = h3.latlng_to_cell(*place, level(radius_m))
    for lat, lng in h3.cell_to_boundary(home)[:3]:
        known = set(_cover(Circle(1, lat, lng, radius_m)).cell.tolist())
        beside = {near for cell in known for near in h3.grid_disk(cell, 1)} - known
        for cell in beside:
            assert min(_rim_distances((lat, lng), _leaf((lat, lng), cell, -1.0))) > radius_m


def _leaf(centre: tuple[float, float], cell: int, sign: float) -> int:
    """A leaf of the cell, as far from *centre* as descending greedily leads (sign -1: as near)."""
    while h3.get_resolution(cell) < LEAF_RES:
        children = h3.cell_to_children(cell)
        cell = max(children, key=lambda child: sign * haversine_m(*centre, *h3.cell_to_latlng(child)))
    return cell


def _rim_distances(centre: tuple[float, float], cell: int) -> list[float]:
    """Distances of the cell's corners and of the middles of its sides."""
    corners = h3.cell_to_boundary(cell)
    middles = [_middle(a, b) for a, b in zip(corners, corners[1:] + corners[:1], strict=True)]
    return [haversine_m(*centre, *point) for point in (*corners, *middles)]


def _middle(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    x, y, z = (units(np.array([a[0], b[0]]), np.array([a[1], b[1]]))).sum(axis=0)
    return math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x))


towns = st.tuples(places, st.lists(st.tuples(offsets_m, radii_m), max_size=12), st.integers(0, 1 << 30))


@settings(max_examples=120, deadline=None)
@given(towns)
def test_matching_agrees_with_asking_every_fence(
    town: tuple[tuple[float, float], list[tuple[tuple[float, float], float]], int],
) -> None:
    at, drawn, seed = town
    circles = [Circle(900 - k, *moved(*at, *by), radius_m) for k, (by, radius_m) in enumerate(drawn)]
    lat, lng = [at[0]], [at[1]]
    for circle in circles:
        more_lat, more_lng = _within(circle, seed, 12, 1.3)
        lat, lng = lat + more_lat, lng + more_lng
    expected = pairs(circles, lat, lng)
    got = match(FenceIndex.build(circles), np.array(lat), np.array(lng))
    found = dict(zip(zip(got.point.tolist(), got.fence.tolist(), strict=True), got.edge_m.tolist(), strict=True))
    assert list(found) == sorted(found)
    wanted = {(point, fence): edge for point, fence, edge in expected}
    for pair in found.keys() ^ wanted.keys():
        assert abs(found.get(pair, wanted.get(pair, 0.0))) < 1e-5  # on the edge itself the formulas may differ
    for pair in found.keys() & wanted.keys():
        assert abs(found[pair] - wanted[pair]) < 1e-5


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(places, radii_m, st.sets(st.integers(1, 900), max_size=3)), max_size=15), st.randoms())
def test_an_index_does_not_depend_on_the_order_of_its_fences(
    drawn: list[tuple[tuple[float, float], float, set[int]]], dice: random.Random
) -> None:
    circles = [Circle(k * 7919 % 101, *at, radius, tuple(dwells)) for k, (at, radius, dwells) in enumerate(drawn)]
    shuffled = [Circle(c.fence, c.lat, c.lng, c.radius_m, c.dwells_s[::-1]) for c in circles]
    dice.shuffle(shuffled)
    first, second = FenceIndex.build(circles).arrays(), FenceIndex.build(shuffled).arrays()
    assert {name: array.tobytes() for name, array in first.items()} == {
        name: array.tobytes() for name, array in second.items()
    }
