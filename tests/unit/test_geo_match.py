"""Matching many points at once: they are taken in another order, and the answer is the same."""

from __future__ import annotations

import numpy as np
import pytest

from geo.cells import encode, parent
from geo.fence import Circle
from geo.grouping import together
from geo.index import FenceIndex
from geo.match import MANY, match
from geo.polygon import polygon


def _everywhere(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """More than MANY points: most in one town, some anywhere, some nowhere."""
    dice = np.random.default_rng(seed)
    lat, lng = dice.uniform(60.0, 60.2, 3 * MANY), dice.uniform(24.8, 25.2, 3 * MANY)
    lat[::10], lng[::10] = dice.uniform(-90.0, 90.0, len(lat[::10])), dice.uniform(-180.0, 180.0, len(lat[::10]))
    lat[::97], lng[::89] = np.nan, 540.0
    return lat, lng


@pytest.mark.parametrize("seed", [1, 2])
def test_many_points_at_once_have_the_pairs_they_have_one_after_the_other(seed: int) -> None:
    dice = np.random.default_rng(seed)
    at = np.column_stack([dice.uniform(60.0, 60.2, 600), dice.uniform(24.8, 25.2, 600)]).tolist()
    round_ = [Circle(f, lat, lng, 20.0 * 1.7 ** (f % 12)) for f, (lat, lng) in enumerate(at[:400])]
    drawn = [
        polygon(1_000 + f, [(lat, lng), (lat + 0.004, lng + 0.001), (lat + 0.002, lng + 0.009), (lat, lng + 0.005)])
        for f, (lat, lng) in enumerate(at[400:])
    ]
    index, (lat, lng) = FenceIndex.build([*round_, *drawn]), _everywhere(seed)
    whole = match(index, lat, lng)
    parts = [match(index, lat[start : start + 500], lng[start : start + 500]) for start in range(0, len(lat), 500)]
    assert whole.point.tolist() == [p + 500 * k for k, part in enumerate(parts) for p in part.point.tolist()]
    assert whole.fence.tolist() == [f for part in parts for f in part.fence.tolist()]
    assert whole.edge_m.tolist() == [e for part in parts for e in part.edge_m.tolist()]
    assert len(whole.point) > len(lat) and (whole.edge_m <= 0.0).all()


def test_more_pairs_than_there_is_room_for_at_first() -> None:
    index = FenceIndex.build([Circle(fence, 60.0, 25.0, 50.0 + fence) for fence in range(60)])
    pairs = match(index, np.full(MANY, 60.0), np.full(MANY, 25.0))
    assert pairs.point.tolist() == np.repeat(np.arange(MANY), 60).tolist()
    assert pairs.fence.tolist() == list(range(60)) * MANY


def test_near_points_come_together() -> None:
    lat, lng = _everywhere(3)
    cells = encode(lat, lng)
    order = together(cells)
    assert sorted(order.tolist()) == list(range(len(lat)))
    coarse = parent(cells[order][cells[order] != 0], 6)  # all over the Earth 30 bits tell these apart
    assert 1 + np.count_nonzero(coarse[1:] != coarse[:-1]) == len(np.unique(coarse)) > 1_000
    assert together(np.zeros(5, np.uint64)).tolist() == [0, 1, 2, 3, 4]
    assert together(np.zeros(0, np.uint64)).tolist() == []
