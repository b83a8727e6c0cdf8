"""Which edges of a polygon matter for the points of one tile. Kernels only.

Everything is measured in frames (`geo.tiles`): (y, x) from the frame's south-western corner. On the ground a step
along x is as long as `wide` along y; that changes with latitude, so of a tile the greatest is taken, and `even` says
how much less the least may be.

Sides. A tile lists all edges that meet it. Any other edge passes wholly east or wholly west of it, in the tile's
latitudes. So the number of those to the east changes parity only at a vertex which is the end of a listed edge and of
one that is not listed and lies to the east: the turns.

Depths. An edge is dropped if another one is surely nearer everywhere in the tile; and if another one stands for it: is
nearer, or at most KEEN times as far. A point's distance from an edge is at least that from the line through the foot
of the tile's centre on it, across the perpendicular: linear in the point. Its distance from another edge is convex. So
four corners prove it for the whole tile.
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import numpy as np

from geo.arrays import Floats, Ints
from geo.boundary import spans_east
from geo.groups import middle_of, onwards, top_level, width
from geo.kernels import inlined
from geo.tiles import FLAG_BITS, TURN_A, TURN_B

KEEN = 1.034
FAR = 0.015
"""KEEN * (1 + FAR) is the most that a depth may be too large by, as a factor."""
MARGIN = 1e-9
"""In frames. A point is placed, and a vertex measured, to 1e-15."""

Tile: TypeAlias = tuple[float, float, float, float, float]
"""Centre (y, x), half the side, `wide` and `even`."""
Listed: TypeAlias = tuple[int, int, int, bool]
"""A tile's list in `Slate.pile`: start, end of the edges that meet it, end; parity of all other edges to the east."""


class Slate(NamedTuple):
    """What is known of a polygon of V vertices while its tiles are laid."""

    spot: Floats
    """f8[V, 2]: (y, x) of each vertex."""
    before: Ints
    """i4[V]: the edge that ends where this one begins. An edge is known by its first vertex."""
    after: Ints
    """i4[V]: the edge that begins where this one ends."""
    mark: Ints
    """i4[V]: the last tile that the edge was found to meet."""
    ray: Floats
    """f8[V, 3]: distance from the edge to the centre of the tile in work, and the direction (y, x) of it."""
    edge: Ints
    """i4[E]: the edges in order."""
    ball: Floats
    """f8[...]: groups of edges (`geo.groups`)."""
    pile: Ints
    """i4[...]: lists of edges as in `Tiles.tile`, one above the other."""


@inlined
def sifted(slate: Slate, above: Listed, tile: Tile, number: int, top: int) -> Listed:
    """The list of a tile in a tile with the list *above*, written at *top*. number: of the tile."""
    spot, pile, mark = slate.spot, slate.pile, slate.mark
    y, x, reach = tile[0], tile[1], tile[2] + MARGIN
    start, sides, _, odd = above
    at = top
    for k in range(start, sides):
        e = pile[k] >> FLAG_BITS
        if _meets(spot, e, y, x, reach):
            pile[at] = e << FLAG_BITS
            mark[e] = number
            at += 1
    for k in range(top, at):
        e = pile[k] >> FLAG_BITS
        if mark[slate.before[e]] != number and spot[e, 1] > x:
            pile[k] |= TURN_A
        if mark[slate.after[e]] != number and spot[e + 1, 1] > x:
            pile[k] |= TURN_B
    odd ^= odd_at(spot, pile, (start, sides), y, x) ^ odd_at(spot, pile, (top, at), y, x)
    return top, at, at, odd


@inlined
def odd_at(spot: Floats, pile: Ints, span: tuple[int, int], y: float, x: float) -> bool:
    """Whether edges and turns of the list change the parity at the point."""
    odd = False
    for k in range(span[0], span[1]):
        word = pile[k]
        e = word >> FLAG_BITS
        odd ^= ((word & TURN_A) != 0) & (spot[e, 0] <= y)
        odd ^= ((word & TURN_B) != 0) & (spot[e + 1, 0] <= y)
        odd ^= spans_east(spot[e, 0], spot[e, 1], spot[e + 1, 0], spot[e + 1, 1], y, x)
    return odd


