"""What happened, and where a customer stands at that moment: the two inputs of one decision beside the snapshot."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

from geo.arrays import Longs
from offers.budget import Blocks
from offers.caps import Caps
from offers.catalogue import fold
from offers.history import History


@dataclass(frozen=True, slots=True)
class Search:
    """What a customer searched for: products by id, brands and categories (folded here, as given by the caller)."""

    products: frozenset[int]
    brands: frozenset[str]
    categories: frozenset[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "brands", frozenset(map(fold, self.brands)))
        object.__setattr__(self, "categories", frozenset(map(fold, self.categories)))


class Trigger(Struct, frozen=True):
    """What an event means for one fence."""

    kind: Literal["enter", "dwell", "exit", "approach", "search", "start"]
    fence: int
    """Place in the snapshot's fences."""
    dwell_s: int = 0
    """The threshold that was reached, of a dwell or an approach; of a start, how much of the visit has passed by
    thresholds."""
    search: Search | None = None
    edge_m: float = 0.0
    """Signed distance to the fence's edge at the event, negative inside; 0 where it is not known."""
    since_ms: int = 0
    """When the visit began, of a start."""
    last_ms: int = 0
    """When the visit was confirmed last, of a start: it has met what began before."""


class Standing(Struct, frozen=True):
    """One customer at one event. Deciding only reads it; whoever decides notes the cap and spends afterwards."""

    row: int
    consents: int
    """Bits as in `audience.Consent`."""
    caps: Caps
    blocks: Blocks
    history: History
    now_ms: int
    """Log time of the event."""
    stale: bool = False
    """The report is too old to be answered."""
    after_reset: bool = False
    """A first fix soon after presence was lost: being inside proves no arrival."""
    stopped: Set[int] = frozenset()
    """Campaigns killed since the snapshot was compiled."""
    begun_ms: Longs | None = None
    """i8[C]: visits confirmed last before this have not met the campaign; None: all campaigns began long ago."""
