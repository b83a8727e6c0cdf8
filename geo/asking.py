"""Candidates that are polygons: all of a block are asked together, step by step. Kernels only."""

from __future__ import annotations

import math

import numpy as np

from geo.arrays import Floats, Ints
from geo.index import IndexArrays
from geo.kernels import fetch, kernel
from geo.sifted import Points, Sifted, rank_of
from geo.tiles import DEPTH_MAX, FLAG_BITS, NODE, below, edges_of, leaf_holds, leaf_m, square_of


@kernel
def ask_polygons(index: IndexArrays, points: Points, sifted: Sifted, polygons: int) -> None:
    """Set `edge_m` of the candidates that are polygons."""
    tiles, outline, lat, which = index.tiles, index.outlines.vertex, points.lat, sifted.polygon[0]
    first, vertex, leaf, posting = sifted.polygon[1], sifted.polygon[2], sifted.polygon[3], sifted.candidate[1]
    for k in range(polygons):
        c = which[k]
        rank, p = rank_of(posting[c]), sifted.which[sifted.candidate[0, c]]
        fetch(tiles.frame, rank)
        fetch(tiles.tile_at, rank)
        fetch(lat, p)
        fetch(points.lng, p)
    framed = np.uint64(0)
    for k in range(polygons):
        c = which[k]
        f, p = int(np.int64(rank_of(posting[c]))), sifted.which[sifted.candidate[0, c]]
        row, column, sifted.lng[framed] = square_of(tiles.frame, f, (lat[p], points.lng[p]))
        sifted.tile[0, framed], sifted.tile[1, framed] = row, column
        which[framed], first[framed], vertex[framed] = c, tiles.tile_at[f, 0], tiles.tile_at[f, 1]
        sifted.edge_m[c] = np.inf
        fetch(tiles.tile, first[framed])
        framed += np.uint64(row >= 0)
    polygons = int(np.int64(framed))
    _descend(tiles.tile, sifted, polygons)
    _look_ahead(outline, tiles.tile, sifted, polygons)
    for k in range(polygons):
        c = which[k]
        i = sifted.candidate[0, c]
        here, at = (lat[sifted.which[i]], sifted.lng[k]), (leaf[k], vertex[k])
        if posting[c] < 0 or leaf_holds(outline, tiles.tile, at, here):
            east = math.sqrt(sifted.xyz[0, i] ** 2 + sifted.xyz[1, i] ** 2)
            sifted.edge_m[c] = -leaf_m(outline, tiles.tile, at, here, east)


@kernel
def _descend(tile: Ints, sifted: Sifted, polygons: int) -> None:
    """Go down to the leaves of all polygons at once, level by level."""
    first, leaf, shift, deep, square = (
        sifted.polygon[1],
        sifted.polygon[3],
        sifted.polygon[4],
        sifted.polygon[5],
        sifted.tile,
    )
    for k in range(polygons):
        leaf[k], shift[k], deep[k] = tile[first[k]], DEPTH_MAX, k
    while polygons:
        deeper = np.uint64(0)
        for d in range(polygons):
            k = deep[d]
            deep[deeper] = k
            deeper += np.uint64(leaf[k] >= 0)
        polygons = int(np.int64(deeper))
        for d in range(polygons):
            k = deep[d]
            shift[k] -= leaf[k] & NODE
            leaf[k] = first[k] + below(leaf[k], shift[k], square[0, k], square[1, k])
            fetch(tile, leaf[k])
        for d in range(polygons):
            k = deep[d]
            leaf[k] = tile[leaf[k]]


@kernel
def _look_ahead(outline: Floats, tile: Ints, sifted: Sifted, polygons: int) -> None:
    """From words to the leaves' places; and have what stands there on its way, for all polygons at once."""
    first, vertex, leaf = sifted.polygon[1], sifted.polygon[2], sifted.polygon[3]
    for k in range(polygons):
        leaf[k] = first[k] + ~leaf[k]
        fetch(tile, leaf[k])
    for k in range(polygons):
        edges = edges_of(np.int64(tile[leaf[k]])) > 0
        fetch(outline, vertex[k] + (tile[leaf[k] + edges] >> FLAG_BITS) * edges)
