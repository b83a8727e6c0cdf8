"""Slow obvious twin of the lattice: the library's own disks and centres."""

from __future__ import annotations

import h3.api.basic_int as h3
import numpy as np

from geo.sphere import distance_m, units
from geo.units import EARTH_RADIUS_M

ROUNDING = 1e-9


def edge_rad(res: int) -> float:
    """Mean length of a cell's edge, radians."""
    return float(h3.average_hexagon_edge_length(res, unit="m")) / EARTH_RADIUS_M


def around(lat: float, lng: float, reach: float, res: int) -> tuple[set[int], set[int]]:
    """(cells with their centres within *reach* radians, those for which rounding may have decided)."""
    cells = h3.grid_disk(h3.latlng_to_cell(lat, lng, res), 3 + int(reach / edge_rad(res)))
    at = np.array([h3.cell_to_latlng(cell) for cell in cells])
    chord = np.linalg.norm(units(at[:, 0], at[:, 1]) - units(lat, lng), axis=1)
    limit = 2.0 * np.sin(0.5 * reach)
    near = {cell for cell, away in zip(cells, chord, strict=True) if away <= limit}
    return near, {cell for cell, away in zip(cells, chord, strict=True) if abs(away - limit) < ROUNDING}


def farthest_m(cell: int, leaf_res: int) -> float:
    """Metres from a cell's centre to the farthest corner of a leaf that descends from it, as far as descending by the
    twenty farthest children of each generation leads.
    """
    centre, some = h3.cell_to_latlng(cell), [cell]
    for res in range(h3.get_resolution(cell) + 1, leaf_res + 1):
        children = [child for one in some for child in h3.cell_to_children(one, res)]
        at = np.array([h3.cell_to_latlng(child) for child in children])
        away = distance_m(at[:, 0], at[:, 1], *centre)
        some = [children[k] for k in np.argsort(away)[-20:]]
    corners = np.array([corner for leaf in some for corner in h3.cell_to_boundary(leaf)])
    return float(distance_m(corners[:, 0], corners[:, 1], *centre).max())
