"""What one fix says about one fence, and when a dwell is due. Kernels only.

Arrival asks which side of the edge the fix is on; departure asks for more, in two ways: beyond what the fix
may be wrong by, and beyond a rim that keeps a jittering phone from flapping. Between them a fix is undecided:
the visit goes on, unconfirmed.
"""

from __future__ import annotations

from typing import NamedTuple

from geo.arrays import Records
from geo.edge import Spot
from geo.index import Dwells
from geo.kernels import constant, kernel
from geo.records import Kind, Rules, Work
from geo.units import MS_PER_S
from geo.visits import write

_DWELL = constant(Kind.DWELL)


class Fix(NamedTuple):
    """One accepted ping at its turn."""

    ping: int
    row: int
    here: Spot
    accuracy_m: float
    at_ms: int


@kernel
def known_m(accuracy_m: float, rules: Rules) -> float:
    """The accuracy to count with: phones say 0 when they do not know (NaN, negative: the same)."""
    return accuracy_m if accuracy_m > 0.0 else rules.unknown_accuracy_m


@kernel
def confirms(edge_m: float, radius_m: float, rules: Rules) -> bool:
    """Whether a fix this far from the edge agrees with being inside still."""
    return edge_m <= max(rules.rim_share * radius_m, rules.rim_m)


@kernel
def departs(edge_m: float, radius_m: float, accuracy_m: float, rules: Rules) -> bool:
    """Whether a fix this far from the edge is decisively outside. NaN-free; an infinite accuracy never
    departs.
    """
    return edge_m > accuracy_m + rules.margin_m and not confirms(edge_m, radius_m, rules)


@kernel
def thresholds(dwells: Dwells, fence: int) -> int:
    """How many dwell thresholds the fence has."""
    return int(dwells.dwell_ptr[fence + 1] - dwells.dwell_ptr[fence])


@kernel
def ripe(dwells: Dwells, visit: Records, now_ms: int) -> bool:
    """Whether a dwell of the visit has come due by *now_ms* and was not written."""
    end = dwells.dwell_ptr[visit["fence"] + 1]
    for at in range(dwells.dwell_ptr[visit["fence"]], end):
        dwell_s = dwells.dwell_s[at]
        if dwell_s > visit["dwelt_s"] and visit["since_ms"] + dwell_s * MS_PER_S <= now_ms:
            return True
    return False


@kernel
def ripen(work: Work, dwells: Dwells, slot: int, ping: int, now_ms: int, grace_ms: int) -> None:
    """Write the dwells of a visit that came due by *now_ms*, each once, unless it has gone unconfirmed for
    longer than *grace_ms*.
    """
    visit = work.visits[slot]
    if now_ms - visit["last_ms"] > grace_ms:
        return
    for at in range(dwells.dwell_ptr[visit["fence"]], dwells.dwell_ptr[visit["fence"] + 1]):
        dwell_s = dwells.dwell_s[at]
        due_ms = visit["since_ms"] + dwell_s * MS_PER_S
        if dwell_s > visit["dwelt_s"] and due_ms <= now_ms:
            visit["dwelt_s"] = dwell_s
            place = write(work, slot, _DWELL, ping, due_ms)
            work.out[place]["dwell_s"] = dwell_s
