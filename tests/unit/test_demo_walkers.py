"""Phones on the streets: they never leave them nor jump, they visit shops, and a seed fixes the walk."""

from __future__ import annotations

import numpy as np
import pytest

from engine.demo.city import City, read_city, spread_out
from engine.demo.plane import Floats
from engine.demo.streets import Streets, edges, read_streets
from engine.demo.walkers import FASTEST_M_S, SLOWEST_M_S, Pings, Places, Walkers, places

START_MS = 1_800_000_000_000


@pytest.fixture(scope="module")
def city() -> City:
    return read_city()


@pytest.fixture(scope="module")
def aims(city: City) -> Places:
    return places(city, read_streets(city.plane), spread_out(city, 6, lambda shop: True, 100), 20, seed=11)


def off_street_m(streets: Streets, east_m: Floats, north_m: Floats) -> Floats:
    """Distance of each point to the nearest edge, by trying them all."""
    start, end = edges(streets).T
    ax, ay = streets.east_m[start], streets.north_m[start]
    dx, dy = streets.east_m[end] - ax, streets.north_m[end] - ay
    part = ((east_m[:, None] - ax) * dx + (north_m[:, None] - ay) * dy) / (dx**2 + dy**2)
    part = part.clip(0, 1)
    away: Floats = np.hypot(east_m[:, None] - ax - part * dx, north_m[:, None] - ay - part * dy).min(axis=1)
    return away


def walk(aims: Places, seed: int, ticks: int) -> Pings:
    walkers = Walkers(aims, 100, 1.0, seed)
    for n in range(ticks):
        pings = walkers.tick(START_MS + 1_000 * n)
    return pings


@pytest.mark.parametrize("step_s", [1, 45])
def test_phones_stay_on_the_streets_and_never_jump(aims: Places, step_s: int) -> None:
    walkers = Walkers(aims, 60, 1.0, seed=2)
    walkers.tick(START_MS)
    walked_m = np.zeros(60)
    for n in range(1, 30):
        before = walkers.true_m()
        walkers.tick(START_MS + 1_000 * step_s * n)
        now = walkers.true_m()
        moved_m = np.hypot(now[0] - before[0], now[1] - before[1])
        walked_m += moved_m
        assert off_street_m(aims.streets, *now).max() < 1e-6
        assert moved_m.max() <= FASTEST_M_S * step_s + 1e-6
    assert walked_m.max() > SLOWEST_M_S * step_s * 10
    assert (walked_m > 0).all()


def test_pings_are_near_the_truth_but_not_the_truth(city: City, aims: Places) -> None:
    walkers = Walkers(aims, 5_000, 1.0, seed=4)
    pings = walkers.tick(START_MS)
    east_m, north_m = city.plane.to_metres(pings.lat_deg, pings.lng_deg)
    true_east_m, true_north_m = walkers.true_m()
    error_m = np.hypot(east_m - true_east_m, north_m - true_north_m)
    assert 6.5 < error_m.mean() < 7.7
    assert np.quantile(error_m, 0.99) < 40


def test_columns_fit_and_times_lie_within_the_period(aims: Places) -> None:
    walkers = Walkers(aims, 300, 5.0, seed=4)
    pings = walkers.tick(START_MS)
    assert {len(column) for column in vars(pings).values()} == {300} == {len(pings)}
    assert pings.phone.tolist() == list(range(300))
    assert (pings.at_ms <= START_MS).all() and (pings.at_ms > START_MS - 5_000).all()
    assert len(np.unique(pings.at_ms)) > 250
    again = walkers.tick(START_MS + 5_000)
    assert (again.at_ms - pings.at_ms == 5_000).all()


def test_same_seed_same_walk(aims: Places) -> None:
    one, two, other = walk(aims, 8, 20), walk(aims, 8, 20), walk(aims, 9, 20)
    assert np.array_equal(one.lat_deg, two.lat_deg) and np.array_equal(one.accuracy_m, two.accuracy_m)
    assert not np.array_equal(one.lat_deg, other.lat_deg)


def test_people_go_into_shops_and_come_out(aims: Places) -> None:
    walkers = Walkers(aims, 300, 1.0, seed=5)
    doors = aims.node[aims.mean_stay_s > 0]
    door = np.array([aims.streets.east_m[doors], aims.streets.north_m[doors]])
    inside, been = np.zeros(0), np.zeros((300, len(doors)), dtype=bool)
    for n in range(180):  # an hour
        walkers.tick(START_MS + 20_000 * n)
        here = np.stack(walkers.true_m())
        at = np.hypot(*(here[:, :, None] - door[:, None, :])) < 0.01
        been |= at
        inside = at.any(axis=1)
    assert 0.08 < inside.mean() < 0.3  # every other goal is a shop: two minutes' stay for ten minutes' way
    assert (been.sum(axis=1) > 1).mean() > 0.4  # whoever went in came out again and went elsewhere
    assert been[:, :6].mean() > 2 * been[:, 6:].mean()  # the favoured draw more
