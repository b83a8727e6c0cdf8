"""Two indexes as one are, byte for byte, the index of all their fences."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.errors import FenceError
from geo.fence import Circle
from geo.index import FenceIndex
from geo.merging import merged, with_dwells
from geo.polygon import Polygon
from tests.reference.geo_places import specials
from tests.reference.geo_polygons import archipelago, polygon

DWELLS_S = [60, 120, 300, 600]


def same(one: FenceIndex, other: FenceIndex) -> None:
    for name, array in one.arrays().items():
        twin = other.arrays()[name]
        assert (array.dtype, array.shape) == (twin.dtype, twin.shape), name
        assert array.tobytes() == twin.tobytes(), name
        assert not array.flags.writeable


def fences(dice: Random, ids: range) -> list[Circle | Polygon]:
    """In a town, so that they share cells, or at pentagons, poles, ±180° and the edges of faces; of all sizes."""
    lat, lng = specials(np.random.default_rng(dice.randrange(1 << 32)), len(ids))
    found: list[Circle | Polygon] = []
    for place, number in enumerate(ids):
        town = 60.0 + dice.uniform(-0.02, 0.02), 25.0 + dice.uniform(-0.04, 0.04)
        at = town if dice.random() < 0.6 else (float(lat[place]), float(lng[place]))
        dwells_s = tuple(sorted(dice.sample(DWELLS_S, dice.randint(0, 3))))
        if dice.random() < 0.4 and abs(at[0]) < 80.0:
            drawn = archipelago(dice, at, dice.uniform(30.0, 2_000.0), dice.randint(3, 40), dice.randint(0, 3))
            with suppress(FenceError):  # some cross themselves, or are next to nothing
                found.append(polygon(number, drawn, dwells_s))
        else:
            found.append(Circle(number, *at, 10.0 ** dice.uniform(1.0, 4.6), dwells_s))
    return found


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), large=st.integers(0, 60), small=st.integers(0, 6))
def test_merged_is_built_of_all(seed: int, large: int, small: int) -> None:
    dice = Random(seed)
    one, other = fences(dice, range(0, 2 * large, 2)), fences(dice, range(1, 2 * small, 2))
    both = merged(FenceIndex.build(one), FenceIndex.build(other))
    same(both, FenceIndex.build([*one, *other]))
    changed = {at: tuple(DWELLS_S[: dice.randint(0, 4)]) for at in range(len(both)) if dice.random() < 0.2}
    told = [fence.fence for fence in sorted([*one, *other], key=lambda fence: fence.fence)]
    as_edited = {told[at]: dwells_s for at, dwells_s in changed.items()}
    rebuilt = FenceIndex.build([_edited(fence, as_edited) for fence in (*one, *other)])
    same(with_dwells(both, changed), rebuilt)


def _edited(fence: Circle | Polygon, dwells_s: dict[int, tuple[int, ...]]) -> Circle | Polygon:
    return replace(fence, dwells_s=dwells_s.get(fence.fence, fence.dwells_s))


def test_an_id_that_both_have_is_refused() -> None:
    one, other = (FenceIndex.build([Circle(7, 60.0, 25.0, radius_m)]) for radius_m in (50.0, 60.0))
    with pytest.raises(FenceError, match="the id 7"):
        merged(one, other)


def test_without_other_thresholds_nothing_is_copied() -> None:
    index = FenceIndex.build([Circle(7, 60.0, 25.0, 50.0, (60,)), Circle(8, 60.0, 25.0, 70.0)])
    assert with_dwells(index, {}) is index
    longer = with_dwells(index, {1: (30, 90)})
    assert longer.dwell_ptr.tolist() == [0, 1, 3] and longer.dwell_s.tolist() == [60, 30, 90]
    assert np.shares_memory(longer.posting, index.posting)
