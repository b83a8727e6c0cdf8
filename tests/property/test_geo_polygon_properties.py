"""Polygon fences against brute force: stars, holes, islands, ±180°, near the poles, pentagons."""

from __future__ import annotations

import math
import random

import h3.api.basic_int as h3
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from geo.cells import encode, parent
from geo.compiling import compiled
from geo.edge import FAR_M, edge_m, spot
from geo.errors import FenceError
from geo.fence import Circle
from geo.index import FenceIndex
from geo.laying import LEVELS
from geo.match import match
from geo.polygon import Polygon
from geo.presence import Presence
from geo.transitions import PING, advance
from geo.units import EARTH_RADIUS_M
from tests.reference.geo_ground import moved
from tests.reference.geo_places import face_edges
from tests.reference.geo_polygons import Parts, archipelago, around, boundary_m, holds, polygon, radius_m, turned
from tests.reference.geo_polygons import edge_m as slow_edge_m
from tests.reference.geo_visits import Ping, Twin

PENTAGONS = [h3.cell_to_latlng(cell) for res in (5, 9) for cell in h3.get_pentagons(res)]
FACE_EDGES = [
    (lat, lng)
    for lat, lng in zip(*(column.tolist() for column in face_edges(np.random.default_rng(2), 24)), strict=True)
    if abs(lat) < 88.0
]

anywhere = st.tuples(st.floats(-88.0, 88.0), st.floats(-180.0, 180.0))
awkward = st.sampled_from(
    [
        *PENTAGONS,
        *FACE_EDGES,
        (88.0, -120.0),
        (-88.0, 180.0),
        (0.0, 180.0),
        (60.0, -180.0),
        (-16.5, 179.9999),
    ]
)
places = st.one_of(anywhere, awkward, st.just((0.0, 0.0)))
sizes_m = st.one_of(st.floats(5.0, 300.0), st.floats(300.0, 5_000.0), st.floats(5_000.0, 80_000.0))
corners_ = st.one_of(st.integers(5, 12), st.integers(13, 200))
seeds = st.integers(0, 1 << 30)
drawings = st.tuples(places, sizes_m, corners_, st.integers(0, 3), seeds)
Drawing = tuple[tuple[float, float], float, int, int, int]


def _drawn(fence: int, drawing: Drawing) -> tuple[Parts, Polygon]:
    """The rings unwrapped, and the fence; parts too small or too near to a pole are drawn again by hypothesis."""
    at, size_m, corners, extras, seed = drawing
    parts = archipelago(random.Random(seed), at, size_m, corners, extras if size_m > 500.0 else min(extras, 1))
    try:
        return parts, polygon(fence, parts)
    except FenceError as error:
        assume("pole" not in str(error) and "km" not in str(error) and "longitude" not in str(error))
        raise


@settings(max_examples=20, deadline=None)
@given(drawings)
def test_a_cover_never_under_includes_and_its_inside_is_sure(drawing: Drawing) -> None:
    parts, fence = _drawn(1, drawing)
    cover = compiled([fence], map, None).covers
    points = around(random.Random(drawing[-1]), parts, 150)
    leaves = encode(np.array([lat for lat, _ in points]), np.array([lng for _, lng in points]))
    inside, covered = np.zeros(len(leaves), np.bool_), np.zeros(len(leaves), np.bool_)
    for res in LEVELS:
        ancestors = parent(leaves, res)
        inside |= np.isin(ancestors, cover.cell[cover.inside])
        covered |= np.isin(ancestors, cover.cell)
    held = np.array([holds(parts, lat, turned(parts, lng)) for lat, lng in points])
    assert covered[held].all()
    assert held[inside].all()
    assert len(np.unique(cover.cell)) == len(cover.cell)


@settings(max_examples=20, deadline=None)
@given(drawings)
def test_the_farthest_leaves_of_a_cell_lie_where_the_cell_says(drawing: Drawing) -> None:
    """Leaves at the ends of a cell in eight directions: of an inside cell inside; beside the cover outside."""
    parts, fence = _drawn(1, drawing)
    cover = compiled([fence], map, None).covers
    dice = random.Random(drawing[-1])
    known, sure, edge = set(cover.cell.tolist()), cover.cell[cover.inside].tolist(), cover.cell[~cover.inside].tolist()
    for cell in dice.sample(sure, min(4, len(sure))):
        assert all(holds(parts, lat, turned(parts, lng)) for lat, lng in _ends(cell))
    for cell in dice.sample(edge, min(4, len(edge))):
        for near in h3.grid_disk(cell, 1):
            ancestors = {h3.cell_to_parent(near, res) for res in LEVELS if res <= h3.get_resolution(near)}
            if not ancestors & known:
                assert not any(holds(parts, lat, turned(parts, lng)) for lat, lng in _ends(near))


