"""What the owner of a partition keeps in memory. All of it is derived: presence from the checkpoint and the log,
the rest from PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.matcher.begun import Begun
from geo.approach import Approaches
from geo.arrays import Records
from geo.pings import PingIndex
from geo.presence import Presence
from geo.records import RULES, Rules
from geo.settling import Settling
from offers.budget import Blocks
from offers.caps import Caps
from offers.decide import Books
from offers.history import History
from offers.snapshot import Snapshot

LOCATION = 1
HISTORY = 2
MARKETING_PUSH = 4
MARKETING_INAPP = 8


@dataclass
class State:
    """One partition. Rows are dense: the customer's number divided by the count of partitions."""

    p: int
    position: int = 0
    """Last entry consumed."""
    fact_seq: int = 0
    """Last fact applied; facts up to it are skipped when the log repeats them."""
    loaded_seq: int = 0
    """Facts up to it (outcomes excepted) came with the tables this state was loaded from."""
    revision: int = 0
    snapshot: Snapshot = field(default_factory=Snapshot.empty)
    rules: Rules = RULES
    """By which presence judges fixes."""
    presence: Presence = field(default_factory=Presence)
    pings: PingIndex = field(init=False)
    """Who is where now; follows presence."""
    approaches: Approaches = field(default_factory=Approaches)
    settling: Settling = field(default_factory=Settling)
    """Visits as they were, late pings counted. Not checkpointed: a new owner goes on from presence."""
    begun: Begun = field(default_factory=Begun)
    consents: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    caps: Caps = field(default_factory=Caps)
    blocks: Blocks = field(default_factory=Blocks)
    history: History = field(default_factory=History)
    books: Books = field(init=False)
    """Caps, blocks and history together."""
    stopped: set[int] = field(default_factory=set)
    reset_until_ms: int = 0
    """Until then a first fix inside a fence makes no offer: the log was lost, and with it who was inside."""

    def __post_init__(self) -> None:
        self.pings = PingIndex(self.presence)
        self.books = Books(self.caps, self.blocks, self.history)

    def forget(self, row: int) -> Records:
        """Where the customer is and was: `Presence.forget`."""
        exits = self.presence.forget(row)
        self.approaches.forget(row)
        self.settling.forget(row)
        self.pings.remove(row)
        return exits

    def reserve(self, rows: int) -> None:
        """Make room for rows below *rows*, doubling."""
        if rows <= len(self.consents):
            return
        room = max(rows, 2 * len(self.consents), 1024)
        grown = np.zeros(room, np.int32)
        grown[: len(self.consents)] = self.consents
        self.consents = grown
        self.presence.reserve(room)
        self.caps.reserve(room)
        self.history.reserve(room)
