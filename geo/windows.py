"""Windows: boxes in latitude and longitude around all points whose leaf cell descends from a cell.

Those points lie within a spread of the cell's centre (`geo.cover`); the window is the box of that cap. What is
true of all of the window is true of the cell's points, whatever the hexagon's own sides do.
"""

from __future__ import annotations

import numpy as np

from geo.arrays import Cells, Flags, Floats, Ints, frozen
from geo.cells import circumradii_m, is_pentagon
from geo.cover import PENTAGON, SPREAD
from geo.kernels import kernel
from geo.outline import Traced
from geo.units import EARTH_RADIUS_M

_WIDE_DEG = 90.0


def spreads_m(cells: Cells, lat: Floats, lng: Floats) -> Floats:
    """f8[n]: how far from its centre (lat, lng) a point of the cell may lie."""
    wider = np.array([PENTAGON if is_pentagon(cell) else 1.0 for cell in cells.tolist()], np.float64)
    spreads: Floats = circumradii_m(cells, lat, lng) * SPREAD * wider
    return spreads


def windows(lat: Floats, lng: Floats, spread_m: Floats, middle: float) -> Floats:
    """f8[n, 4]: (south, west, north, east) of the caps, longitudes within half a turn of *middle* at the centre;
    a window wider than a quarter turn to each side goes all around.
    """
    spread = spread_m / EARTH_RADIUS_M
    beside = lng - 360.0 * np.round((lng - middle) / 360.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        half = np.degrees(np.arcsin(np.sin(spread) / np.cos(np.radians(lat))))
    around = ~(half < _WIDE_DEG) | (np.abs(lat) + np.degrees(spread) >= 90.0)
    half = np.where(around, np.inf, half)
    high = np.degrees(spread)
    return np.stack([lat - high, beside - half, lat + high, beside + half], axis=-1)


def crossed(one: Traced, each: Floats) -> Flags:
    """bool[n]: which windows some edge of the polygon reaches into."""
    flags = np.zeros(len(each), np.bool_)
    _cross(one.vertex, one.chain, one.box, frozen(each, np.float64), flags)
    return flags


@kernel
def _cross(vertex: Floats, chain: Ints, box: Floats, each: Floats, flags: Flags) -> None:
    for i in range(len(each)):
        window = each[i]
        for c in range(len(chain)):
            if flags[i]:
                break
            if box[c, 0] > window[2] or box[c, 2] < window[0] or box[c, 1] > window[3] or box[c, 3] < window[1]:
                continue
            for k in range(chain[c, 0], chain[c, 1]):
                if _reaches(vertex[k], vertex[k + 1], window):
                    flags[i] = True
                    break


@kernel
def _reaches(a: Floats, b: Floats, window: Floats) -> bool:
    """Whether the edge meets the window: their boxes do, and the window's corners are not all on one side of
    its line. Rounding does not matter: a spread is taken 5 % too large.
    """
    if max(a[0], b[0]) < window[0] or min(a[0], b[0]) > window[2]:
        return False
    if max(a[1], b[1]) < window[1] or min(a[1], b[1]) > window[3]:
        return False
    if window[1] == -np.inf:
        return True
    dy, dx = b[0] - a[0], b[1] - a[1]
    left = right = False
    for corner in range(4):
        y, x = window[(corner & 1) << 1], window[1 + (corner & 2)]
        side = dx * (y - a[0]) - dy * (x - a[1])
        left, right = left or side >= 0.0, right or side <= 0.0
    return left and right
