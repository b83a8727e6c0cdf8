"""The ping index and the store index against asking everybody, everywhere on Earth."""

from __future__ import annotations

import random

import h3.api.basic_int as h3
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.boxes import COARSER, LEAF, around, box_of, reaches, square_of
from geo.fence import Circle
from geo.index import FenceIndex
from geo.nearest import StoreIndex, nearest
from geo.pings import PingIndex
from geo.presence import Presence
from geo.sphere import unit
from geo.transitions import PING, advance
from tests.reference import geo_near as twin
from tests.reference.geo_ground import moved
from tests.reference.geo_near import pair_distance_m

NO_FENCES = FenceIndex.empty()
ROWS = 40

Position = tuple[float, float]

PENTAGONS = [h3.cell_to_latlng(cell) for res in (5, 9, 11) for cell in h3.get_pentagons(res)]
AWKWARD = [(90.0, 0.0), (-90.0, 17.0), (89.9999, -120.0), (0.0, 180.0), (60.0, -180.0), (-16.5, 179.9999), (0.0, 0.0)]

anywhere = st.tuples(st.floats(-90.0, 90.0), st.floats(-180.0, 180.0))
awkward = st.sampled_from([*PENTAGONS, *AWKWARD])
towns = st.one_of(awkward, anywhere)
seeds = st.integers(0, 1 << 30)


def _near(dice: random.Random, town: Position) -> Position:
    """A position metres to a hundred kilometres from the town, or in it exactly, or anywhere."""
    kind = dice.random()
    if kind < 0.1:
        return town
    if kind < 0.2:
        return dice.uniform(-90.0, 90.0), dice.uniform(-180.0, 180.0)
    away_m = 10.0 ** dice.uniform(-1.0, 5.0)
    return moved(*town, dice.uniform(-away_m, away_m), dice.uniform(-away_m, away_m))


def _take_pings(
    presence: Presence, index: PingIndex, people: twin.People, batch: list[tuple[int, Position, int]]
) -> None:
    """Presence judges the pings (row, position, time), some of them late; the index follows, late ones named too."""
    advance(presence, NO_FENCES, np.array([(row, *at, 5.0, at_ms) for row, at, at_ms in batch], PING))
    index.follow(np.array([row for row, _, _ in batch], np.int32))
    for row, _, _ in batch:
        lat, lng, _ = presence.position(row) or (np.nan, np.nan, 0)
        people.at[row] = (lat, lng)


def _agree(index: PingIndex, people: twin.People, dice: random.Random, town: Position) -> None:
    lat, lng = _near(dice, town)
    radii_m = [10.0 ** dice.uniform(0.0, 4.69)]
    radii_m += [pair_distance_m(lat, lng, *at) for at in dice.sample(list(people.at.values()), min(2, len(people.at)))]
    for radius_m in radii_m:
        if 0.0 < radius_m <= 50_000.0:
            assert index.inside(Circle(1, lat, lng, radius_m)).tolist() == people.inside(lat, lng, radius_m)
    for k in (1, dice.randint(2, 9), len(people.at) + 1):
        got = index.nearest(lat, lng, k)
        assert list(zip(got.distance_m.tolist(), got.row.tolist(), strict=True)) == people.nearest(lat, lng, k)
    assert len(index) == len(people.at)


@settings(max_examples=80, deadline=None)
@given(towns, seeds, st.sampled_from([ROWS, 30_000]))
def test_the_ping_index_agrees_with_asking_everybody(town: Position, seed: int, rows: int) -> None:
    """Few rows are looked at one by one; place for many makes the same questions go through boxes."""
    dice, presence, people = random.Random(seed), Presence(), twin.People()
    if rows > ROWS:
        presence.reserve(rows)
    index = PingIndex(presence)
    spots = [_near(dice, town) for _ in range(30)]
    for step in range(1, 6):
        batch = [
            (
                dice.randrange(ROWS),
                dice.choice(spots) if dice.random() < 0.7 else _near(dice, town),
                dice.randrange(step * 9),
            )
            for _ in range(dice.randint(1, 25))
        ]
        _take_pings(presence, index, people, batch)
        for row in dice.sample(sorted(people.at), min(3, len(people.at))):
            presence.forget(row)
            index.remove(row)
            del people.at[row]
        _agree(index, people, dice, town)
    index.rebuild()
    _agree(index, people, dice, town)


