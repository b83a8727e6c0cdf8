"""The street graph: connected, in metres; its router agrees with a slow twin and ways checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from engine.demo.city import HELSINKI, City, features, read_city
from engine.demo.plane import Floats, Plane
from engine.demo.streets import NOWHERE, Streets, edges, join, largest_part, read_streets, with_doors


@pytest.fixture(scope="module")
def city() -> City:
    return read_city()


@pytest.fixture(scope="module")
def streets(city: City) -> Streets:
    return read_streets(city.plane)


def square() -> Streets:
    """Nodes 0-1-2-3 round a square of 100 m with one long side missing, and two nodes apart from it.

    3 ── 2
         │      4 ── 5
    0 ── 1
    """
    east_m, north_m = np.array([0.0, 100, 100, 0, 200, 250]), np.array([0.0, 0, 100, 100, 50, 50])
    return join(Plane(60, 25), east_m, north_m, np.array([(0, 1), (1, 2), (2, 3), (4, 5), (1, 0), (2, 2)]))


def slow_lengths(streets: Streets, target: int) -> Floats:
    """Bellman–Ford over all edges until nothing changes."""
    away_m = np.full(len(streets), np.inf)
    away_m[target] = 0
    starts = np.repeat(np.arange(len(streets)), np.diff(streets.first))
    while True:
        fresh = away_m.copy()
        np.minimum.at(fresh, starts, away_m[streets.neighbour] + streets.length_m)
        if np.array_equal(fresh, away_m):
            return away_m
        away_m = fresh


def test_city_is_one_part_of_known_size(streets: Streets) -> None:
    assert (len(streets), len(edges(streets))) == (5_875, 7_007)
    assert streets.length_m.sum() / 2 == pytest.approx(92_200, rel=0.01)
    assert streets.length_m.min() > 0
    onward, away_m = streets.toward(0)
    assert np.isfinite(away_m).all() and (onward != NOWHERE).all()


def test_loops_and_repeats_are_dropped() -> None:
    assert square().neighbour.tolist() == [1, 0, 2, 1, 3, 2, 5, 4]


def test_every_edge_stands_both_ways(streets: Streets) -> None:
    starts = np.repeat(np.arange(len(streets)), np.diff(streets.first))
    there = set(zip(starts.tolist(), streets.neighbour.tolist(), strict=True))
    assert there == {(b, a) for a, b in there} and len(there) == 2 * 7_007


@pytest.mark.parametrize("target", [0, 17, 3_000, 5_874])
def test_router_agrees_with_the_slow_twin(streets: Streets, target: int) -> None:
    onward, away_m = streets.toward(target)
    assert np.allclose(away_m, slow_lengths(streets, target))
    east_m, north_m = streets.east_m, streets.north_m
    step_m = np.hypot(east_m - east_m[onward], north_m - north_m[onward])
    assert np.allclose(away_m, away_m[onward] + step_m)  # following the next node loses exactly that edge


def test_way_checked_by_hand_on_the_square() -> None:
    streets = square()
    assert streets.way(0, 3) == [0, 1, 2, 3]
    assert streets.toward(3)[1].tolist() == [300, 200, 100, 0, np.inf, np.inf]
    assert streets.way(0, 5) == []
    assert len(largest_part(streets)) == 4


def test_way_along_a_real_straight_street_is_the_street(city: City, streets: Streets) -> None:
    (street,) = (f for f in features(HELSINKI / "road.geojson.gz") if f["properties"]["id"] == 4243035)
    lng_deg, lat_deg = np.array(street["geometry"]["coordinates"]).T  # Korkeavuorenkatu, five vertices southward
    east_m, north_m = city.plane.to_metres(lat_deg, lng_deg)
    nodes = streets.nearest(east_m, north_m)
    assert streets.way(int(nodes[0]), int(nodes[-1])) == nodes.tolist()
    by_hand_m = (60.167668 - 60.16721) * 111_195  # it runs almost due south
    assert streets.toward(int(nodes[-1]))[1][nodes[0]] == pytest.approx(by_hand_m, rel=0.01)


def test_doors_are_dead_ends_at_the_shops(city: City, streets: Streets) -> None:
    east_m, north_m = city.east_north_m
    wider, doors = with_doors(streets, east_m[:50], north_m[:50])
    assert np.array_equal(wider.east_m[doors], east_m[:50]) and np.array_equal(wider.north_m[doors], north_m[:50])
    assert (np.diff(wider.first)[doors] == 1).all()
    assert np.isfinite(wider.toward(int(doors[0]))[1]).all()
