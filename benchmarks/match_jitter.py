"""What noise makes of visits: a real run past fifty rims, with stays, once as it was and once as a phone would tell it.

The person is at one place at each moment, so the truth is known. A naive detector asks of each fix whether it lies
inside; ours is `advance` with the rules as they are. Another peer can be given `Day.fixes` and `Day.circles`, in the
order of time, and its enters and exits be counted as `naive_transitions` does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

import geo
from benchmarks.bars import Plan
from benchmarks.geo_shapes import Floats
from benchmarks.peers import tile38_told
from benchmarks.result import Row, noted, row
from engine.demo.noise import ACCURACY_SIGMA
from engine.demo.tracks import RUN, read_track
from geo.arrays import Flags, Longs, Records
from geo.fence import Circle
from geo.index import FenceIndex
from geo.presence import Presence
from geo.records import RULES, Kind
from geo.sphere import distance_m
from geo.transitions import PING, advance
from geo.units import EARTH_RADIUS_M, MS_PER_S

M_PER_DEG: Final = EARTH_RADIUS_M * math.pi / 180.0
DAY_MS: Final = 86_400_000


class Visit(NamedTuple):
    """One fence from the first to the last moment, both included."""

    fence: int
    since_ms: int
    until_ms: int


@dataclass(frozen=True)
class Day:
    """One seed: where the person was and what the phone said, once a second."""

    circles: list[Circle]
    lat: Floats
    lng: Floats
    """f8[n]: the truth."""
    fixes: Records
    """PING[n], of row 0."""

    @property
    def days(self) -> float:
        """How much of a day it is."""
        return float(self.fixes["at_ms"][-1] - self.fixes["at_ms"][0]) / DAY_MS

    def edge_m(self, circle: Circle, fixes: bool) -> Floats:
        """f8[n]: signed distances to its edge, of the fixes or of the truth."""
        lat, lng = (self.fixes["lat"], self.fixes["lng"]) if fixes else (self.lat, self.lng)
        return distance_m(lat, lng, circle.lat, circle.lng) - circle.radius_m


class Score(NamedTuple):
    """What one seed came to."""

    ours: int
    naive: int
    missed: int
    real: int
    """True stays of at least five minutes inside."""
    false: int
    strictly_false: int
    days: float


async def bench(plan: Plan) -> list[Row]:
    """All seeds; the shares and counts are those of all of them together."""
    geo.warm()
    days = [day(plan, seed) for seed in range(plan.count("seeds"))]
    scores = [score(one) for one in days]
    each = [one.ours / one.naive for one in scores]
    total = Score(*(sum(column) for column in zip(*scores, strict=True)))
    few = plan.count("tile38_seeds")
    peer = of_tile38(days[:few], sum(one.naive for one in scores[:few]))
    note = f"{total.ours} transitions, the naive detector {total.naive}, in {total.days:.1f} device-days"
    of = f"{total.real} stays of five minutes or more inside a fence"
    strict = f"{total.strictly_false / total.days:.1f} a device-day touch nothing but the rim, never the inside"
    return [
        noted(row(plan.bar("share_of_naive"), each, note, total.ours / total.naive), peer),
        row(plan.bar("missed_visits"), [float(one.missed) for one in scores], of, float(total.missed)),
        row(plan.bar("false_visits"), [one.false / one.days for one in scores], strict, total.false / total.days),
    ]


def day(plan: Plan, seed: int) -> Day:
    """The run with stays at the rims, and the fixes of a phone that is often wrong and sometimes lies."""
    random = np.random.default_rng([plan.seed, seed])
    run = read_track(RUN)
    stops = np.sort(random.choice(np.arange(10, len(run) - 10), plan.count("fences"), replace=False))
    circles = [_beside(plan, random, number, (run.lat_deg, run.lng_deg), int(at)) for number, at in enumerate(stops)]
    stay_s = random.uniform(plan.number("stay_least_s"), plan.number("stay_most_s"), len(stops)).astype(np.int64)
    repeats = np.ones(len(run), np.int64)
    repeats[stops] += stay_s
    steps_ms = np.diff(run.at_ms, append=run.at_ms[-1] + MS_PER_S)
    at_ms = run.at_ms[0] + np.concatenate([[0], np.cumsum(_spread(steps_ms, repeats))[:-1]])
    lat, lng = np.repeat(run.lat_deg, repeats), np.repeat(run.lng_deg, repeats)
    return Day(circles, lat, lng, _told(plan, random, (lat, lng), at_ms))


def _beside(plan: Plan, random: np.random.Generator, number: int, run: tuple[Floats, Floats], at: int) -> Circle:
    """A circle on one side of the run whose rim comes as near as the plan says to the place of a stop."""
    lat, lng = run
    east = math.cos(math.radians(float(lat[at])))
    course = (
        math.atan2(lat[at + 5] - lat[at - 5], (lng[at + 5] - lng[at - 5]) * east) + random.choice([-1, 1]) * math.pi / 2
    )
    radius_m = random.uniform(plan.number("radius_least_m"), plan.number("radius_most_m"))
    away_m = radius_m + random.uniform(-1, 1) * plan.number("rim_within_m")
    north_deg, east_deg = (away_m / M_PER_DEG * part for part in (math.sin(course), math.cos(course) / east))
    return Circle(number, float(lat[at]) + north_deg, float(lng[at]) + east_deg, radius_m)


def _spread(steps_ms: Longs, repeats: Longs) -> Longs:
    """The time after each fix: a second between those of a stay, the run's own step after its last one."""
    out = np.full(int(repeats.sum()), MS_PER_S, np.int64)
    out[np.cumsum(repeats) - 1] = steps_ms
    return out


