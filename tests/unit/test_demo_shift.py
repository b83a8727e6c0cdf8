"""A track from elsewhere in the city: its shape is kept, the move is named, and it passes shops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.demo.city import City, read_city
from engine.demo.shift import shift_into_city, shops_passed
from engine.demo.streets import Streets, read_streets
from engine.demo.tracks import RIDE, RUN, Track, read_track


@pytest.fixture(scope="module")
def city() -> City:
    return read_city()


@pytest.fixture(scope="module")
def streets(city: City) -> Streets:
    return read_streets(city.plane)


@pytest.mark.parametrize(("file", "share"), [(RUN, 0.9), (RIDE, 0.05)], ids=["run", "ride"])
def test_much_of_a_real_track_lies_in_the_city_and_passes_shops(
    city: City, streets: Streets, file: Path, share: float
) -> None:
    shifted = shift_into_city(read_track(file), city, streets)
    assert shifted.inside >= share * len(shifted.track)
    passed = shops_passed(shifted.track, city, 30)
    assert len(passed) > 50
    assert min(shop.nearest_m for shop in passed) < 2
    assert [shop.inside_s for shop in passed] == sorted((shop.inside_s for shop in passed), reverse=True)


def test_shape_and_times_are_kept(city: City, streets: Streets) -> None:
    run = read_track(RUN)
    moved = shift_into_city(run, city, streets).track
    there = city.plane.to_metres(moved.lat_deg, moved.lng_deg)
    here = run.plane.to_metres(run.lat_deg, run.lng_deg)
    assert np.allclose(np.diff(there), np.diff(here), atol=1e-6)
    assert np.array_equal(moved.at_ms, run.at_ms)


def test_the_move_is_named_in_metres(city: City, streets: Streets) -> None:
    run = read_track(RUN)
    shifted = shift_into_city(run, city, streets)
    north_m = (shifted.track.lat_deg[0] - run.lat_deg[0]) * 111_195.08
    assert shifted.north_m == pytest.approx(north_m, abs=10)
    assert shifted.east_m > 900_000
    assert f"moved {shifted.north_m:,.0f} m north and {shifted.east_m:,.0f} m east" in str(shifted)
    assert f"{shifted.inside:,} of its 3,507 fixes" in str(shifted)


def test_a_far_southern_straight_line_meets_a_shop_too(city: City, streets: Streets) -> None:
    line = Track("line", np.linspace(-33.9, -33.8, 2_000), np.full(2_000, -70.6), np.arange(2_000) * 1_000)
    shifted = shift_into_city(line, city, streets)
    assert shifted.inside > 200  # the city is 1.7 km of its 11
    assert min(met.nearest_m for met in shops_passed(shifted.track, city, 25)) < 0.01  # one is met exactly


def test_passing_is_judged_at_the_fixes(city: City) -> None:
    shop = city.shops[0]
    east_m, north_m = city.plane.to_metres(np.array([shop.lat_deg]), np.array([shop.lng_deg]))
    offsets_m = np.array([-60.0, -20, 10, 60])
    lat_deg, lng_deg = city.plane.to_degrees(east_m + offsets_m, np.repeat(north_m, 4))
    track = Track("walk by", lat_deg, lng_deg, np.array([0, 1_000, 4_000, 9_000]))
    (met,) = (passed for passed in shops_passed(track, city, 25) if passed.shop == shop)
    assert met.nearest_m == pytest.approx(10)
    assert met.first_ms == 1_000
    assert met.inside_s == 8  # from the second fix to the fourth
    assert shop not in [passed.shop for passed in shops_passed(track, city, 9)]
