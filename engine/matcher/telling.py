"""Transitions as those who subscribe to them are told: by the names that outlive a snapshot, without a position."""

from __future__ import annotations

import numpy as np

from engine.log.keys import PARTITIONS
from engine.log.transitions import TOLD, Told
from geo.arrays import Records
from geo.transitions import Kind
from offers.snapshot import Snapshot

_START = int(Kind.START)


def told(found: Records, snapshot: Snapshot, p: int) -> Told:
    """TRANSITION[m] of a partition, at fences of *snapshot*. A start is no happening at a fence."""
    if (starts := found["kind"] == _START).any():
        found = found[~starts]
    rows = np.empty(len(found), TOLD)
    rows["number"] = found["row"].astype(np.int64) * PARTITIONS + p
    rows["fence"] = snapshot.fences.fence[found["fence"]]
    rows["store"] = snapshot.fence_store[found["fence"]]
    for name in ("at_ms", "since_ms", "dwell_s", "kind", "reason", "initial"):
        rows[name] = found[name]
    return rows