def _told(plan: Plan, random: np.random.Generator, truth: tuple[Floats, Floats], at_ms: Longs) -> Records:
    """PING[n]: Student-t errors, and a few fixes far off that claim to be good. Other claims scatter around the radius
    that holds 68 % of the errors, whatever this very error is (as `engine.demo.noise` has it).
    """
    lat, lng = truth
    off_m = plan.number("noise_m") * random.standard_t(plan.number("noise_freedom"), (2, len(lat)))
    usual_m = float(np.quantile(np.hypot(*off_m), 0.68))
    claims_m = usual_m * np.exp(ACCURACY_SIGMA * random.standard_normal(len(lat)))
    wild: Flags = random.random(len(lat)) < plan.number("wild_share")
    course = random.uniform(0.0, 2.0 * np.pi, len(lat))
    off_m = np.where(wild, plan.number("wild_m") * np.stack([np.sin(course), np.cos(course)]), off_m)
    fixes = np.zeros(len(lat), PING)
    fixes["lat"] = lat + off_m[0] / M_PER_DEG
    fixes["lng"] = lng + off_m[1] / (M_PER_DEG * np.cos(np.radians(lat)))
    fixes["accuracy_m"] = np.where(wild, random.uniform(1.0, plan.number("wild_claims_m"), len(lat)), claims_m)
    fixes["at_ms"] = at_ms
    return fixes


def score(one: Day) -> Score:
    """Ours and the naive detector's."""
    visits, transitions = ours(one)
    naive = sum(naive_transitions(one, circle) for circle in one.circles)
    real, missed, false, strictly = 0, 0, 0, 0
    for circle in one.circles:
        edge_m, mine = one.edge_m(circle, fixes=False), [visit for visit in visits if visit.fence == circle.fence]
        for since_ms, until_ms in stays(edge_m, one.fixes["at_ms"]):
            real += 1
            missed += not any(visit.since_ms <= until_ms and visit.until_ms >= since_ms for visit in mine)
        for visit in mine:
            during = (one.fixes["at_ms"] >= visit.since_ms) & (one.fixes["at_ms"] <= visit.until_ms)
            nearest_m = float(edge_m[during].min())
            strictly += nearest_m > 0.0
            false += nearest_m > max(RULES.rim_m, RULES.rim_share * circle.radius_m)
    return Score(transitions, naive, missed, real, false, strictly, one.days)


def ours(one: Day) -> tuple[list[Visit], int]:
    """The visits, and how many enters and exits told of them."""
    found = advance(Presence(), FenceIndex.build(one.circles), one.fixes).transitions
    open_ms: dict[int, int] = {}
    visits, last_ms = [], int(one.fixes["at_ms"][-1])
    for kind, fence, since_ms, at_ms in found[["kind", "fence", "since_ms", "at_ms"]].tolist():
        if kind == Kind.ENTER:
            open_ms[fence] = since_ms
        elif kind == Kind.EXIT:
            visits.append(Visit(fence, open_ms.pop(fence), at_ms))
    return visits + [Visit(fence, since_ms, last_ms) for fence, since_ms in open_ms.items()], len(found)


def naive_transitions(one: Day, circle: Circle) -> int:
    """How often a detector that asks each fix which side it is on says enter or exit."""
    inside = one.edge_m(circle, fixes=True) <= 0.0
    return int(np.count_nonzero(np.diff(inside, prepend=False)))


def stays(edge_m: Floats, at_ms: Longs, least_ms: int = 300_000) -> list[tuple[int, int]]:
    """(first, last moment) of each unbroken stay inside that is long enough."""
    inside = np.concatenate([[False], edge_m <= 0.0, [False]])
    firsts, ends = np.flatnonzero(inside[1:] & ~inside[:-1]), np.flatnonzero(~inside[1:] & inside[:-1]) - 1
    spans = zip(at_ms[firsts].tolist(), at_ms[ends].tolist(), strict=True)
    return [(since_ms, until_ms) for since_ms, until_ms in spans if until_ms - since_ms >= least_ms]


def of_tile38(days: Sequence[Day], naive: int) -> str:
    """What the first row says of Tile38, told the same fixes."""
    if not tile38_told.PROGRAM.exists():
        return "; Tile38 is not installed"
    with tile38_told.serving() as client:
        each = (tile38_told.transitions(client, one.circles, one.fixes["lat"], one.fixes["lng"]) for one in days)
        count = sum(each)
        asked = f"{count} told by Tile38 {tile38_told.VERSION}"
    return f"; of the first {len(days)} days {asked}, {naive} by the naive detector"
