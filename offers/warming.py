"""Every kernel of offers run once on a world of nothing, with just the array types that `offers.decide` passes."""

from __future__ import annotations

import numpy as np

from offers.budget import Blocks
from offers.caps import Caps
from offers.decide import EVENT, TRIGGER, Batch, Books, decide_all
from offers.history import History
from offers.snapshot import Snapshot


def warm() -> None:
    """Compile or load them."""
    blocks = Blocks()
    blocks.grant(1, 0)
    nothing = Batch(np.zeros(1, EVENT), np.zeros(0, TRIGGER))
    list(decide_all(Snapshot.empty(), nothing, Books(Caps(), blocks, History()), set()))
