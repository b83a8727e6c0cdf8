"""Records of presence and of what happens in it, as numpy layouts that kernels share."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np

from geo.arrays import Flags, Ints, Longs, Records
from geo.kernels import constant
from geo.units import MS_PER_MIN


class Kind(IntEnum):
    """What a transition is."""

    ENTER = 1
    EXIT = 2
    DWELL = 3
    START = 4
    """A campaign began while the visit was open, and this is the first fix since that agrees with it."""
    APPROACH = 5
    """Who goes on like this is in the fence within so many seconds."""


class Reason(IntEnum):
    """Why a visit ended; `NONE` on transitions that end nothing."""

    NONE = 0
    LEFT = 1
    """A fix decisively outside."""
    TIMEOUT = 2
    """No fix inside for `Rules.silent_ms`."""
    FENCE_GONE = 3
    """The new index has no fence of that id."""
    FORGOTTEN = 4
    """The customer withdrew consent or was erased."""
    FENCE_EDITED = 5
    """The fence was drawn anew, and the last fix is decisively outside of what it is now."""


class Verdict(IntEnum):
    """What one fix says about one fence. All but `IN` and `OUT` are undecided, and change nothing."""

    IN = 0
    OUT = 1
    ACCURACY_TOO_LOW = 2
    """Too inaccurate to arrive with, or, beyond the rim, to leave with."""
    ON_BOUNDARY = 3
    """Beyond the rim, by no more than the fix may be wrong by."""
    UNCORROBORATED = 4
    """In or out, but too few fixes have said so yet."""


PING: Final = np.dtype(
    [("row", "i4"), ("lat", "f8"), ("lng", "f8"), ("accuracy_m", "f4"), ("at_ms", "i8")],
)
"""One position report. `accuracy_m` zero, negative or NaN means unknown. `at_ms` is event time."""

TRANSITION: Final = np.dtype(
    [
        ("kind", "u1"),
        ("reason", "u1"),
        ("initial", "?"),
        ("ping", "i4"),
        ("row", "i4"),
        ("fence", "i4"),
        ("since_ms", "i8"),
        ("at_ms", "i8"),
        ("dwell_s", "i4"),
    ]
)
"""`ping`: place in the batch, -1 when no ping caused it. `fence`: position in the index. `since_ms`: start of
the visit, its first fix inside, which names it together with row and fence. `at_ms`: of an enter the ping's time,
of an exit the end of the visit (if left, its first fix outside), so that at_ms - since_ms is how long it was; of a
dwell the moment the threshold was reached (since + dwell, however late it was noticed), of a start the last fix that
agreed with the visit before. `dwell_s`: the threshold of a dwell or an
approach, of a start the visit's `dwelt_s`, else 0. An approach is no visit: its `since_ms` is its own time."""

VISITED: Final = np.dtype([("row", "i4"), ("reason", "u1"), ("fence", "i8"), ("since_ms", "i8"), ("until_ms", "i8")])
"""A visit that is over. `fence`: stable id. `reason`: a `Reason`."""

CUSTOMER: Final = np.dtype(
    [
        ("lat", "f8"),
        ("lng", "f8"),
        ("at_ms", "i8"),
        ("accuracy_m", "f4"),
        ("head", "i4"),
        ("safe_lat", "f4"),
        ("safe_lng", "f4"),
        ("safe_east_m", "f4"),
        ("safe_m", "f4"),
    ]
)
"""One row of presence, 48 bytes: last accepted fix, `at_ms` the watermark (`NEVER` before the first), `head` the first
visit or -1. `safe_*`: the safe region (`geo.safe`), derived and never stored: its middle, metres to a degree of
longitude there, its radius, 0 for none.
"""

VISIT: Final = np.dtype(
    [
        ("since_ms", "i8"),
        ("last_ms", "i8"),
        ("turned_ms", "i8"),
        ("row", "i4"),
        ("fence", "i4"),
        ("dwelt_s", "i4"),
        ("next", "i4"),
        ("weighed_ms", "i4"),
        ("begun", "i4"),
    ]
)
"""One open visit, or a claim to one (`begun` 0), 48 bytes. `last_ms`: last fix that agreed with being inside.
`dwelt_s`: thresholds up to here have passed. `next`: the customer's next visit in ascending order of fence, or -1; in
a freed record (row -1) the next free one. `weighed_ms`: of a claim, the time that fixes inside speak for; of a visit,
the time that fixes outside speak for since it was confirmed, the first of them at `turned_ms`."""

NEVER: Final = int(np.iinfo(np.int64).min)
NOBODY: Final = constant(-1)
CHUNK_SHIFT: Final = 10
CHUNK_ROWS: Final = 1 << CHUNK_SHIFT


class Rules(NamedTuple):
    """When a customer is in, out, or neither. Distances are to the fence's edge."""

    arrival_accuracy_m: float = 50.0
    """A fix less accurate than this never begins a visit."""
    unknown_accuracy_m: float = 50.0
    """What an unknown accuracy counts as."""
    margin_m: float = 20.0
    """A departure needs edge_m > accuracy_m + margin_m ..."""
    rim_share: float = 0.1
    rim_m: float = 20.0
    """... and edge_m > max(rim_share * radius_m, rim_m); up to there a fix still confirms the visit."""
    silent_ms: int = 30 * MS_PER_MIN
    """A visit not confirmed for longer than this has ended when it was last confirmed."""
    grace_ms: int = 10 * MS_PER_MIN
    """How long a customer is taken to stay without a confirming fix, for a dwell to come due."""
    evidence_ms: int = 20_000
    """A visit begins, or is left, once fixes that say so speak for as long as this. 0: by the first one."""
    least_ms: int = 4_000
    """A fix speaks for the time since the one before it, and for this at least: of fixes that come at once five are
    needed, of those that come every ten seconds two, of rarer ones one."""
    speed_m_s: float = 50.0
    """A fix farther from the last one than this speed and both accuracies explain speaks for `least_ms` only."""


RULES: Final = Rules()
BARE: Final = Rules(
    arrival_accuracy_m=float("inf"),
    unknown_accuracy_m=0.0,
    margin_m=0.0,
    rim_share=0.0,
    rim_m=0.0,
    evidence_ms=0,
    speed_m_s=float("inf"),
)
"""By position alone, for pings without an accuracy: inside up to the edge, outside beyond it, each ping believed."""


class Work(NamedTuple):
    """What the kernels of presence write to. Replaced as a whole when an array of it has to grow."""

    customers: Records
    """CUSTOMER[rows]"""
    visits: Records
    """VISIT[capacity], a pool"""
    ends: Longs
    """i8[2]: `FREE`, first freed record or -1; `USED`, records ever taken."""
    dirty: Flags
    """bool[chunks]: changed since the last checkpoint."""
    out: Records
    """TRANSITION[capacity]"""
    tally: Longs
    """i8[TALLIES], indexed by the names below."""
    found: Ints
    """i4[capacity]: the fences around one fix."""


FREE: Final = 0
USED: Final = 1

EMITTED: Final = 0
ACCEPTED: Final = 1
DUPLICATE: Final = 2
LATE: Final = 3
INVALID: Final = 4
UNDECIDED: Final = 5
"""The first of one tally for each `Verdict`; those of IN and OUT stay 0."""
TALLIES: Final = UNDECIDED + len(Verdict)
