"""Fences, their compiled index, and matching by hand-made examples."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geo.cells import cell_text, coarse, encode, parent
from geo.errors import FenceError, GeoError, PositionError
from geo.fence import Circle
from geo.index import FenceIndex, same_ground
from geo.match import match
from geo.polygon import Polygon
from geo.position import check_position, valid
from geo.sphere import distance_m
from tests.reference.geo_ground import moved

HELSINKI = (60.1699, 24.9384)


@pytest.mark.parametrize("lat, lng", [(91.0, 0.0), (0.0, 540.0), (1e308, 0.0), (math.nan, 0.0), (0.0, -math.inf)])
def test_impossible_positions_never_reach_h3(lat: float, lng: float) -> None:
    with pytest.raises(PositionError):
        check_position(lat, lng)
    with pytest.raises(PositionError):
        Circle(1, lat, lng, 100.0)
    assert not valid(np.array([lat]), np.array([lng])).any()
    assert encode(np.array([lat, 60.0]), np.array([lng, 25.0])).astype(bool).tolist() == [False, True]
    index = FenceIndex.build([Circle(1, 0.0, 0.0, 50_000.0)])
    assert len(match(index, np.array([lat]), np.array([lng])).point) == 0


def test_the_ends_of_the_ranges_are_positions() -> None:
    for lat, lng in [(90.0, 180.0), (-90.0, -180.0)]:
        check_position(lat, lng)


@pytest.mark.parametrize("radius_m", [0.0, -1.0, math.nan, math.inf, 50_001.0])
def test_impossible_radii_are_refused(radius_m: float) -> None:
    with pytest.raises(FenceError, match="radius"):
        Circle(7, *HELSINKI, radius_m)


@pytest.mark.parametrize("dwell_s", [0, -5, 86_401])
def test_impossible_dwells_are_refused(dwell_s: int) -> None:
    with pytest.raises(FenceError, match="dwell"):
        Circle(7, *HELSINKI, 50.0, (60, dwell_s))


def test_ids_are_64_bit_and_distinct() -> None:
    with pytest.raises(FenceError, match="64-bit"):
        Circle(1 << 63, *HELSINKI, 50.0)
    big, small = Circle((1 << 63) - 1, *HELSINKI, 50.0), Circle(-(1 << 63), *HELSINKI, 50.0)
    assert FenceIndex.build([big, small]).fence.tolist() == [small.fence, big.fence]
    with pytest.raises(FenceError, match="9007199254740993"):
        FenceIndex.build([Circle(9007199254740993, *HELSINKI, radius) for radius in (50.0, 60.0)])


def test_known_cells() -> None:
    lat, lng = np.array([37.775938728915946]), np.array([-122.41795063018799])
    assert cell_text(int(parent(encode(lat, lng), 9)[0])) == "8928308280fffff"  # the example on h3geo.org
    assert cell_text(int(coarse(lat, lng)[0])) == "872830828ffffff"


def test_known_distances() -> None:
    quarter = 6_371_008.8 * math.pi / 2.0
    assert distance_m(0.0, 0.0, 0.0, 90.0) == pytest.approx(quarter)
    assert distance_m(90.0, 13.0, 0.0, -77.0) == pytest.approx(quarter)
    assert distance_m(0.0, 179.5, 0.0, -179.5) == pytest.approx(6_371_008.8 * math.pi / 180.0)
    assert distance_m(*HELSINKI, *HELSINKI) == 0.0


def test_pairs_come_ordered_with_their_distance_to_the_edge() -> None:
    circles = [Circle(20, *HELSINKI, 30.0), Circle(10, *HELSINKI, 3_000.0), Circle(30, *HELSINKI, 45_000.0)]
    points = np.array([moved(*HELSINKI, 0.0, east_m) for east_m in (0.0, 40.0, 100_000.0, 20.0)])
    pairs = match(FenceIndex.build(circles), points[:, 0], points[:, 1])
    assert list(zip(pairs.point.tolist(), pairs.fence.tolist(), strict=True)) == [
        (0, 0),
        (0, 1),
        (0, 2),
        (1, 0),
        (1, 2),
        (3, 0),
        (3, 1),
        (3, 2),
    ]
    expected = [-3_000.0, -30.0, -45_000.0, -2_960.0, -44_960.0, -2_980.0, -10.0, -44_980.0]
    assert pairs.edge_m.tolist() == pytest.approx(expected, abs=1e-6)


def test_more_pairs_than_expected_are_all_found() -> None:
    index = FenceIndex.build([Circle(fence, *HELSINKI, 50.0 + fence) for fence in range(500)])
    pairs = match(index, np.full(3, HELSINKI[0]), np.full(3, HELSINKI[1]))
    assert pairs.fence.tolist() == list(range(500)) * 3


def test_the_empty_index_matches_nothing() -> None:
    index = FenceIndex.empty()
    assert (len(index), len(match(index, np.array([60.0]), np.array([25.0])).point)) == (0, 0)
    assert index.position_of(np.array([1, 2])).tolist() == [-1, -1]


def test_positions_of_stable_ids() -> None:
    index = FenceIndex.build([Circle(fence, *HELSINKI, 50.0) for fence in (30, -10, 20)])
    assert index.position_of(np.array([20, 31, -10, 0, 30])).tolist() == [1, -1, 0, -1, 2]


def _saved(index: FenceIndex, folder: Path) -> dict[str, Any]:
    for name, array in index.arrays().items():
        np.save(folder / f"{name}.npy", array)
    return {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in index.arrays() if len(index)}


def test_a_memory_mapped_index_is_the_same_and_shares_the_file(tmp_path: Path) -> None:
    index = FenceIndex.build([Circle(1, *HELSINKI, 200.0, (60,)), Circle(2, *HELSINKI, 40.0, (300, 60, 300))])
    mapped = _saved(index, tmp_path)
    again = FenceIndex.from_arrays(mapped)
    for name, array in again.arrays().items():
        assert np.array_equal(array, index.arrays()[name]), name
        assert not array.flags.writeable, name
        assert not array.size or np.shares_memory(array, mapped[name]), name
    assert again.dwell_s.tolist() == [60, 60, 300]
    lat, lng = np.array([HELSINKI[0]]), np.array([HELSINKI[1]])
    assert match(again, lat, lng).fence.tolist() == [0, 1]


def test_an_index_with_a_missing_array_is_refused() -> None:
    arrays = FenceIndex.empty().arrays()
    del arrays["posting"]
    with pytest.raises(GeoError, match="posting"):
        FenceIndex.from_arrays(arrays)


def test_nobody_writes_to_an_index() -> None:
    index = FenceIndex.build([Circle(1, *HELSINKI, 200.0)])
    with pytest.raises(ValueError, match="read-only"):
        index.radius_m[0] = 1e9


def test_a_part_that_goes_to_the_next_fence_is_other_ground() -> None:
    """Not a vertex moves, and no fence's middle."""
    corners, island = [(0.0, 0.0), (0.0, 0.03), (0.03, 0.03), (0.03, 0.0)], [(0.01, 0.01), (0.01, 0.02), (0.02, 0.02)]
    lake = [(0.005, 0.005), (0.005, 0.025), (0.025, 0.025), (0.025, 0.005)]
    hook = [(0.008, 0.008), (0.008, 0.028), (0.028, 0.028), (0.028, 0.027), (0.009, 0.027), (0.009, 0.008)]
    with_island, hooked = Polygon(1, ((corners, lake), (island,))), Polygon(2, ((island,), (hook,)))
    land_only, hook_only = (  # rings of several parts are drawn in another order than they were given in
        Polygon(fence, (tuple([tuple(at) for at in ring.tolist()] for ring in part),))
        for fence, part in ((1, with_island.drawn[0]), (2, hooked.drawn[1]))
    )
    one, other = FenceIndex.build([with_island, hook_only]), FenceIndex.build([land_only, hooked])
    assert np.array_equal(one.vertex, other.vertex) and np.array_equal(one.centre, other.centre)
    assert same_ground(one, one) and not same_ground(one, other)