@inlined
def _meets(spot: Floats, e: int, y: float, x: float, reach: float) -> bool:
    """Whether the edge meets the square around (y, x): neither an axis nor its own normal parts them."""
    ay, ax, by, bx = spot[e, 0] - y, spot[e, 1] - x, spot[e + 1, 0] - y, spot[e + 1, 1] - x
    if max(ay, by) < -reach or min(ay, by) > reach or max(ax, bx) < -reach or min(ax, bx) > reach:
        return False
    return bool(abs(ay * bx - ax * by) <= reach * (abs(by - ay) + abs(bx - ax)))


@inlined
def reached(slate: Slate, mine: Listed, tile: Tile, number: int) -> Listed:
    """*mine* with edges added that may be nearest to a point of the tile, or of which one in a far group may be."""
    pile, ray, count = slate.pile, slate.ray, len(slate.edge)
    half_m = tile[2] * math.sqrt(1.0 + tile[3] * tile[3])
    least = _nearest(slate.ball, count, tile)
    for k in range(mine[0], mine[1]):
        least = min(least, _away(slate.spot, pile[k] >> FLAG_BITS, tile[0], tile[1], tile[3]))
    limit = (least + half_m) / tile[4] + half_m
    at, level, place, start = mine[1], top_level(count), 0, len(slate.ball) - 1
    while level >= 0:
        if level == 0:
            e = slate.edge[place]
            ry, rx = _ray(slate.spot, e, tile[0], tile[1], tile[3])
            away = math.sqrt(ry * ry + rx * rx)
            if away <= limit and slate.mark[e] != number:
                _noted(pile, at, ray, e, (away, ry, rx))
                at += 1
        else:
            ry, rx = tile[0] - slate.ball[start + place, 0], (tile[1] - slate.ball[start + place, 1]) * tile[3]
            away, wide = math.sqrt(ry * ry + rx * rx), slate.ball[start + place, 2]
            if away - wide <= limit:
                if wide > FAR * (away - wide - half_m):
                    level, place = level - 1, place << 1
                    start -= width(count, level)
                    continue
                e = slate.edge[middle_of(count, level, place)]
                ry, rx = _ray(slate.spot, e, tile[0], tile[1], tile[3])
                away = math.sqrt(ry * ry + rx * rx)
                _noted(pile, at, ray, e, (away, ry, rx))
                at += 1
        level, place, start = onwards(count, level, place, start)
    return mine[0], mine[1], at, mine[3]


@inlined
def narrowed(slate: Slate, above: tuple[int, int], mine: Listed, tile: Tile, number: int) -> Listed:
    """What `reached` gives, of the list of a tile around this one. above: start and end of that."""
    pile, ray, spot, mark = slate.pile, slate.ray, slate.spot, slate.mark
    y, x, half, wide, even = tile
    least = np.inf
    for k in range(above[0], above[1]):
        e = pile[k] >> FLAG_BITS
        ry, rx = _ray(spot, e, y, x, wide)
        ray[e, 0], ray[e, 1], ray[e, 2] = ry * ry + rx * rx, ry, rx
        least = min(least, ray[e, 0])
    half_m = half * math.sqrt(1.0 + wide * wide)
    limit = ((math.sqrt(least) + half_m) / even + half_m) ** 2
    at = mine[1]
    for k in range(above[0], above[1]):
        e = pile[k] >> FLAG_BITS
        if ray[e, 0] <= limit and mark[e] != number:
            away = math.sqrt(ray[e, 0])
            pile[at] = e << FLAG_BITS
            ray[e, 0], ray[e, 1], ray[e, 2] = away, ray[e, 1] / max(away, MARGIN), ray[e, 2] / max(away, MARGIN)
            at += 1
    return mine[0], mine[1], at, mine[3]


