"""Outlines of one size with few or many vertices: round, star-like, ragged as a coast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from benchmarks.geo_shapes import M_PER_DEG, Floats
from geo.polygon import Polygon, polygon

Random = np.random.Generator
_CORNERS: Final = 10
"""Of the star, and of the coast before it is refined."""
_INNER: Final = 0.5
_ROUGH: Final = 0.3
"""How far a coast's middle of an edge moves in or out, of the edge's length."""


def disc(_: Random, vertices: int) -> Floats:
    """f8[vertices, 2]: (east, north), nothing farther than 1 from the middle; as are the others."""
    return _around(np.ones(vertices))


def star(random: Random, vertices: int) -> Floats:
    """Five rays, turned at random; more vertices lie on the same straight edges."""
    corner = _around(np.where(np.arange(_CORNERS) % 2 == 0, 1.0, _INNER), random.random())
    place = np.arange(vertices) * _CORNERS / vertices
    first = place.astype(np.int64)
    share = (place - first)[:, None]
    return corner[first] * (1.0 - share) + corner[(first + 1) % _CORNERS] * share


def ragged(random: Random, vertices: int) -> Floats:
    """A coast: middles of edges are moved in or out, again and again; what is too much is left out at random."""
    reach = random.uniform(_INNER, 1.0, _CORNERS)
    while len(reach) < vertices:
        middle = (reach + np.roll(reach, -1)) / 2.0
        moved = middle * (1.0 + _ROUGH * 2.0 * np.pi / len(reach) * random.uniform(-1.0, 1.0, len(reach)))
        reach = np.stack([reach, moved], -1).ravel()
    kept = np.sort(random.permutation(len(reach))[:vertices])
    return _around(reach / reach.max())[kept]


OUTLINES: Final[dict[str, Callable[[Random, int], Floats]]] = {"round": disc, "star-like": star, "ragged": ragged}


def placed(number: int, outline: Floats, at: tuple[float, float], radius_m: float) -> Polygon:
    """The fence of an outline around *at* (lat, lng)."""
    lat = at[0] + outline[:, 1] * radius_m / M_PER_DEG
    lng = at[1] + outline[:, 0] * radius_m / (M_PER_DEG * np.cos(np.radians(at[0])))
    return polygon(number, list(zip(lat.tolist(), lng.tolist(), strict=True)))


def _around(reach: Floats, turn: float = 0.0) -> Floats:
    course = 2.0 * np.pi * (np.arange(len(reach)) / len(reach) + turn)
    ring: Floats = reach[:, None] * np.stack([np.sin(course), np.cos(course)], -1)
    return ring
