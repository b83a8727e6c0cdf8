"""Errors of simulated receivers: heavy-tailed and remembering, shaped by a real run's residuals; accuracy is
made up.

The shape (degrees of freedom) and the memory come from `residuals`. The width is the residuals' times
`URBAN_FACTOR`. The claimed accuracy is simulated outright, because the recording holds none: lognormal around
the 68 % radius, and, as with real phones, no guide to the error of this very fix.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from engine.demo.plane import Floats
from engine.demo.residuals import Spread, fit, residuals
from engine.demo.tracks import RUN, read_track

URBAN_FACTOR = 17.0
"""A watch's smoothed residuals (mean 0.41 m) to a phone between houses: mean error 7 m, the lower end of the
7–13 m that Merry & Bettinger, "Smartphone GPS accuracy study in an urban environment", PLoS ONE 14(7), 2019,
measured.
"""

ACCURACY_SIGMA = 0.35  # of the logarithm: claims mostly between half and twice the true radius
LEAST_ACCURACY_M = 1.0
WIDEST_Z = 5.0  # one normal deviate in 1.7 million is cut there


@cache
def calibrated() -> Spread:
    """A phone's errors in town: fitted to the shipped run, widened by `URBAN_FACTOR`; 0.3 s, once."""
    return fit(residuals(read_track(RUN))).times(URBAN_FACTOR)


class Noise:
    """The errors of *count* receivers as they go on; the same generator state gives the same errors."""

    def __init__(self, spread: Spread, count: int, random: np.random.Generator) -> None:
        self._spread = spread
        self._random = random
        self._heights, self._widths = _stretch(spread.freedom)
        self._state = random.standard_normal((3, count))

    def advance(self, elapsed_s: float) -> None:
        """Let time pass: an AR(1) step of each Gaussian state, its variance staying one."""
        if elapsed_s <= 0:
            return
        kept = self._spread.memory**elapsed_s
        self._state *= kept
        self._state += math.sqrt(1 - kept * kept) * self._random.standard_normal(self._state.shape)

    def errors_m(self) -> tuple[Floats, Floats]:
        """Present errors, metres (east, north): the Gaussian states stretched to the t distribution."""
        plane = self._state[:2]
        size = np.interp(np.abs(plane), self._heights, self._widths)
        east_m, north_m = np.copysign(size, plane) * self._spread.scale_m
        return east_m, north_m

    def accuracy_m(self) -> Floats:
        """What each receiver claims now; simulated, see the top of the file."""
        claimed: Floats = self._spread.radius68_m * np.exp(ACCURACY_SIGMA * self._state[2])
        return np.maximum(claimed, LEAST_ACCURACY_M).astype(np.float64)


def _stretch(freedom: float) -> tuple[Floats, Floats]:
    """A table from normal deviates 0..`WIDEST_Z` to Student t deviates of equal tail probability.

    With x = √ν·tan θ the t density becomes proportional to cos(θ)^(ν−1), so its tail is a plain integral from
    θ = π/2.
    """
    theta = np.linspace(math.pi / 2, 0, 200_001)
    density = np.cos(theta) ** (freedom - 1)
    mass = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    tail = 0.5 * mass / mass[-1]
    heights = np.linspace(0, WIDEST_Z, 1_001)
    wanted = np.array([0.5 * math.erfc(z / math.sqrt(2)) for z in heights])
    return heights, math.sqrt(freedom) * np.tan(np.interp(wanted, tail, theta))