@settings(max_examples=40, deadline=None)
@given(towns, seeds)
def test_answers_depend_only_on_who_is_where(town: Position, seed: int) -> None:
    dice, presence = random.Random(seed), Presence()
    presence.reserve(30_000)
    index, people = PingIndex(presence), twin.People()
    there = [(row, _near(dice, town), 2) for row in range(ROWS)]
    back = [(row, _near(dice, town), 1) for row in range(ROWS)]
    _take_pings(presence, index, people, back)
    _take_pings(presence, index, people, there)
    fresh = PingIndex(presence)
    assert index._chains.crowd.tolist() == fresh._chains.crowd.tolist()  # no count is left behind
    assert index._chains.links["box"].tolist() == fresh._chains.links["box"].tolist()
    for row in range(ROWS):
        index.remove(row)
    assert len(index) == 0
    assert not index._chains.crowd.any()
    assert (index._chains.heads < 0).all()


@settings(deadline=None)
@given(towns, seeds, st.floats(0.01, 100_000.0))
def test_a_box_reaches_as_far_as_its_points(town: Position, seed: int, radius_m: float) -> None:
    dice = random.Random(seed)
    here = unit(*town)
    for _ in range(30):
        there = _near(dice, town)
        leaf = box_of(unit(*there), LEAF)
        for box in (leaf, *(around(leaf, level) for level in COARSER)):
            if pair_distance_m(*town, *there) <= radius_m:
                assert reaches(box, here, square_of(radius_m))
        for level in COARSER:
            assert around(leaf, level) == box_of(unit(*there), level)


@settings(max_examples=100, deadline=None)
@given(towns, seeds, st.integers(0, 120))
def test_the_nearest_stores_agree_with_asking_every_store(town: Position, seed: int, count: int) -> None:
    dice = random.Random(seed)
    spots = [_near(dice, town) for _ in range(max(1, count * 3 // 4))]
    places = dict(zip(dice.sample(range(-500, 500), count), (dice.choice(spots) for _ in range(count)), strict=True))
    ids = np.array(list(places), np.int64)
    at = np.array(list(places.values()), np.float64).reshape(-1, 2)
    index = StoreIndex.build(ids, at[:, 0], at[:, 1])
    for _ in range(4):
        share = dice.choice([0.0, 0.05, 0.5, 1.0])
        mask = np.array([dice.random() < share for _ in range(count)], np.bool_)
        lat, lng = _near(dice, town)
        most_m = dice.choice([np.inf, 10.0 ** dice.uniform(0.0, 7.3)])
        if count and dice.random() < 0.5:
            most_m = pair_distance_m(lat, lng, *dice.choice(list(places.values()))) or np.inf
        k = dice.randint(1, 15)
        got = nearest(index, lat, lng, k, mask, most_m)
        admitted = {int(index.store[p]): places[int(index.store[p])] for p in np.flatnonzero(mask)}
        assert list(zip(got.distance_m.tolist(), index.store[got.position].tolist(), strict=True)) == twin.nearest(
            admitted, lat, lng, k, most_m
        )


@settings(max_examples=50, deadline=None)
@given(towns, seeds, st.integers(0, 60))
def test_a_store_index_does_not_depend_on_the_order_of_its_stores(town: Position, seed: int, count: int) -> None:
    dice = random.Random(seed)
    stores = [(id, *_near(dice, town)) for id in range(count)]
    first = StoreIndex.build(*_columns(stores))
    dice.shuffle(stores)
    second = StoreIndex.build(*_columns(stores))
    assert {name: array.tobytes() for name, array in first.arrays().items()} == {
        name: array.tobytes() for name, array in second.arrays().items()
    }


def _columns(stores: list[tuple[int, float, float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ids, lat, lng = ([store[column] for store in stores] for column in range(3))
    return np.array(ids, np.int64), np.array(lat, np.float64), np.array(lng, np.float64)
