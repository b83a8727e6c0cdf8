"""The geometry's errors, sorted by what the caller does about them.

GeoError
├── PositionError     fix the coordinate: not finite, or out of range
├── FenceError        fix the fence: radius, rings, dwell thresholds, a repeated id
├── QueryError        fix the question: how many, how far, at which resolution, about which rows
└── CheckpointError   the bytes are not a chunk of ours, or the chunk does not fit its bound: start from an older one
"""

from __future__ import annotations


class GeoError(ValueError):
    """Root of all errors of the package; every message says what was wrong with which value."""


class PositionError(GeoError):
    """A latitude or longitude is not finite or lies outside ±90° / ±180°."""


class FenceError(GeoError):
    """A fence cannot be built as asked; nothing of it is kept."""


class QueryError(GeoError):
    """A question about customers or stores that has no answer as it was asked."""


class CheckpointError(GeoError):
    """A chunk of presence cannot be written within its bound, or its bytes cannot be read."""
