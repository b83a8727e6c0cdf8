"""What one fix says about one fence, how much that weighs, and when a dwell is due. Kernels only.

Arrival asks which side of the edge the fix is on; departure asks for more, in two ways: beyond what the fix
may be wrong by, and beyond a rim that keeps a jittering phone from flapping. Between them a fix is undecided:
the visit goes on, unconfirmed.

Phones lie about their accuracy now and then, so one fix among many is not believed alone: see `Rules.evidence_ms`.
"""

from __future__ import annotations

from typing import NamedTuple

from geo.arrays import Records
from geo.edge import Spot
from geo.index import Dwells
from geo.kernels import constant, kernel
from geo.records import NEVER, Kind, Rules, Verdict, Work
from geo.sphere import arc_m, unit
from geo.units import MS_PER_S
from geo.visits import write

_DWELL = constant(Kind.DWELL)
_IN, _OUT = constant(Verdict.IN), constant(Verdict.OUT)
_ACCURACY_TOO_LOW, _ON_BOUNDARY = constant(Verdict.ACCURACY_TOO_LOW), constant(Verdict.ON_BOUNDARY)


class Fix(NamedTuple):
    """One accepted ping at its turn."""

    ping: int
    row: int
    here: Spot
    accuracy_m: float
    at_ms: int
    weight_ms: int


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
def verdict(edge_m: float, radius_m: float, accuracy_m: float, rules: Rules) -> int:
    """The verdict of a fix on a visit that is open."""
    if confirms(edge_m, radius_m, rules):
        return _IN
    if departs(edge_m, radius_m, accuracy_m, rules):
        return _OUT
    return _ACCURACY_TOO_LOW if accuracy_m > rules.arrival_accuracy_m else _ON_BOUNDARY


@kernel
def weight_ms(customer: Records, ping: Records, here: Spot, rules: Rules) -> int:
    """How much time the fix speaks for; *customer* has the fix before it."""
    if customer["at_ms"] == NEVER:
        return rules.evidence_ms
    since_ms, least_ms = int(ping["at_ms"] - customer["at_ms"]), min(rules.least_ms, rules.evidence_ms)
    far_m = rules.speed_m_s * since_ms / MS_PER_S
    far_m += known_m(float(ping["accuracy_m"]), rules) + known_m(float(customer["accuracy_m"]), rules)
    there = unit(float(customer["lat"]), float(customer["lng"]))
    dx, dy, dz = here[0] - there[0], here[1] - there[1], here[2] - there[2]
    if arc_m(dx * dx + dy * dy + dz * dz) > far_m:
        return least_ms
    return min(max(since_ms, least_ms), rules.evidence_ms)


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
