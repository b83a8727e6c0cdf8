"""A total order of candidates: the best offer first, then those that came farthest. Every tie ends in ids."""

from __future__ import annotations

from geo.arrays import Ints
from geo.kernels import inlined, kernel
from offers.kernels.records import PASSED, Rows


@inlined
def nearer(one: Rows, other: Rows) -> bool:
    """Of two stores of one campaign: by distance, then by id."""
    if one["distance_m"] != other["distance_m"]:
        return bool(one["distance_m"] < other["distance_m"])
    return bool(one["store"] < other["store"])


@kernel
def better(campaigns: Rows, one: Rows, other: Rows) -> bool:
    """Of two campaigns that nothing holds: by priority, affinity, worth, nearness; then by id."""
    a, b = campaigns[one["campaign"]], campaigns[other["campaign"]]
    if a["priority"] != b["priority"]:
        return bool(a["priority"] > b["priority"])
    if one["affinity"] != other["affinity"]:
        return bool(one["affinity"] > other["affinity"])
    if a["worth_minor"] != b["worth_minor"]:
        return bool(a["worth_minor"] > b["worth_minor"])
    if one["distance_m"] != other["distance_m"]:
        return bool(one["distance_m"] < other["distance_m"])
    return bool(one["campaign"] < other["campaign"])


@inlined
def farther(one: Rows, other: Rows) -> bool:
    """Of one campaign at two stores: where nothing holds it, else where it passed more questions; of equals the nearer
    one, or the store with the lesser id."""
    if one["reason"] != other["reason"]:
        return bool(one["reason"] > other["reason"])
    return nearer(one, other) if one["reason"] == PASSED else bool(one["store"] < other["store"])


@kernel
def _before(campaigns: Rows, one: Rows, other: Rows) -> bool:
    """Of two campaigns: which came farther."""
    if one["reason"] != other["reason"]:
        return bool(one["reason"] > other["reason"])
    return better(campaigns, one, other) if one["reason"] == PASSED else bool(one["campaign"] < other["campaign"])


@kernel
def keep_best(campaigns: Rows, candidates: Rows, choice: int, best: Ints) -> int:
    """Write the places of the candidates that came farthest beside the chosen one, as many as *best* holds, the
    farthest first; how many."""
    kept = 0
    for k in range(len(candidates)):
        if k == choice:
            continue
        if kept == len(best) and not _before(campaigns, candidates[k], candidates[best[kept - 1]]):
            continue
        at = kept if kept < len(best) else kept - 1
        while at > 0 and _before(campaigns, candidates[k], candidates[best[at - 1]]):
            best[at] = best[at - 1]
            at -= 1
        best[at] = k
        kept = min(kept + 1, len(best))
    return kept
