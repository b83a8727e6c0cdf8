"""Rows that the kernels of deciding share, as numpy layouts, and the groups of arrays they are handed."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from geo.arrays import Bytes, Floats, Ints, Longs
from geo.kernels import constant
from offers.reasons import RANKS, Reason

Rows: TypeAlias = Any
"""An array of records, or one of them: numpy's types know no fields."""


class Kind(IntEnum):
    """What a trigger is, and what a campaign waits for."""

    ENTER = 1
    DWELL = 2
    SEARCH = 3
    START = 4
    """Of a trigger: campaigns begin while somebody is there. Of a campaign: it waits for just that."""
    EXIT = 5
    APPROACH = 6


class Flag(IntEnum):
    """Bits of `CAMPAIGN.flags`."""

    OPEN = 1
    """Runs only while the store is open."""
    AUDIENCE = 2
    """Is for those who bought something."""


CAMPAIGN: Final = np.dtype(
    [
        ("id", "i8"),
        ("retailer", "i8"),
        ("starts_ms", "i8"),
        ("ends_ms", "i8"),
        ("worth_minor", "i8"),
        ("cap_s", "i4"),
        ("within_s", "i4"),
        ("cap_coupons", "i4"),
        ("dwell_s", "i4"),
        ("wanted", "i4"),
        ("priority", "i2"),
        ("kind", "u1"),
        ("flags", "u1"),
    ]
)
"""What a decision asks of one campaign: 64 bytes, a line of the processor's cache. `cap_s`: how long a coupon counts;
`within_s`: how long a purchase makes its buyer part of the audience; `dwell_s`: the threshold of a dwell or an
approach; `wanted`: where its lists are (`offers.kernels.wanted`), -1 without any."""

EVENT: Final = np.dtype(
    [
        ("now_ms", "i8"),
        ("row", "i4"),
        ("consents", "i4"),
        ("trigger", "i4"),
        ("triggers", "i4"),
        ("stale", "?"),
        ("after_reset", "?"),
    ],
    align=True,
)
"""One customer at one event: `now_ms` is its log time; its triggers are `triggers` ones from `trigger` on. `stale`: the
report is too old to be answered; `after_reset`: a first fix soon after presence was lost proves no arrival."""

TRIGGER: Final = np.dtype(
    [
        ("edge_m", "f8"),
        ("since_ms", "i8"),
        ("last_ms", "i8"),
        ("fence", "i4"),
        ("dwell_s", "i4"),
        ("search", "i4"),
        ("kind", "u1"),
    ],
    align=True,
)
"""What an event means for one fence (its place in the index). `edge_m`: signed distance to its edge, negative inside, 0
where it is not known. `dwell_s`: of a dwell or an approach the threshold that was reached, of a start how much of the
visit has passed by thresholds. Of a start, `since_ms`: when the visit began, `last_ms`: when it was confirmed last.
`search`: row of the searches, -1 without one."""

CANDIDATE: Final = np.dtype(
    [
        ("distance_m", "f8"),
        ("product", "f8"),
        ("brand", "f8"),
        ("category", "f8"),
        ("retailer", "f8"),
        ("affinity", "i8"),
        ("store", "i8"),
        ("campaign", "i4"),
        ("trigger", "i4"),
        ("reason", "u1"),
    ],
    align=True,
)
"""A campaign (its place in the snapshot) at one store that an event met, and what holds it: the rank of a `Reason`. The
terms are those of candidates that nothing held; `affinity` is their sum in millionths."""

VERDICT: Final = np.dtype([("first", "i4"), ("count", "i4"), ("choice", "i4"), ("kept", "i4")])
"""The candidates of one event, in `CANDIDATE`; which of them is chosen, -1 for none; how many rows of `best` it has."""

BOUGHT: Final = np.dtype(
    [
        ("product", "i8"),
        ("retailer", "i8"),
        ("brand", "i8"),
        ("category", "i8"),
        ("weight", "f8"),
        ("at_s", "i8"),
    ],
)
"""A product that a customer bought: its weight over all purchases, the time of the last one. `brand` and `category` are
keys (`offers.words`), `NO_WORD` for none. Of a product that is not in the catalogue any more `retailer` is -1."""

BLOCK: Final = np.dtype([("key", "i8"), ("granted", "i8"), ("spent", "i8"), ("begun", "?")], align=True)
"""A campaign's budget block: its id, coupons; `begun`: its first coupons are in the block."""
SILENCE: Final = np.dtype([("key", "i8"), ("often", "i8")])

PASSED: Final = constant(255)
"""In place of a reason: nothing holds the candidate."""
NONE: Final = constant(-1)
NO_WORD: Final = constant(0)
MICRO: Final = 1e6
"""Affinity is told to the millionth: enough to tell tastes apart; beyond lies rounding, and that must not choose."""
REASONS: Final = tuple(Reason)
"""By rank."""


def rank(reason: Reason) -> int:
    """The reason as kernels have it."""
    return constant(RANKS[reason])


class World(NamedTuple):
    """What the snapshot says; see `offers.snapshot`, `offers.campaigns` and `offers.products`."""

    campaigns: Rows
    wanted: Longs
    ptr: Longs
    campaign: Ints
    schedule: Ints
    fence_hours: Ints
    fence_store: Longs
    radius_m: Floats
    hours: tuple[Longs, Longs, Longs]
    schedules: tuple[Longs, Longs, Longs]
    span: Longs
    """i8[2]: hours are known from .. until."""
    product: Longs
    product_retailer: Longs
    product_brand: Ints
    product_category: Ints
    word: Longs
    """Key of each word of the products."""


class Notes(NamedTuple):
    """Coupons of customers: `offers.caps`."""

    head: Ints
    following: Ints
    ends: Longs
    campaign: Longs
    at_ms: Longs


class Lines(NamedTuple):
    """Purchases of customers: `offers.history`."""

    head: Ints
    following: Ints
    product: Longs
    at_s: Rows
    quantity: Rows


class Silences(NamedTuple):
    """How often which reason held which campaign: `offers.silences`."""

    table: Rows
    """SILENCE[H]."""
    used: Longs
    """i8[1]: slots taken."""


class Ledger(NamedTuple):
    """Where the customers of a partition stand."""

    notes: Notes
    lines: Lines
    blocks: Rows
    """BLOCK[H]: `offers.budget`."""


class Asked(NamedTuple):
    """What happened."""

    events: Rows
    triggers: Rows
    search_ptr: Longs
    """Three lists a search: products, brands, categories."""
    search_key: Longs
    begun_ms: Longs
    """i8[C], or none: visits confirmed last before this have not met the campaign."""
    stopped: Longs
    """Ids, ascending."""
    noting: Bytes
    """u1[1]: whether what is chosen is noted and spent at once, so that the next event finds it so."""


class Past(NamedTuple):
    """What one customer bought, and where in it a key is: a hash of (list, key) → lines, each list of lines chained.

    An entry is `4 * line + list`; lists are products, brands, categories and retailers."""

    bought: Rows
    slot: Ints
    """i4[H]: the first entry of a key, -1; a power of two, at least eight times the lines."""
    following: Ints
    """i4[4 B]: the next entry with the same list and key, -1."""


class Desk(NamedTuple):
    """What is found, and room to work in."""

    verdicts: Rows
    candidates: Rows
    best: Ints
    """i4[E, K]: the candidates that came farthest beside the chosen one."""
    past: Past
    silences: Silences
    places: Ints
    """A hash of campaigns → candidate, for events of several triggers; a power of two."""