def _ends(cell: int) -> list[tuple[float, float]]:
    return [h3.cell_to_latlng(_leaf(cell, k * math.pi / 4.0)) for k in range(8)]


def _leaf(cell: int, course: float) -> int:
    """The leaf that descending greedily on that course leads to."""
    while h3.get_resolution(cell) < LEVELS[-1]:
        lat, lng = h3.cell_to_latlng(cell)
        ahead = {}
        for child in h3.cell_to_children(cell):
            north, east = h3.cell_to_latlng(child)[0] - lat, (h3.cell_to_latlng(child)[1] - lng + 180.0) % 360.0 - 180.0
            ahead[child] = north * math.cos(course) + east * math.cos(math.radians(lat)) * math.sin(course)
        cell = max(ahead, key=lambda child: ahead[child])
    return cell


@settings(max_examples=25, deadline=None)
@given(st.lists(drawings, min_size=1, max_size=3), st.floats(50.0, 5_000.0))
def test_matching_agrees_with_asking_every_fence(several: list[Drawing], radius: float) -> None:
    """Polygons around one place, and a circle among them."""
    home = several[0][0]
    drawn = [_drawn(900 - k, (home, *drawing[1:])) for k, drawing in enumerate(several)]
    fences: list[Circle | Polygon] = [*(fence for _, fence in drawn), Circle(1, *home, radius)]
    points = [point for parts, _ in drawn for point in around(random.Random(several[0][-1]), parts, 60)]
    lat, lng = np.array([a for a, _ in points]), np.array([b for _, b in points])
    index = FenceIndex.build(fences)
    got = match(index, lat, lng)
    found = dict(zip(zip(got.point.tolist(), got.fence.tolist(), strict=True), got.edge_m.tolist(), strict=True))
    assert list(found) == sorted(found)
    assert all(edge <= 0.0 for edge in found.values())
    for parts, fence in drawn:
        position = int(index.position_of(np.array([fence.fence]))[0])
        for number, (a, b) in enumerate(points):
            near = turned(parts, b)
            if ((number, position) in found) != holds(parts, a, near):
                assert boundary_m(parts, a, near) < 1e-5  # on the edge itself fractions may decide otherwise


@settings(max_examples=15, deadline=None)
@given(drawings, st.floats(0.0, 2.0))
def test_distances_to_the_edge_agree_with_searching(drawing: Drawing, reach: float) -> None:
    parts, fence = _drawn(1, drawing)
    index = FenceIndex.build([fence])
    points = around(random.Random(drawing[-1]), parts, 12)
    home = drawing[0]
    points.append((max(-88.9, min(88.9, home[0] + reach)), home[1]))
    for lat, lng in points:
        got = edge_m(index.kernel_view, 0, spot(lat, lng))
        wanted = boundary_m(parts, lat, turned(parts, lng))
        held = holds(parts, lat, turned(parts, lng))
        if wanted > 1e-5:
            assert (got <= 0.0) == held
        allowed = 1e-3 + 2.0 * wanted**2 * math.tan(math.radians(min(89.5, abs(lat) + 0.5))) / (2.0 * EARTH_RADIUS_M)
        if wanted < FAR_M:
            assert abs(abs(got) - wanted) <= allowed + 1e-4 * wanted
        assert not (got > FAR_M and got > wanted + allowed)


@settings(max_examples=12, deadline=None)
@given(st.lists(drawings, min_size=1, max_size=4), st.randoms())
def test_an_index_does_not_depend_on_the_order_of_its_fences(several: list[Drawing], dice: random.Random) -> None:
    fences: list[Circle | Polygon] = [_drawn(k * 7919 % 101, drawing)[1] for k, drawing in enumerate(several)]
    fences += [Circle(200 + k, *drawing[0], 80.0) for k, drawing in enumerate(several)]
    shuffled = fences.copy()
    dice.shuffle(shuffled)
    first, second = FenceIndex.build(fences).arrays(), FenceIndex.build(shuffled).arrays()
    assert {name: array.tobytes() for name, array in first.items()} == {
        name: array.tobytes() for name, array in second.items()
    }


tilings = st.tuples(places, st.floats(5.0, 3_000.0), st.integers(2, 5), seeds)


