"""The nearest stores, by hand-made examples."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geo.errors import GeoError, PositionError, QueryError
from geo.nearest import StoreIndex, nearest
from tests.reference.geo_ground import moved

HELSINKI = (60.1699, 24.9384)


def _index(places: dict[int, tuple[float, float]]) -> StoreIndex:
    at = np.array(list(places.values()), np.float64).reshape(-1, 2)
    return StoreIndex.build(np.array(list(places), np.int64), at[:, 0], at[:, 1])


def _row(count: int, step_m: float = 100.0) -> StoreIndex:
    """Stores 0, 1, ... one step each farther to the east of Helsinki."""
    return _index({id: moved(*HELSINKI, 0.0, id * step_m) for id in range(count)})


def test_the_nearest_come_by_distance_then_id() -> None:
    near = moved(*HELSINKI, 30.0, 0.0)
    index = _index({50: near, -3: near, 20: HELSINKI, 10: (0.0, 0.0)})
    got = nearest(index, *HELSINKI, 9)
    assert index.store[got.position].tolist() == [20, -3, 50, 10]
    assert got.distance_m[:3].tolist() == pytest.approx([0.0, 30.0, 30.0], abs=1e-6)
    assert got.position.dtype == np.int32
    assert index.store[nearest(index, *HELSINKI, 2).position].tolist() == [20, -3]


def test_of_equally_near_stores_the_lower_ids_are_kept() -> None:
    index = _index(dict.fromkeys(range(100, 0, -1), HELSINKI))
    assert index.store[nearest(index, 60.0, 25.0, 5).position].tolist() == [1, 2, 3, 4, 5]


def test_only_admitted_stores_answer() -> None:
    index = _row(200)
    mask = np.zeros(200, np.bool_)
    mask[[150, 40, 199]] = True
    assert nearest(index, *HELSINKI, 2, mask).position.tolist() == [40, 150]
    assert nearest(index, *HELSINKI, 9, mask).position.tolist() == [40, 150, 199]
    assert nearest(index, *HELSINKI, 9, np.zeros(200, np.bool_)).position.tolist() == []


def test_stores_too_far_away_do_not_answer() -> None:
    index = _row(50)
    exactly_m = float(nearest(index, *HELSINKI, 4).distance_m[3])
    assert nearest(index, *HELSINKI, 50, None, exactly_m).position.tolist() == [0, 1, 2, 3]
    assert nearest(index, *HELSINKI, 50, None, math.nextafter(exactly_m, 0.0)).position.tolist() == [0, 1, 2]
    assert len(nearest(index, *HELSINKI, 50, None, math.inf).position) == 50


def test_the_other_side_of_the_date_line_and_of_the_pole_is_near() -> None:
    index = _index({1: (0.0, 179.999), 2: (0.0, -179.0), 3: (89.99, 170.0), 4: (0.0, 179.0)})
    assert index.store[nearest(index, 0.0, -179.999, 2).position].tolist() == [1, 2]
    assert nearest(index, 0.0, -179.999, 1).distance_m[0] < 300.0
    got = nearest(index, 89.99, -10.0, 1)
    assert (index.store[got.position].tolist(), got.distance_m[0] < 2_300.0) == ([3], True)


def test_no_stores_have_no_nearest() -> None:
    assert nearest(_index({}), *HELSINKI, 3).position.tolist() == []


def test_the_tree_holds_every_store_in_boxes_of_a_few() -> None:
    for count in (1, 8, 9, 16, 17, 1_000):
        index = _row(count)
        assert sorted(index.order.tolist()) == list(range(count))
        last = (len(index.box) + 1) // 2
        assert max(1, count / 16) <= last <= max(1, count / 4)


@pytest.mark.parametrize("lat, lng", [(91.0, 0.0), (math.nan, 0.0), (0.0, 180.1), (0.0, math.inf)])
def test_impossible_positions_are_refused(lat: float, lng: float) -> None:
    with pytest.raises(PositionError):
        nearest(_row(2), lat, lng, 1)
    with pytest.raises(PositionError, match="store 7"):
        _index({6: HELSINKI, 7: (lat, lng)})


@pytest.mark.parametrize("k", [0, -4])
def test_at_least_one_store_is_asked_for(k: int) -> None:
    with pytest.raises(QueryError, match="at least one"):
        nearest(_row(2), *HELSINKI, k)


@pytest.mark.parametrize("most_m", [0.0, -1.0, math.nan, -math.inf])
def test_impossible_distances_are_refused(most_m: float) -> None:
    with pytest.raises(QueryError, match="positive"):
        nearest(_row(2), *HELSINKI, 1, None, most_m)


@pytest.mark.parametrize("mask", [np.ones(1, np.bool_), np.ones(3, np.bool_), np.ones((2, 1), np.bool_)])
def test_a_mask_of_another_shape_is_refused(mask: Any) -> None:
    with pytest.raises(QueryError, match="does not fit 2 stores"):
        nearest(_row(2), *HELSINKI, 1, mask)


def test_stores_that_make_no_index_are_refused() -> None:
    two = np.array([60.0, 60.0])
    with pytest.raises(GeoError, match="9007199254740993"):
        StoreIndex.build(np.array([9007199254740993] * 2), two, two)
    with pytest.raises(GeoError, match="2 stores have 1"):
        StoreIndex.build(np.array([1, 2]), two[:1], two)
    arrays = _row(2).arrays()
    del arrays["box"]
    with pytest.raises(GeoError, match="box"):
        StoreIndex.from_arrays(arrays)


def test_a_memory_mapped_index_is_the_same_and_shares_the_file(tmp_path: Path) -> None:
    index = _row(100)
    for name, array in index.arrays().items():
        np.save(tmp_path / f"{name}.npy", array)
    mapped = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in index.arrays()}
    again = StoreIndex.from_arrays(mapped)
    for name, array in again.arrays().items():
        assert np.shares_memory(array, mapped[name]), name
        assert not array.flags.writeable, name
    assert nearest(again, *HELSINKI, 3).position.tolist() == [0, 1, 2]
