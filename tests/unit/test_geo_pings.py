"""The index of last positions, by hand-made examples."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

from geo.chains import chains_for
from geo.errors import GeoError, PositionError, QueryError
from geo.fence import Circle
from geo.index import FenceIndex
from geo.pings import K_LEAST, PingIndex
from geo.presence import Presence
from geo.transitions import PING, advance
from tests.reference.geo_ground import moved
from tests.reference.geo_near import People, Position

HELSINKI = (60.1699, 24.9384)


def _presence(places: dict[int, Position], at_ms: int = 1) -> Presence:
    presence = Presence()
    _ping(presence, places, at_ms)
    return presence


def _ping(presence: Presence, places: dict[int, Position], at_ms: int) -> None:
    advance(presence, FenceIndex.empty(), np.array([(row, *at, 5.0, at_ms) for row, at in places.items()], PING))


def _rows(*rows: int) -> Any:
    return np.array(rows, np.int32)


def test_a_customer_is_inside_until_they_walk_away() -> None:
    presence = _presence({3: HELSINKI, 7: moved(*HELSINKI, 40.0, 0.0), 9: moved(*HELSINKI, 900.0, 0.0)})
    index, circle = PingIndex(presence), Circle(1, *HELSINKI, 50.0)
    assert index.inside(circle).tolist() == [3, 7]
    _ping(presence, {7: moved(*HELSINKI, 60.0, 0.0), 9: moved(*HELSINKI, 0.0, -49.0)}, 2)
    index.follow(_rows(7, 9))
    assert index.inside(circle).tolist() == [3, 9]
    assert len(index) == 3
    assert index.inside(circle).dtype == np.int32


def test_a_late_ping_moves_nobody() -> None:
    presence = _presence({0: HELSINKI}, at_ms=5)
    index = PingIndex(presence)
    _ping(presence, {0: moved(*HELSINKI, 5_000.0, 0.0)}, at_ms=4)
    index.follow(_rows(0, 0))
    assert index.inside(Circle(1, *HELSINKI, 1.0)).tolist() == [0]


def test_the_forgotten_are_nowhere() -> None:
    presence = _presence({0: HELSINKI, 1: HELSINKI, 2: HELSINKI})
    index = PingIndex(presence)
    presence.forget(1)
    index.remove(1)
    index.remove(1)
    index.remove(4_000)
    presence.forget(2)
    index.follow(_rows(2))
    assert index.inside(Circle(1, *HELSINKI, 10.0)).tolist() == [0]
    assert (len(index), index.nearest(*HELSINKI, 9).row.tolist()) == (1, [0])


def test_the_nearest_come_by_distance_then_row() -> None:
    far, near = moved(*HELSINKI, 0.0, 7_000.0), moved(*HELSINKI, 0.0, 30.0)
    index = PingIndex(_presence({0: far, 1: near, 2: HELSINKI, 3: near, 4: (-41.0, 174.0)}))
    got = index.nearest(*HELSINKI, 5)
    assert got.row.tolist() == [2, 1, 3, 0, 4]
    assert got.distance_m[:4].tolist() == pytest.approx([0.0, 30.0, 30.0, 7_000.0], abs=1e-6)
    assert index.nearest(*HELSINKI, 2).row.tolist() == [2, 1]


def test_someone_beyond_the_widest_circle_is_found() -> None:
    index = PingIndex(_presence({0: (-41.0, 174.0), 1: (-40.0, 174.0)}))
    assert index.nearest(*HELSINKI, 1).row.tolist() == [1]


def test_nobody_is_anywhere_at_first() -> None:
    index = PingIndex(Presence())
    assert index.inside(Circle(1, *HELSINKI, 50_000.0)).tolist() == []
    assert index.nearest(*HELSINKI, 3).row.tolist() == []
    assert len(index.density(5).cell) == 0


def test_growing_keeps_everybody() -> None:
    presence = Presence()
    index = PingIndex(presence)
    for row in range(0, 20_000, 500):
        _ping(presence, {row: moved(*HELSINKI, row / 100.0, 0.0)}, 1)
        index.follow(_rows(row))
    assert index.inside(Circle(1, *HELSINKI, 101.0)).tolist() == list(range(0, 10_001, 500))
    assert len(index) == 40


def test_a_thousand_at_one_spot_are_all_inside() -> None:
    presence = _presence(dict.fromkeys(range(3_000), HELSINKI))
    index = PingIndex(presence)
    assert index.inside(Circle(1, *HELSINKI, 0.001)).tolist() == list(range(3_000))
    assert index.nearest(*HELSINKI, 4).row.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("res", [0, 5, 7, 9, 11])
def test_cells_with_few_customers_are_not_told(res: int) -> None:
    dice, people = random.Random(res), People()
    people.at = dict.fromkeys(range(60), HELSINKI) | dict.fromkeys(range(60, 109), moved(*HELSINKI, 3_000.0, 0.0))
    for row in range(109, 400):
        people.at[row] = moved(*HELSINKI, dice.uniform(-9e3, 9e3), dice.uniform(-9e3, 9e3))
    index = PingIndex(_presence(people.at))
    for k in (K_LEAST, 61):
        got = index.density(res, k)
        assert dict(zip(got.cell.tolist(), got.customers.tolist(), strict=True)) == people.density(res, k)
        assert got.cell.tolist() == sorted(got.cell.tolist())


def test_exactly_k_are_told() -> None:
    index = PingIndex(_presence(dict.fromkeys(range(K_LEAST), HELSINKI)))
    assert index.density(11).customers.tolist() == [K_LEAST]
    index.remove(0)
    assert index.density(11).customers.tolist() == []


@pytest.mark.parametrize("k", [49, 1, 0, -50])
def test_small_counts_cannot_be_asked_for(k: int) -> None:
    with pytest.raises(QueryError, match="at least 50"):
        PingIndex(Presence()).density(9, k)


@pytest.mark.parametrize("res", [-1, 12, 15])
def test_densities_are_told_for_resolutions_there_are(res: int) -> None:
    with pytest.raises(QueryError, match="resolution"):
        PingIndex(Presence()).density(res)


@pytest.mark.parametrize("lat, lng, k", [(91.0, 0.0, 1), (math.nan, 0.0, 1), (0.0, 181.0, 1), (0.0, math.inf, 1)])
def test_impossible_positions_are_refused(lat: float, lng: float, k: int) -> None:
    with pytest.raises(PositionError):
        PingIndex(Presence()).nearest(lat, lng, k)


@pytest.mark.parametrize("k", [0, -1])
def test_at_least_one_customer_is_asked_for(k: int) -> None:
    with pytest.raises(QueryError, match="at least one"):
        PingIndex(Presence()).nearest(*HELSINKI, k)


@pytest.mark.parametrize("radius_m", [0.0, -1.0, math.nan])
def test_impossible_circles_are_refused(radius_m: float) -> None:
    with pytest.raises(GeoError, match="radius"):
        PingIndex(Presence()).inside(Circle(1, *HELSINKI, radius_m))


@pytest.mark.parametrize("row", [-1, 5])
def test_rows_that_presence_does_not_have_are_refused(row: int) -> None:
    presence = _presence({4: HELSINKI})
    index = PingIndex(presence)
    with pytest.raises(QueryError, match=f"row {row}"):
        index.follow(_rows(4, row))


@pytest.mark.parametrize("rows", [1, 300, 65_535, 65_536, 1_000_000])
def test_the_index_is_small(rows: int) -> None:
    chains = chains_for(rows)
    fewest = max(rows, 8)
    assert sum(array.nbytes for array in chains) <= 28 * fewest
    assert all(len(table) & (len(table) - 1) == 0 for table in (chains.heads, chains.crowd))


def test_an_index_that_grew_row_by_row_stays_in_its_bound() -> None:
    presence = Presence()
    index = PingIndex(presence)
    for rows in range(1_000, 50_000, 1_000):
        presence.reserve(rows)
        index.follow(_rows(rows - 1))
        assert index.nbytes <= 42 * rows + 256
