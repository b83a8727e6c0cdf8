"""Cells around a point, and how far they spread, against the library: everywhere, and where faces meet."""

from __future__ import annotations

import h3.api.basic_int as h3
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.cells import the_grid
from geo.lattice import around, most, spread
from geo.laying import LEVELS
from geo.leaves import LEAF_RES
from geo.sphere import unit
from geo.units import EARTH_RADIUS_M
from tests.reference.geo_lattice import around as slow_around
from tests.reference.geo_lattice import edge_rad, farthest_m
from tests.reference.geo_places import KINDS

kinds = st.sampled_from(sorted(KINDS))
seeds = st.integers(0, 1 << 62)


def _place(kind: str, seed: int) -> tuple[float, float]:
    lat, lng = KINDS[kind](np.random.default_rng(seed), 1)
    return float(lat[0]), float(lng[0])


def _near(at: tuple[float, float], reach: float, res: int) -> list[int]:
    grid = the_grid()
    room = most(grid.faces, reach, res)
    cells, xyz = np.empty(room, np.uint64), np.empty((room, 3))
    return list(cells[: around(grid, unit(*at), reach, res, cells, xyz)].tolist())


@settings(max_examples=400, deadline=None)
@given(kinds, seeds, st.sampled_from(LEVELS), st.floats(0.0, 7.0))
def test_the_cells_around_a_point_are_the_librarys(kind: str, seed: int, res: int, edges: float) -> None:
    at, reach = _place(kind, seed), edges * edge_rad(res)
    wanted, either = slow_around(*at, reach, res)
    got = _near(at, reach, res)
    assert len(set(got)) == len(got)
    assert not (set(got) ^ wanted) - either


@pytest.mark.parametrize("res", LEVELS)
def test_every_cell_on_an_edge_of_two_faces_is_known(res: int) -> None:
    """The kinds that only cells on the very edge have."""
    for seed in range(60):
        at, reach = _place("face_edges", seed), 3.0 * edge_rad(res)
        wanted, either = slow_around(*at, reach, res)
        assert not (set(_near(at, reach, res)) ^ wanted) - either


def _spread_m(cell: int) -> float:
    at = h3.cell_to_latlng(cell)
    return spread(the_grid().faces, unit(*at), 0.0, h3.get_resolution(cell)) * EARTH_RADIUS_M


@settings(max_examples=60, deadline=None)
@given(kinds, seeds, st.sampled_from(LEVELS))
def test_no_point_of_a_cell_is_farther_than_its_spread(kind: str, seed: int, res: int) -> None:
    cell = h3.latlng_to_cell(*_place(kind, seed), res)
    assert farthest_m(cell, LEAF_RES) <= _spread_m(cell)


@pytest.mark.parametrize("res", LEVELS)
def test_nor_beside_a_pentagon(res: int) -> None:
    for pentagon in h3.get_pentagons(res)[::5]:
        for cell in h3.grid_disk(pentagon, 1):
            assert farthest_m(cell, LEAF_RES) <= _spread_m(cell)


def test_a_spread_is_not_much_too_large() -> None:
    worst = max(farthest_m(cell, LEAF_RES) / _spread_m(cell) for cell in h3.grid_disk(h3.latlng_to_cell(45, 9, 7), 3))
    assert worst > 0.9
