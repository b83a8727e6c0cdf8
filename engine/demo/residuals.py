"""How a real receiver errs: the residuals of a recorded track, and the distribution and memory that fit them.

A residual is a fix minus the smoothed track, in local metres, east and north alike. Smoothed is a
Savitzky–Golay filter (Savitzky & Golay 1964): a parabola in time fitted by least squares to the fixes within
±`HALF_WINDOW_S` seconds, taken at its middle. Windows across a pause in the recording are not used.

What this cannot see: a receiver that smooths its own output, as a sports watch does, and any error slower
than the window, such as a whole street's offset. Residuals therefore understate true error, by a factor; see
`noise.URBAN_FACTOR`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from engine.demo.plane import Floats
from engine.demo.tracks import Track

HALF_WINDOW_S = 10  # 21 fixes: at a walk a bend of 25 m is motion, what is shorter counts as error
DEGREE = 2
FREEDOM_RANGE = (1.05, 50.0)  # below: no mean; above: as good as normal


@dataclass(frozen=True)
class Residuals:
    """Metres, one row (east, north) a fix; `follows`: the fix one second before is the row above."""

    metres: Floats
    follows: np.ndarray[tuple[int], np.dtype[np.bool_]]

    @property
    def memory(self) -> float:
        """Lag-one autocorrelation at 1 Hz, both axes together, −1..1."""
        now, before = self.metres[1:][self.follows[1:]], self.metres[:-1][self.follows[1:]]
        return float(np.sum(now * before) / np.sum(self.metres**2) * len(self.metres) / len(now))


@dataclass(frozen=True)
class Spread:
    """How errors spread: a Student t along each axis, and an AR(1) in time.

    `scale_m` in metres, `freedom` degrees of freedom, `memory` the AR(1) factor over one second, `radius68_m`
    the radius that holds 68 % of the errors, which is how Android defines a fix's accuracy
    (`Location.getAccuracy`).
    """

    scale_m: float
    freedom: float
    memory: float
    radius68_m: float

    def times(self, factor: float) -> Spread:
        """The same shape and memory, *factor* times as wide."""
        return replace(self, scale_m=self.scale_m * factor, radius68_m=self.radius68_m * factor)


def residuals(track: Track) -> Residuals:
    """Residuals of every fix whose whole window was recorded at 1 Hz; `ValueError` when there are none."""
    east_m, north_m = track.plane.to_metres(track.lat_deg, track.lng_deg)
    even = np.diff(track.at_ms) == 1_000
    window = 2 * HALF_WINDOW_S
    if len(even) < window or not np.any(whole := np.convolve(even, np.ones(window), "valid") == window):
        raise ValueError(f"the track has no {window + 1} fixes in a row at 1 Hz")
    middle = slice(HALF_WINDOW_S, -HALF_WINDOW_S)
    rows = np.stack([axis[middle] - _smoothed(axis) for axis in (east_m, north_m)], axis=1)
    follows = np.concatenate([[False], whole[1:] & whole[:-1]])
    return Residuals(rows[whole], follows[whole])


def fit(sample: Residuals) -> Spread:
    """Student t by maximum likelihood, over both axes; degrees of freedom by golden section, scale within.

    The fit is of the marginal distribution: that neighbours resemble each other costs precision only.
    """
    squares = sample.metres.ravel() ** 2
    low, high = (math.log(bound) for bound in FREEDOM_RANGE)
    ratio = (math.sqrt(5) - 1) / 2
    while high - low > 1e-4:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if _likelihood(squares, math.exp(left)) > _likelihood(squares, math.exp(right)):
            high = right
        else:
            low = left
    freedom = math.exp((low + high) / 2)
    radius68_m = float(np.quantile(np.hypot(sample.metres[:, 0], sample.metres[:, 1]), 0.68))
    return Spread(math.sqrt(_scale_squared(squares, freedom)), freedom, sample.memory, radius68_m)


def _smoothed(axis: Floats) -> Floats:
    """Middle of the parabola through each window of equal steps, shape (fixes − 2·HALF_WINDOW_S,)."""
    steps = np.arange(-HALF_WINDOW_S, HALF_WINDOW_S + 1)
    weights = np.linalg.pinv(np.vander(steps, DEGREE + 1, increasing=True))[0]
    return np.convolve(axis, weights[::-1], "valid")


def _scale_squared(squares: Floats, freedom: float) -> float:
    """The likeliest scale² at fixed degrees of freedom, by expectation–maximisation (Lange et al. 1989)."""
    scale2 = float(np.median(squares))
    for _ in range(200):
        fresh = float(np.mean(squares * (freedom + 1) / (freedom + squares / scale2)))
        if abs(fresh - scale2) <= 1e-9 * scale2:
            break
        scale2 = fresh
    return fresh


def _likelihood(squares: Floats, freedom: float) -> float:
    """Mean log likelihood at the best scale."""
    scale2 = _scale_squared(squares, freedom)
    constant = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - 0.5 * math.log(freedom * math.pi * scale2)
    return constant - (freedom + 1) / 2 * float(np.mean(np.log1p(squares / (freedom * scale2))))
