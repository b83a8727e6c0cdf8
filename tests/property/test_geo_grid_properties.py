"""Leaf cells are the library's for every point, wherever an encoder can go wrong."""

from __future__ import annotations

from itertools import cycle, islice
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.cells import encode, library_leaves
from geo.position import valid
from tests.reference.geo_places import KINDS

PROVED: Final = 50_000_000
CHUNK: Final = 500_000

any_float = st.floats(allow_nan=True, allow_infinity=True)
positions = st.tuples(
    st.one_of(st.floats(-90.0, 90.0), st.sampled_from([90.0, -90.0, 0.0, -0.0]), any_float),
    st.one_of(st.floats(-180.0, 180.0), st.sampled_from([180.0, -180.0, 0.0, -0.0]), any_float),
)


def mismatches(kind: str, seed: int, count: int) -> list[tuple[float, float]]:
    """Places of a kind whose cell is not the library's."""
    lat, lng = KINDS[kind](np.random.default_rng(seed), count)
    assert len(lat) == count and valid(lat, lng).all()
    wrong = np.flatnonzero(encode(lat, lng) != library_leaves(lat, lng))
    return list(zip(lat[wrong].tolist(), lng[wrong].tolist(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_every_place_of_a_kind_has_the_librarys_cell(kind: str) -> None:
    assert mismatches(kind, 20260729, 40_000) == []


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.integers(0, 1 << 62))
def test_any_places_have_the_librarys_cell(kind: str, seed: int) -> None:
    assert mismatches(kind, seed, 200) == []


@settings(deadline=None)
@given(st.lists(positions, max_size=30))
def test_a_cell_is_the_librarys_where_valid_and_0_elsewhere(at: list[tuple[float, float]]) -> None:
    lat, lng = np.array(at, np.float64).reshape(-1, 2).T
    good = valid(lat, lng)
    cells = encode(lat, lng)
    assert cells[good].tolist() == library_leaves(lat[good], lng[good]).tolist()
    assert not cells[~good].any()


@pytest.mark.slow
def test_fifty_million_places_have_the_librarys_cell(capsys: pytest.CaptureFixture[str]) -> None:
    for seed, kind in enumerate(islice(cycle(KINDS), PROVED // CHUNK)):
        assert mismatches(kind, seed, CHUNK) == []
        with capsys.disabled():
            print(f"\r{(seed + 1) * CHUNK:,} places have the library's cell", end="", flush=True)
