"""Polygon fences by hand: what is refused and why, GeoJSON, ±180°, holes, seams, the snapshot."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geo.cells import the_grid
from geo.compiling import compiled
from geo.errors import FenceError
from geo.fence import Circle
from geo.geojson import polygon_of
from geo.index import FenceIndex
from geo.lattice import most
from geo.laying import level
from geo.match import match
from geo.polygon import Polygon, polygon
from geo.polygon_cover import CELLS_MAX, TRIED_MAX, finest
from geo.presence import Presence
from geo.transitions import PING, Kind, advance
from geo.units import EARTH_RADIUS_M
from tests.reference.geo_ground import moved

TOWN = (60.17, 24.94)


def _square(at: tuple[float, float], half_deg: float) -> list[tuple[float, float]]:
    lat, lng = at
    return [(lat + a * half_deg, lng + b * half_deg) for a, b in ((-1, -1), (-1, 1), (1, 1), (1, -1))]


def _round(at: tuple[float, float], radius_deg: float, count: int) -> list[tuple[float, float]]:
    turns = [2.0 * math.pi * k / count for k in range(count)]
    return [(at[0] + radius_deg * math.cos(t), at[1] + radius_deg * math.sin(t)) for t in turns]


REFUSED = [
    ("self-intersection", [(0.0, 0.0), (0.0, 1.0), (1.0, 0.2), (0.7, 1.0)]),
    ("fewer than three", [(0.0, 0.0), (0.0, 1.0)]),
    ("fewer than three", []),
    ("fewer than three", [(0.0, 0.0), (0.0, 1.0), (0.0, 1.0), (0.0, 0.0)]),
    ("less than 1 m²", [(0.0, 0.0), (0.0, 1.0), (0.0, 2.0)]),
    ("less than 1 m²", [(0.0, 0.0), (0.0, 1e-6), (1e-6, 0.0)]),
    ("not a finite number", [(0.0, 0.0), (math.nan, 1.0), (1.0, 0.0)]),
    ("not a finite number", [(0.0, 0.0), (0.0, math.inf), (1.0, 0.0)]),
    ("latitude 91 lies outside", [(91.0, 0.0), (0.0, 1.0), (1.0, 0.0)]),
    ("longitude 1e\\+308 lies outside", [(0.0, 1e308), (0.0, 1.0), (1.0, 0.0)]),
    ("nearer to a pole", [(89.5, 0.0), (88.0, 1.0), (88.0, 0.0)]),
    ("goes around a pole", [(85.0, lng) for lng in range(-180, 180, 10)]),
    ("of longitude", [(-80.0, -170.0), (-80.0, 0.0), (-80.0, 170.0), (80.0, 170.0), (80.0, 0.0), (80.0, -170.0)]),
    ("of longitude", [(0.0, 0.0), (0.0, 100.0), (1.0, 100.0), (1.0, 0.0)]),
    ("km²", _square((0.0, 0.0), 1.1)),
    ("km from its middle", [(0.0, 0.0), (0.0, 6.0), (0.01, 6.0), (0.01, 0.0)]),
    ("10001 vertices", _round((0.0, 0.0), 0.1, 10_001)),
    ("vertices", [(0.0, 0.0)] * 1_000_000),
]


@pytest.mark.parametrize(("why", "ring"), REFUSED)
def test_impossible_rings_are_refused_with_the_reason(why: str, ring: list[tuple[float, float]]) -> None:
    with pytest.raises(FenceError, match=f"fence 7: .*({why})"):
        polygon(7, ring)


def test_holes_lie_inside_and_parts_apart() -> None:
    with pytest.raises(FenceError, match="fence 7: not a polygon: hole"):
        polygon(7, _square(TOWN, 0.01), [_square((60.0, 24.0), 0.001)])
    with pytest.raises(FenceError, match="overlap"):
        Polygon(7, ((tuple(_square(TOWN, 0.01)),), (tuple(_square(TOWN, 0.005)),)))
    with pytest.raises(FenceError, match="at least one ring"):
        Polygon(7, ())


def test_dwells_and_ids_are_checked_as_a_circles_are() -> None:
    with pytest.raises(FenceError, match="dwell"):
        polygon(7, _square(TOWN, 0.01), dwells_s=(0,))
    with pytest.raises(FenceError, match="64-bit"):
        polygon(1 << 63, _square(TOWN, 0.01))
    with pytest.raises(FenceError, match="id 7"):
        FenceIndex.build([polygon(7, _square(TOWN, 0.01)), Circle(7, *TOWN, 50.0)])


def _held(fences: list[Any], *points: tuple[float, float]) -> list[list[int]]:
    """For each point the ids of the fences that hold it."""
    index = FenceIndex.build(fences)
    pairs = match(index, np.array([lat for lat, _ in points]), np.array([lng for _, lng in points]))
    return [index.fence[pairs.fence[pairs.point == k]].tolist() for k in range(len(points))]


def test_geojson_turns_the_order_and_knows_holes_and_parts() -> None:
    ring = [[24.0, 60.0], [24.1, 60.0], [24.1, 60.1], [24.0, 60.1], [24.0, 60.0]]
    hole = [[24.04, 60.04], [24.06, 60.04, 12.5], [24.06, 60.06], [24.04, 60.06], [24.04, 60.04]]
    far = [[25.0, 60.0], [25.1, 60.0], [25.0, 60.1], [25.0, 60.0]]
    one = polygon_of(1, {"type": "Polygon", "coordinates": [ring, hole]}, (60,))
    assert one.dwells_s == (60,)
    two = polygon_of(2, {"type": "MultiPolygon", "coordinates": [[ring, hole], [far]]})
    points = [(60.02, 24.02), (60.05, 24.05), (60.01, 25.01), (60.09, 25.09), (24.02, 60.02)]
    assert _held([one, two], *points) == [[1, 2], [], [2], [], []]


@pytest.mark.parametrize(
    "geometry",
    [
        None,
        {},
        {"type": "Point", "coordinates": [24.0, 60.0]},
        {"type": "Polygon"},
        {"type": "Polygon", "coordinates": [24.0, 60.0]},
        {"type": "Polygon", "coordinates": [[[24.0], [25.0, 60.0], [25.0, 61.0]]]},
        {"type": "Polygon", "coordinates": [[[24.0, "60"], [25.0, 60.0], [25.0, 61.0]]]},
        {"type": "Polygon", "coordinates": [[[24.0, True], [25.0, 60.0], [25.0, 61.0]]]},
        {"type": "MultiPolygon", "coordinates": []},
    ],
)
def test_other_geojson_is_refused(geometry: Any) -> None:
    with pytest.raises(FenceError, match="fence 3: "):
        polygon_of(3, geometry)


def test_a_fence_across_180_is_the_same_however_it_is_written() -> None:
    jump = polygon(1, [(-17.0, 179.9), (-17.0, -179.9), (-16.8, -179.9), (-16.8, 179.9)])
    beyond = polygon(2, [(-17.0, 179.9), (-17.0, 180.1), (-16.8, 180.1), (-16.8, 179.9)])
    before = polygon(3, [(-17.0, -180.1), (-17.0, -179.9), (-16.8, -179.9), (-16.8, -180.1)])
    west = [[179.9, -17.0], [180.0, -17.0], [180.0, -16.8], [179.9, -16.8], [179.9, -17.0]]
    east = [[-180.0, -17.0], [-179.9, -17.0], [-179.9, -16.8], [-180.0, -16.8], [-180.0, -17.0]]
    split = polygon_of(4, {"type": "MultiPolygon", "coordinates": [[west], [east]]})
    points = [(-16.9, 179.95), (-16.9, 180.0), (-16.9, -180.0), (-16.9, -179.95), (-16.9, -179.85), (-16.9, 0.0)]
    every = [1, 2, 3, 4]
    assert _held([jump, beyond, before, split], *points) == [every, every, every, every, [], []]


def test_a_seam_is_no_edge() -> None:
    west, east = _square((60.0, 25.0), 0.01), _square((60.0, 25.02), 0.01)
    index = FenceIndex.build([Polygon(1, ((tuple(west),), (tuple(east),)))])
    pairs = match(index, np.array([60.0]), np.array([25.0100001]))
    assert pairs.edge_m.tolist() == pytest.approx([-0.01 * 111_195.0802], rel=0.06)
    assert pairs.edge_m[0] <= -1_111.0


def test_a_great_fence_has_inner_cells() -> None:
    index = FenceIndex.build([polygon(1, _round((50.0, 10.0), 0.4, 10_000))])
    assert (index.posting < 0).any() and (index.posting >= 0).any()


def _street(long_m: float, wide_m: float) -> Polygon:
    ends = [(0.0, 0.0), (wide_m, -wide_m), (long_m + wide_m, long_m - wide_m), (long_m, long_m)]
    return polygon(1, [moved(*TOWN, *end) for end in ends])


def test_the_cells_of_a_long_narrow_fence_are_bounded() -> None:
    """Cells fit for its area would be hundreds along it."""
    index = FenceIndex.build([_street(8_000.0, 4.0)])
    assert 10 < len(index.posting) <= CELLS_MAX
    assert index.upper[0] < level(index.radius_m[0])


def test_the_work_for_a_long_narrow_fence_is_bounded_before_it_starts() -> None:
    around = compiled([_street(200_000.0, 2.0)], map, None).around
    faces, (radius_m, reach_m) = the_grid().faces, around[0, 2:].tolist()
    reach = reach_m / EARTH_RADIUS_M
    assert most(faces, reach, finest(faces, around[0])) <= TRIED_MAX < most(faces, reach, level(radius_m))


def test_a_memory_mapped_index_of_both_kinds_is_the_same(tmp_path: Path) -> None:
    index = FenceIndex.build([polygon(1, _square(TOWN, 0.01), dwells_s=(60,)), Circle(2, *TOWN, 40.0)])
    for name, array in index.arrays().items():
        np.save(tmp_path / f"{name}.npy", array)
    again = FenceIndex.from_arrays({name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in index.arrays()})
    for name, array in again.arrays().items():
        assert array.tobytes() == index.arrays()[name].tobytes(), name
    assert match(again, np.array([TOWN[0]]), np.array([TOWN[1]])).fence.tolist() == [0, 1]


def test_a_walk_through_a_polygon_enters_dwells_and_exits() -> None:
    """A square of 200 m: the rim is max(20, 11) m, so the exit wants edge_m > 5 + 20."""
    index = FenceIndex.build(
        [
            polygon(
                1, [moved(*TOWN, a, b) for a, b in ((-100, -100), (-100, 100), (100, 100), (100, -100))], dwells_s=(45,)
            )
        ]
    )
    pings = np.zeros(6, PING)
    for k, east_m in enumerate((-130.0, -90.0, 0.0, 0.0, 115.0, 126.0)):
        pings["lat"][k], pings["lng"][k] = moved(*TOWN, 0.0, east_m)
    pings["accuracy_m"], pings["at_ms"] = 5.0, 30_000 * np.arange(6)
    told = advance(Presence(), index, pings).transitions
    assert list(zip(told["kind"].tolist(), told["ping"].tolist(), strict=True)) == [
        (Kind.ENTER, 1),
        (Kind.DWELL, 3),
        (Kind.EXIT, 5),
    ]