@settings(max_examples=12, deadline=None)
@given(tilings)
def test_tiles_take_every_point_exactly_once(tiling: tuple[tuple[float, float], float, int, int]) -> None:
    """A crooked net of quadrilaterals: points on their common corners and edges belong to one of them."""
    at, step_m, side, seed = tiling
    dice, step = random.Random(seed), step_m / EARTH_RADIUS_M * 180.0 / math.pi
    wide = step / math.cos(math.radians(at[0]))
    west = at[1] if at[1] + 6 * wide < 180.0 else at[1] - 12 * wide  # across ±180° neighbours agree to nanometres only
    net = {
        (i, j): (
            at[0] + step * (i + dice.choice([0.0, dice.uniform(-0.3, 0.3)])),
            west + wide * (j + dice.uniform(-0.3, 0.3)),
        )
        for i in range(side + 1)
        for j in range(side + 1)
    }
    tiles = [
        Polygon(i * 10 + j, (((net[i, j], net[i, j + 1], net[i + 1, j + 1], net[i + 1, j]),),))
        for i in range(side)
        for j in range(side)
    ]
    points = [point for (i, j), point in net.items() if 0 < i < side and 0 < j < side]
    for i in range(1, side):
        for j in range(1, side):
            a, b, share = net[i, j], net[i, j - 1], dice.random()
            points.append((a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])))
    assume(points)
    assert max(abs(lat) for lat, _ in points) < 89.0
    got = match(FenceIndex.build(tiles), np.array([a for a, _ in points]), np.array([b for _, b in points]))
    assert got.point.tolist() == list(range(len(points)))


@settings(max_examples=12, deadline=None)
@given(drawings)
def test_the_rim_is_measured_by_the_area(drawing: Drawing) -> None:
    _, fence = _drawn(1, ((min(60.0, max(-60.0, drawing[0][0])), 10.0), *drawing[1:]))
    index = FenceIndex.build([fence])
    assert index.radius_m[0] == pytest.approx(radius_m(fence), rel=0.02)
    assert slow_edge_m(fence, *fence.parts[0][0][0]) == pytest.approx(0.0, abs=1e-6)


steps_m = st.lists(
    st.tuples(st.integers(-330, 330), st.integers(-330, 330), st.sampled_from([5.0, 30.0, 130.0])), max_size=25
)


@settings(max_examples=25, deadline=None)
@given(places, st.lists(st.tuples(st.floats(20.0, 250.0), corners_, seeds), min_size=1, max_size=3), steps_m)
def test_presence_in_polygons_agrees_with_its_slow_twin(
    at: tuple[float, float], shapes: list[tuple[float, int, int]], walk: list[tuple[int, int, float]]
) -> None:
    fences = [
        polygon(9 - k, archipelago(random.Random(seed), at, size_m, corners, 1), (60,))
        for k, (size_m, corners, seed) in enumerate(shapes)
        if abs(at[0]) < 80.0
    ]
    pings = np.zeros(len(walk), PING)
    for k, (north_m, east_m, accuracy_m) in enumerate(walk):
        pings["lat"][k], pings["lng"][k] = moved(*at, float(north_m), float(east_m))
        pings["accuracy_m"][k], pings["at_ms"][k] = accuracy_m, 40_000 * k
        for fence in fences:
            edge = slow_edge_m(fence, pings["lat"][k], pings["lng"][k])
            limits = (0.0, accuracy_m + 20.0, 20.0, 0.1 * radius_m(fence))
            assume(all(abs(edge - limit) > 0.2 for limit in limits))  # two metrics may differ by so much
    twin = Twin(fences)
    wanted = [event for k, ping in enumerate(pings.tolist()) for event in twin.ping(k, Ping(*ping))]
    assert advance(Presence(), FenceIndex.build(fences), pings).transitions.tolist() == wanted


@pytest.mark.slow
def test_no_pair_is_wrong_farther_than_a_millimetre_from_an_edge() -> None:
    dice, pairs, wrong = random.Random(20), 0, 0
    while pairs < 40_000:
        at = (math.degrees(math.asin(dice.uniform(-0.9993, 0.9993))), dice.choice([180.0, dice.uniform(-180.0, 180.0)]))
        parts = archipelago(dice, at, 10.0 ** dice.uniform(0.8, 4.5), dice.choice([5, 12, 60, 300]), dice.randrange(2))
        points = around(dice, parts, 500)
        lat, lng = np.array([a for a, _ in points]), np.array([b for _, b in points])
        try:
            index = FenceIndex.build([polygon(1, parts)])
        except FenceError as error:
            assert "pole" in str(error) or "longitude" in str(error) or "km" in str(error), error
            continue
        held = set(match(index, lat, lng).point.tolist())
        pairs += len(points)
        for number, (a, b) in enumerate(points):
            near = turned(parts, b)
            if (number in held) != holds(parts, a, near):
                wrong += boundary_m(parts, a, near) > 1e-3
    assert wrong == 0
