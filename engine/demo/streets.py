"""The walkable streets of the city as a graph in metres, and shortest ways over it."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.demo.city import HELSINKI, features
from engine.demo.plane import Floats, Ints, Plane

ON_FOOT = frozenset({"footway", "pedestrian", "path", "steps", "corridor", "elevator", "trail", "cycleway"})
ROADS = frozenset({"service", "residential", "unclassified", "tertiary", "secondary", "primary"})
LINKS = frozenset({"tertiary_link", "primary_link"})
WALKABLE = ON_FOOT | ROADS | LINKS  # in the centre every one has a pavement; a motorway is none of them
NOWHERE = -1


@dataclass(frozen=True)
class Streets:
    """An undirected graph: nodes on the plane, and for each node its neighbours (CSR), sorted by node number.

    `first` has one entry more than there are nodes; the neighbours of node n are `neighbour[first[n]:first[n
    + 1]]`, `length_m` apart. Streets cross where they share a vertex, as OpenStreetMap has it; bridges and
    tunnels do not.
    """

    plane: Plane
    east_m: Floats
    north_m: Floats
    first: Ints
    neighbour: Ints
    length_m: Floats

    def __len__(self) -> int:
        return len(self.east_m)

    @cached_property
    def _around(self) -> list[list[tuple[int, float]]]:
        """Neighbours and lengths as Python numbers: a heap search is three times faster on them."""
        ends, lengths = self.neighbour.tolist(), self.length_m.tolist()
        marks = self.first.tolist()
        return [list(zip(ends[a:b], lengths[a:b], strict=True)) for a, b in pairwise(marks)]

    def nearest(self, east_m: Floats, north_m: Floats) -> Ints:
        """The node nearest to each point, shape (points,); ties go to the lower number."""
        found = [
            int(np.argmin((self.east_m - east) ** 2 + (self.north_m - north) ** 2))
            for east, north in zip(east_m, north_m, strict=True)
        ]
        return np.array(found, dtype=np.int64)

    def toward(self, target: int) -> tuple[Ints, Floats]:
        """For every node: the next node of a shortest way to *target*, and the way's length in metres.

        Dijkstra's search from the target. The target leads to itself at 0 m; an unreachable node has
        `NOWHERE` and infinity. Of equal ways the one settled first stays, so the answer is the same every
        time.
        """
        count, around = len(self), self._around
        away_m, onward, settled = [np.inf] * count, [NOWHERE] * count, [False] * count
        away_m[target], onward[target] = 0.0, target
        queue = [(0.0, target)]
        while queue:
            so_far_m, node = heapq.heappop(queue)
            if settled[node]:
                continue
            settled[node] = True
            for other, step_m in around[node]:
                if so_far_m + step_m < away_m[other]:
                    away_m[other], onward[other] = so_far_m + step_m, node
                    heapq.heappush(queue, (so_far_m + step_m, other))
        return np.array(onward, dtype=np.int64), np.array(away_m)

    def way(self, start: int, target: int) -> list[int]:
        """Nodes of a shortest way, both ends included; empty if there is none."""
        onward, _ = self.toward(target)
        if onward[start] == NOWHERE:
            return []
        nodes = [start]
        while nodes[-1] != target:
            nodes.append(int(onward[nodes[-1]]))
        return nodes


def read_streets(plane: Plane, folder: Path = HELSINKI) -> Streets:
    """The largest connected part of `road.geojson.gz` on *plane*; ways of other kinds are not walked."""
    numbers: dict[tuple[float, float], int] = {}
    pairs: list[tuple[int, int]] = []
    for feature in features(folder / "road.geojson.gz"):
        if feature["properties"]["highway"] in WALKABLE:
            line = [numbers.setdefault((lng, lat), len(numbers)) for lng, lat in feature["geometry"]["coordinates"]]
            pairs += pairwise(line)
    points = np.array(list(numbers))
    east_m, north_m = plane.to_metres(points[:, 1], points[:, 0])
    return largest_part(join(plane, east_m, north_m, np.array(pairs, dtype=np.int64)))


def join(plane: Plane, east_m: Floats, north_m: Floats, pairs: Ints) -> Streets:
    """A graph of nodes and undirected edges, *pairs* of shape (edges, 2); loops and repeats are dropped."""
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
    both = np.concatenate([pairs, pairs[:, ::-1]])
    both = both[np.lexsort((both[:, 1], both[:, 0]))]
    starts, ends = both[:, 0], both[:, 1]
    length_m = np.hypot(east_m[starts] - east_m[ends], north_m[starts] - north_m[ends])
    first = np.searchsorted(starts, np.arange(len(east_m) + 1))
    return Streets(plane, east_m, north_m, first, ends, length_m)


def largest_part(streets: Streets) -> Streets:
    """Only the largest connected part, nodes numbered anew in the same order."""
    part = _parts(streets)
    keep = part == np.argmax(np.bincount(part))
    fresh = np.cumsum(keep) - 1
    pairs = edges(streets)
    pairs = pairs[keep[pairs[:, 0]]]
    return join(streets.plane, streets.east_m[keep], streets.north_m[keep], fresh[pairs])


def edges(streets: Streets) -> Ints:
    """Every edge once, shape (edges, 2), the lower node first."""
    starts = np.repeat(np.arange(len(streets)), np.diff(streets.first))
    pairs = np.stack([starts, streets.neighbour], axis=1)
    return pairs[pairs[:, 0] < pairs[:, 1]]


def with_doors(streets: Streets, east_m: Floats, north_m: Floats) -> tuple[Streets, Ints]:
    """Add a dead end at each point, joined to the nearest street node; returns the graph and the new nodes'
    numbers.

    The door's way is a straight line: what lies between a street and a counter is not on the map.
    """
    doors = len(streets) + np.arange(len(east_m))
    pairs = np.concatenate([edges(streets), np.stack([streets.nearest(east_m, north_m), doors], axis=1)])
    wider_east_m = np.concatenate([streets.east_m, east_m])
    return join(streets.plane, wider_east_m, np.concatenate([streets.north_m, north_m]), pairs), doors


def _parts(streets: Streets) -> NDArray[np.int64]:
    """Number of the connected part of each node."""
    part = np.full(len(streets), NOWHERE)
    for seed in range(len(streets)):
        if part[seed] != NOWHERE:
            continue
        part[seed], stack = seed, [seed]
        while stack:
            node = stack.pop()
            fresh = [other for other, _ in streets._around[node] if part[other] == NOWHERE]
            part[fresh] = seed
            stack += fresh
    return part
