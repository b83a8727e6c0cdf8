"""The leaf encoder: the h3 library's answer, fast and without asking it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from geo.arrays import Cells, Floats
from geo.cells import encode, library_leaves, the_grid
from geo.errors import GeoError
from geo.grid import encode_with, grid_of
from geo.leaves import UNKNOWN, turned
from geo.sphere import sin_cos
from tests.reference import geo_places
from tests.reference.geo_digits import turned_one_by_one

BASE_CELL = np.uint64(0x7F << 45)
A_BASE_CELL = np.uint64(20 << 45)


class Answers:
    """The library, miscounted: `wrong` says in which of its calls one base cell is another one's."""

    def __init__(self, *wrong: int) -> None:
        self.calls, self.points, self._wrong = 0, 0, wrong

    def __call__(self, lat: Floats, lng: Floats) -> Cells:
        cells = library_leaves(lat, lng)
        if self.calls in self._wrong:
            cells[cells & BASE_CELL == A_BASE_CELL] ^= np.uint64(1 << 45)
        self.calls += 1
        self.points += len(lat)
        return cells


def corners() -> Floats:
    return geo_places._icosahedron()


def pairs(*positions: tuple[float, float]) -> tuple[Floats, Floats]:
    lat, lng = np.array(positions, np.float64).reshape(-1, 2).T
    return lat, lng


@pytest.mark.parametrize(
    "position",
    [
        (math.nan, 0.0),
        (0.0, math.nan),
        (math.nan, math.nan),
        (math.inf, 0.0),
        (0.0, -math.inf),
        (91.0, 0.0),
        (-91.0, 0.0),
        (0.0, 181.0),
        (0.0, 180.0000001),
        (0.0, -180.0000001),
        (np.nextafter(90.0, 91.0), 0.0),
        (1e308, 1e308),
    ],
)
def test_what_is_not_valid_has_no_cell_and_spoils_no_other(position: tuple[float, float]) -> None:
    cells = encode(*pairs((60.0, 25.0), position, (-33.0, 151.0)))
    assert cells.tolist() == [*library_leaves(*pairs((60.0, 25.0))), 0, *library_leaves(*pairs((-33.0, 151.0)))]


def test_poles_meridians_zeros_and_subnormal_numbers_are_the_librarys() -> None:
    lats = [sign * lat for lat in geo_places._SPECIAL_LAT for sign in (1.0, -1.0)]
    lngs = [sign * lng for lng in geo_places._SPECIAL_LNG for sign in (1.0, -1.0)]
    lat, lng = pairs(*((lat, lng) for lat in lats for lng in lngs))
    assert encode(lat, lng).tolist() == library_leaves(lat, lng).tolist()


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 1000])
def test_every_point_of_any_number_gets_its_own_cell(count: int) -> None:
    lat, lng = geo_places.anywhere(np.random.default_rng(count), count)
    assert encode(lat, lng).tolist() == library_leaves(lat, lng).tolist()


def test_arrays_of_any_layout_are_taken() -> None:
    both = np.array([[60.17, 24.94], [-33.86, 151.21], [0.0, 0.0]])
    wanted = library_leaves(both[:, 0], both[:, 1]).tolist()
    assert encode(both[:, 0], both[:, 1]).tolist() == wanted
    assert encode(both[::-1, 0], both[::-1, 1]).tolist() == wanted[::-1]
    assert encode(both[:, 0].astype(">f8"), both[:, 1].astype(np.longdouble)).tolist() == wanted


def test_the_library_is_hardly_ever_asked() -> None:
    library = Answers()
    lat, lng = geo_places.anywhere(np.random.default_rng(1), 100_000)
    encode_with(the_grid(), library, lat, lng)
    assert library.points <= 100


def test_a_wrong_base_cell_at_the_first_asking_is_found() -> None:
    with pytest.raises(GeoError, match="of 4000 cells differ"):
        grid_of(Answers(0), corners())


def test_a_library_that_changes_its_mind_is_found() -> None:
    library = Answers()
    grid_of(library, corners())
    for call in range(1, library.calls):
        with pytest.raises(GeoError, match="of 4000 cells differ"):
            grid_of(Answers(call), corners())


def test_where_no_turn_makes_the_digits_the_librarys_it_is_asked() -> None:
    def strange(lat: Floats, lng: Floats) -> Cells:
        cells = library_leaves(lat, lng)
        return np.where(cells & BASE_CELL == A_BASE_CELL, cells ^ np.uint64(5 << 12), cells)

    grid = grid_of(strange, corners())
    more = int(np.count_nonzero((grid.kinds & np.uint64(7)) == UNKNOWN))
    assert more > int(np.count_nonzero((the_grid().kinds & np.uint64(7)) == UNKNOWN))
    lat, lng = geo_places.anywhere(np.random.default_rng(2), 20_000)
    assert encode_with(grid, strange, lat, lng).tolist() == strange(lat, lng).tolist()


def test_sines_and_cosines_are_good_to_the_last_digits() -> None:
    degrees = np.concatenate([np.linspace(-180.0, 180.0, 3601), [5e-324, -1e-310, -0.0, 1e-9]])
    for deg in degrees.tolist():
        sine, cosine = sin_cos(deg)
        assert abs(sine - math.sin(math.radians(deg))) < 2e-15
        assert abs(cosine - math.cos(math.radians(deg))) < 2e-15


@pytest.mark.parametrize("sixths", range(6))
def test_digits_turn_as_one_by_one(sixths: int) -> None:
    random = np.random.default_rng(sixths)
    for digits in [0, *random.integers(0, 7, (200, 11)) @ 8 ** np.arange(11)]:
        assert turned(np.uint64(digits), np.uint64(sixths)) == turned_one_by_one(int(digits), sixths)
