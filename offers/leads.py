"""How long before which arrival somebody waits to be told: the thresholds of approach of a snapshot."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from geo.approach import NO_LEADS, Leads
from geo.arrays import frozen
from offers.snapshot import Snapshot


@lru_cache(maxsize=2)
def leads(snapshot: Snapshot) -> Leads:
    """Of all fences of the snapshot. Every partition asks the same, one after the other."""
    lead_s = np.fromiter((c.lead_s for c in snapshot.campaigns), np.int64, len(snapshot.campaigns))
    if not lead_s.any():
        return NO_LEADS
    postings = snapshot.postings
    found = np.flatnonzero(lead_s[postings.campaign])
    fence = np.searchsorted(postings.ptr, found, side="right") - 1
    distinct = np.unique(np.stack([fence, lead_s[postings.campaign[found]]], axis=1), axis=0)
    return Leads(frozen(distinct[:, 0], np.int32), frozen(distinct[:, 1], np.int32))
