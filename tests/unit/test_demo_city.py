"""The shops of the real city: known figures, nothing lost silently, campaigns' shops far apart."""

from __future__ import annotations

import numpy as np
import pytest

from engine.demo.city import (
    DATA,
    HOURS_UNREADABLE,
    NO_NAME,
    NOT_A_PLACE,
    NOT_A_SHOP,
    City,
    read_city,
    spread_out,
)
from engine.demo.plane import Plane


@pytest.fixture(scope="module")
def city() -> City:
    return read_city()


def test_every_place_is_a_shop_or_counted(city: City) -> None:
    assert len(city.shops) == 908
    assert city.left_out == {NOT_A_SHOP: 803, NO_NAME: 37, NOT_A_PLACE: 3}
    assert len(city.shops) + sum(city.left_out.values()) == 1_751


def test_a_known_shop_is_read_whole(city: City) -> None:
    (alko,) = (shop for shop in city.shops if shop.name == "Alko Keskusta Arkadia")
    assert alko.kind == "alcohol"
    assert 60.16 < alko.lat_deg < 60.18 and 24.93 < alko.lng_deg < 24.96
    assert alko.hours is not None and alko.hours.startswith("Mo-Fr")


def test_ids_are_unique_and_in_order(city: City) -> None:
    ids = [shop.place_id for shop in city.shops]
    assert ids == sorted(set(ids))


def test_hours_that_nobody_can_read_are_dropped_and_counted(city: City) -> None:
    told = sum(shop.hours is not None for shop in city.shops)
    deaf = read_city(readable=lambda hours: "Mo" not in hours)
    assert 400 < told < 500
    assert deaf.left_out[HOURS_UNREADABLE] == told - sum(shop.hours is not None for shop in deaf.shops) > 300
    assert len(deaf.shops) == len(city.shops)


def test_neighbours_are_as_dense_as_measured(city: City) -> None:
    east_m, north_m = city.east_north_m
    away_m = np.hypot(east_m[:, None] - east_m, north_m[:, None] - north_m)
    assert round((away_m <= 30).sum(axis=1).mean() - 1) == 8
    assert round((away_m <= 150).sum(axis=1).mean() - 1) == 86


def test_chosen_shops_suit_and_are_apart(city: City) -> None:
    chosen = spread_out(city, 12, lambda shop: shop.hours is not None, 100)
    where = np.array(city.plane.to_metres(*np.array([(s.lat_deg, s.lng_deg) for s in chosen]).T))
    away_m = np.hypot(*(where[:, :, None] - where[:, None, :])) + np.diag(np.full(12, np.inf))
    assert len(chosen) == 12 and all(shop.hours for shop in chosen)
    assert away_m.min() >= 100
    assert chosen == spread_out(city, 12, lambda shop: shop.hours is not None, 100)


def test_fewer_shops_come_back_where_no_more_fit(city: City) -> None:
    assert 1 < len(spread_out(city, 500, lambda shop: True, 300)) < 60
    assert spread_out(city, 5, lambda shop: False, 10) == ()


def test_plane_goes_there_and_back() -> None:
    plane = Plane(60.17, 24.94)
    lat_deg, lng_deg = np.array([60.165, 60.18]), np.array([24.93, 24.955])
    assert np.allclose(plane.to_degrees(*plane.to_metres(lat_deg, lng_deg)), (lat_deg, lng_deg), atol=1e-12)
    east_m, north_m = plane.to_metres(np.array([60.18]), np.array([24.94]))
    assert east_m[0] == pytest.approx(0) and north_m[0] == pytest.approx(1_111.95, abs=0.01)


def test_the_data_names_its_owners() -> None:
    notice = (DATA / "ATTRIBUTION.md").read_text(encoding="utf-8")
    for file in (*DATA.glob("helsinki/*"), *DATA.glob("tracks/*")):
        assert f"{file.parent.name}/{file.name}" in notice
    assert "OpenStreetMap contributors" in notice and "Open Database License" in notice and "MIT License" in notice