@inlined
def _noted(pile: Ints, at: int, ray: Floats, e: int, found: tuple[float, float, float]) -> None:
    away, ry, rx = found
    pile[at] = e << FLAG_BITS
    ray[e, 0], ray[e, 1], ray[e, 2] = away, ry / max(away, MARGIN), rx / max(away, MARGIN)


@inlined
def _nearest(ball: Floats, count: int, tile: Tile) -> float:
    """No less than the distance from the tile's centre to the nearest edge: down, always to the nearer half."""
    level, place, start, best = top_level(count), 0, len(ball) - 1, np.inf
    while level >= 0:
        ry, rx = tile[0] - ball[start + place, 0], (tile[1] - ball[start + place, 1]) * tile[3]
        square = ry * ry + rx * rx
        best = min(best, square)
        if level == 0:
            break
        level, place = level - 1, place << 1
        start -= width(count, level)
        if place + 1 < width(count, level):
            ry, rx = tile[0] - ball[start + place, 0], (tile[1] - ball[start + place, 1]) * tile[3]
            ty, tx = tile[0] - ball[start + place + 1, 0], (tile[1] - ball[start + place + 1, 1]) * tile[3]
            if ty * ty + tx * tx < ry * ry + rx * rx:
                place += 1
    return math.sqrt(best)


@inlined
def _ray(spot: Floats, e: int, y: float, x: float, wide: float) -> tuple[float, float]:
    """The vector from the edge's nearest point to (y, x), on the ground."""
    ay, ax = spot[e, 0] - y, (spot[e, 1] - x) * wide
    dy, dx = spot[e + 1, 0] - y - ay, (spot[e + 1, 1] - x) * wide - ax
    share = min(1.0, max(0.0, -(ay * dy + ax * dx) / (dy * dy + dx * dx)))
    return -ay - share * dy, -ax - share * dx


@inlined
def thinned(slate: Slate, mine: Listed, tile: Tile, most: int) -> int:
    """Bring edges that suffice for depths to the front of the list; where they end. No more are sought beyond *most*:
    then what is not dropped yet suffices.
    """
    pile, ray = slate.pile, slate.ray
    kept, end = mine[1], mine[2]
    for k in range(mine[0], mine[1]):
        end = _dropped(slate, pile[k] >> FLAG_BITS, (kept, end), tile)
    while kept < end and kept - mine[0] < most:
        nearest = kept
        for k in range(kept + 1, end):
            if ray[pile[k] >> FLAG_BITS, 0] < ray[pile[nearest] >> FLAG_BITS, 0]:
                nearest = k
        pile[kept], pile[nearest] = pile[nearest], pile[kept]
        kept += 1
        end = _dropped(slate, pile[kept - 1] >> FLAG_BITS, (kept, end), tile)
    return end


@inlined
def _dropped(slate: Slate, by: int, span: tuple[int, int], tile: Tile) -> int:
    """Bring the edges that *by* stands for to the end of the span; where they begin."""
    pile, ray = slate.pile, slate.ray
    y, x, half, wide, even = tile
    sw, se = _away(slate.spot, by, y - half, x - half, wide), _away(slate.spot, by, y - half, x + half, wide)
    nw, ne = _away(slate.spot, by, y + half, x - half, wide), _away(slate.spot, by, y + half, x + half, wide)
    factor = KEEN * even
    k, end = span
    while k < end:
        word = pile[k]
        e = word >> FLAG_BITS
        away, north, east = ray[e, 0], half * ray[e, 1], half * wide * ray[e, 2]
        south_m, north_m = away - north, away + north
        if (
            sw <= factor * (south_m - east)
            and se <= factor * (south_m + east)
            and nw <= factor * (north_m - east)
            and ne <= factor * (north_m + east)
        ):
            end -= 1
            pile[k], pile[end] = pile[end], word
        else:
            k += 1
    return end


@inlined
def _away(spot: Floats, e: int, y: float, x: float, wide: float) -> float:
    ry, rx = _ray(spot, e, y, x, wide)
    return math.sqrt(ry * ry + rx * rx)
