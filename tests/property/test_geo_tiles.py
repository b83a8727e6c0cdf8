"""Tiles of polygons against brute force: every edge asked for every point."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest

from geo.boundary import beside, holds
from geo.boundary import boundary_m as tree_m
from geo.outline import Outlines, outlines_of
from geo.polygon import Polygon
from geo.rings import rings_of
from geo.tiles import Tiles, depth_m, held, tiles_joined
from geo.tiling import tiles_of
from tests.reference.geo_polygons import (
    Parts,
    Point,
    archipelago,
    around,
    comb,
    disc,
    polygon,
    spiral,
    tile_ends,
    turned,
)
from tests.reference.geo_polygons import boundary_m as slow_boundary_m
from tests.reference.geo_polygons import holds as slow_holds

HOMES = [(60.2, 24.9), (-0.0005, 0.0), (16.5, 179.9999), (-45.0, -180.0), (87.5, 10.0), (-88.2, 120.0)]
TOO_DEEP = 1.05


def _outlines(fences: Sequence[Polygon | None]) -> Outlines:
    return outlines_of(rings_of([[] if fence is None else fence.drawn for fence in fences]))


def _shapes(dice: random.Random, home: Point) -> list[Parts]:
    shapes: list[Parts] = [[[disc(home, 300.0, 400)]], [[comb(home, 200.0, 40)]], [[spiral(home, 500.0, 60)]]]
    for extras in range(4):
        size_m = 10.0 ** dice.uniform(1.0 if extras < 2 else 2.7, 4.0)
        shapes.append(archipelago(dice, home, size_m, dice.choice([5, 9, 33, 200]), extras))
    return shapes


@pytest.mark.parametrize("home", HOMES)
def test_a_tile_decides_as_all_edges_do(home: Point) -> None:
    """Anywhere, beside edges, on edges and vertices, on the tiles' own borders and corners."""
    dice = random.Random(f"{home}")
    for parts in _shapes(dice, home):
        fence = polygon(1, parts)
        outlines = _outlines([fence])
        tiles = tiles_of(outlines)
        for lat, lng in around(dice, parts, 300) + tile_ends(dice, tiles.frame[0].tolist(), 300):
            near = beside(outlines, 0, lng)
            wanted = holds(outlines, 0, lat, near)
            assert held(outlines.vertex, tiles, 0, lat, lng) == wanted
            depth = depth_m(outlines.vertex, tiles, 0, lat, lng)
            if not wanted:
                assert depth == np.inf
                continue
            least_m = tree_m(outlines, 0, lat, near)
            assert least_m * (1.0 - 1e-9) - 1e-9 <= -depth <= TOO_DEEP * least_m + 1e-9


@pytest.mark.parametrize("home", HOMES[:4])
def test_the_tree_it_is_compared_with_agrees_with_fractions(home: Point) -> None:
    dice = random.Random(f"tree {home}")
    for parts in _shapes(dice, home):
        outlines = _outlines([polygon(1, parts)])
        tiles = tiles_of(outlines)
        for lat, lng in around(dice, parts, 20):
            near = turned(parts, lng)
            away_m = slow_boundary_m(parts, lat, near)
            if away_m > 1e-3:
                assert held(outlines.vertex, tiles, 0, lat, lng) == slow_holds(parts, lat, near)


def test_a_crowded_polygon_is_exact_though_its_lists_are_long() -> None:
    """Ten thousand spikes ask for more tiles than there may be."""
    dice, home = random.Random(8), (52.0, 13.0)
    rays = [dice.uniform(0.3, 1.0) for _ in range(5_000)]
    parts: Parts = [[disc(home, 400.0, len(rays), rays)]]
    outlines = _outlines([polygon(1, parts)])
    tiles = tiles_of(outlines)
    assert tiles.tile.nbytes < 3e6 / 2
    for lat, lng in around(dice, parts, 3_000):
        assert held(outlines.vertex, tiles, 0, lat, lng) == holds(outlines, 0, lat, lng)


def test_neighbours_share_every_point_of_their_edge_out() -> None:
    """Two halves of a disc, cut along a crooked line: of a point on it exactly one of them is the owner."""
    dice, home = random.Random(3), (60.0, 25.0)
    for corners in (3, 40, 600):
        whole = disc(home, 300.0, 4 * corners)
        whole = whole[3 * corners :] + whole[: 3 * corners]
        first, last = whole[0], whole[2 * corners]
        steps = [k / corners for k in range(1, corners)]
        line = [
            (last[0] + s * (first[0] - last[0]) + dice.uniform(-1e-4, 1e-4), last[1] + s * (first[1] - last[1]))
            for s in steps
        ]
        upper = whole[: 2 * corners + 1] + line
        lower = [first, *line[::-1], *whole[2 * corners :]]
        outlines = _outlines([polygon(1, [[upper]]), polygon(2, [[lower]])])
        tiles = tiles_of(outlines)
        points = list(line)
        for a, b in itertools.pairwise(line):
            share = dice.random()
            points.append((a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])))
        for lat, lng in points:
            owners = [held(outlines.vertex, tiles, f, lat, lng) for f in range(2)]
            assert sum(owners) == 1
            assert owners == [holds(outlines, f, lat, lng) for f in range(2)]


def test_tiles_of_many_are_the_tiles_of_each_joined() -> None:
    dice = random.Random(4)
    fences = [
        None if k % 3 == 1 else polygon(k, archipelago(dice, HOMES[0], 300.0, 5 + 7 * k, k % 4)) for k in range(8)
    ]
    whole = tiles_of(_outlines(fences))
    chunks = [fences[:1], fences[1:2], fences[2:7], [], fences[7:]]
    _same(whole, tiles_joined([tiles_of(_outlines(chunk)) for chunk in chunks]))
    _same(tiles_of(_outlines([])), tiles_joined([]))


def _same(one: Tiles, other: Tiles) -> None:
    for name in Tiles._fields:
        a, b = getattr(one, name), getattr(other, name)
        assert a.dtype == b.dtype and a.tobytes() == b.tobytes() and not b.flags.writeable


def test_memory_follows_the_number_of_vertices() -> None:
    for corners, most in ((8, 600), (32, 3_000), (64, 6_000), (1_000, 200_000)):
        assert tiles_of(_outlines([polygon(1, [[disc((60.0, 25.0), 400.0, corners)]])])).tile.nbytes <= most


def test_a_point_on_a_border_of_tiles_with_an_edge_along_it() -> None:
    """Edges that run exactly along the lines on which the frame is halved."""
    for size in (2.0**-8, 2.0**-7):
        grid = [(Fraction(i, 64), Fraction(j, 64)) for i in range(65) for j in range(65)]
        teeth = [(size * (i % 2), size * i / 16.0) for i in range(17)]
        parts: Parts = [[[*teeth, (2 * size, size), (2 * size, 0.0)]]]
        outlines = _outlines([polygon(1, parts)])
        tiles = tiles_of(outlines)
        south, west, per_lat, per_lng = tiles.frame[0].tolist()
        for a, b in grid:
            lat, lng = south + float(a) / per_lat, west + float(b) / per_lng
            assert held(outlines.vertex, tiles, 0, lat, lng) == holds(outlines, 0, lat, lng)
        assert math.isinf(depth_m(outlines.vertex, tiles, 0, -1.0, 0.0))
