"""Approach: who, going on like this, is in a fence within so many minutes.

ETA = distance to the fence's edge / closing speed. The speed is taken over `TREND_MS` at least, and over a way longer
than both of its ends may be wrong by, so that a phone that lies still approaches nothing. Each threshold of a fence is
told once an approach: again after a visit there, or once the customer is twice as far away as when it was told.

All numpy but one kernel; it costs nothing where no campaign waits for an approach.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from geo.arrays import Flags, Floats, Ints, Longs, Records, frozen
from geo.edge import edge_m, spot, square_to
from geo.errors import CheckpointError
from geo.index import FenceIndex, IndexArrays
from geo.judge import confirms
from geo.kernels import allocating
from geo.position import valid
from geo.records import CHUNK_ROWS, NEVER, NOBODY, PING, RULES, TRANSITION, Kind, Rules
from geo.sphere import arc_m, distance_m
from geo.units import AT_MS_END, MS_PER_S

TREND_MS: Final = 30_000
STILL_MS: Final = 120_000
"""Who has not moved by more than the fixes are good for in this while begins anew from where they are."""
BROKEN_MS: Final = 600_000
"""Over a longer silence there is no speed."""
FARTHER: Final = 2.0

TREND: Final = np.dtype([("lat", "f8"), ("lng", "f8"), ("at_ms", "i8"), ("tried_ms", "i8"), ("accuracy_m", "f4")])
"""Where a customer's trend begins, and when it was last looked at; `at_ms` is `NEVER` without one."""
TOLD: Final = np.dtype([("row", "i4"), ("fence", "i8"), ("lead_s", "i4"), ("edge_m", "f4")])
"""What was told, and how far away from the fence (a stable id) the customer was."""
_NEAR: Final = np.dtype([("which", "i4"), ("lead", "i4"), ("edge_m", "f8")])
_NO_EXITS = np.zeros(0, TRANSITION)
_NOTHING = np.array([(np.nan, np.nan, NEVER, NEVER, np.nan)], TREND)[0]


class Leads(NamedTuple):
    """Thresholds of approach; ordered by (fence, lead)."""

    fence: Ints
    """i4[n]: positions in the index; once for each threshold."""
    lead_s: Ints
    """i4[n]: seconds before the arrival."""


NO_LEADS: Final = Leads(frozen(np.zeros(0), np.int32), frozen(np.zeros(0), np.int32))


class Approaches:
    """Of all customers of a partition. Mutable; one writer. 40 bytes a row while anything waits for an approach."""

    def __init__(self) -> None:
        self.trends: Records = np.full(0, _NOTHING, TREND)
        self.told: Records = np.zeros(0, TOLD)

    def advance(self, index: FenceIndex, leads: Leads, pings: Records, exits: Records, rules: Rules = RULES) -> Records:
        """Follow PING[n]; TRANSITION[m], kind approach, in order of (ping, fence, threshold). *exits*: TRANSITION[k],
        the visits that these pings ended.
        """
        if not len(leads.fence) or not len(pings):
            return np.zeros(0, TRANSITION)
        return self.follow(index, leads, pings, rules, exits)

    def follow(
        self,
        index: FenceIndex,
        leads: Leads,
        pings: Records,
        rules: Rules,
        exits: Records = _NO_EXITS,
    ) -> Records:
        """`advance`, whether or not there is anything to approach."""
        self._reserve(int(pings["row"].max()) + 1)
        good = valid(pings["lat"], pings["lng"]) & (_known_m(pings, rules) <= rules.arrival_accuracy_m)
        good &= (pings["at_ms"] >= 0) & (pings["at_ms"] < AT_MS_END)
        which = np.flatnonzero(good)
        found = [np.zeros(0, TRANSITION)]
        for each in _rounds(pings["row"][which], which):
            exits = self._left(index, exits, pings, each)
            found.append(self._turn(index, leads, pings, each, rules))
        self.visited(index, exits)
        out = np.concatenate(found)
        return out[np.lexsort((out["dwell_s"], out["fence"], out["ping"]))]

    def visited(self, index: FenceIndex, exits: Records) -> None:
        """TRANSITION[n] of visits that ended: their fences may be approached anew."""
        if len(self.told) and len(exits):
            ended = {(int(one["row"]), int(index.fence[one["fence"]])) for one in exits}
            mine = np.flatnonzero(np.isin(self.told["row"], exits["row"]))
            again = [(int(one["row"]), int(one["fence"])) in ended for one in self.told[mine]]
            self.told = np.delete(self.told, mine[np.array(again, np.bool_)])

    def forget(self, row: int) -> None:
        """Drop everything about one customer."""
        if row < len(self.trends):
            self.trends[row] = _NOTHING
            self.told = self.told[self.told["row"] != row]

    def pack(self, chunk: int) -> bytes:
        """The rows of a chunk as bytes; none where there is nothing to keep."""
        first = chunk * CHUNK_ROWS
        rows = self.trends[first : first + CHUNK_ROWS]
        known = np.flatnonzero(rows["at_ms"] != NEVER)
        told = self.told[(self.told["row"] >= first) & (self.told["row"] < first + CHUNK_ROWS)]
        if not len(known) and not len(told):
            return b""
        counts = np.array([len(known), len(told)], "<i4")
        return counts.tobytes() + known.astype("<i4").tobytes() + rows[known].tobytes() + told.tobytes()

    def unpack(self, chunk: int, data: bytes) -> None:
        """Replace the rows of a chunk by what `pack` wrote; raises `CheckpointError` for other bytes."""
        first = chunk * CHUNK_ROWS
        self._reserve(first + CHUNK_ROWS)
        self.trends[first : first + CHUNK_ROWS] = _NOTHING
        self.told = self.told[(self.told["row"] < first) | (self.told["row"] >= first + CHUNK_ROWS)]
        if not data:
            return
        known, told = np.frombuffer(data, "<i4", 2).tolist() if len(data) >= 8 else (-1, -1)
        if known < 0 or told < 0 or len(data) != 8 + known * (4 + TREND.itemsize) + told * TOLD.itemsize:
            raise CheckpointError(f"these bytes are not the approaches of chunk {chunk}")
        rows = np.frombuffer(data, "<i4", known, 8)
        self.trends[first + rows] = np.frombuffer(data, TREND, known, 8 + 4 * known)
        self.told = np.concatenate([self.told, np.frombuffer(data, TOLD, told, len(data) - told * TOLD.itemsize)])

    def _left(self, index: FenceIndex, exits: Records, pings: Records, which: Longs) -> Records:
        """Note the exits that come before these pings of their customers; the exits that do not."""
        if not len(exits):
            return exits
        reached = dict(zip(pings["row"][which].tolist(), which.tolist(), strict=True))
        ripe = np.array([one["ping"] <= reached.get(int(one["row"]), -1) for one in exits], np.bool_)
        self.visited(index, exits[ripe])
        return exits[~ripe]

    def _turn(self, index: FenceIndex, leads: Leads, pings: Records, which: Longs, rules: Rules) -> Records:
        """One ping each of different customers."""
        accuracy_m = _known_m(pings, rules)
        rows = pings["row"][which]
        trend, at_ms = self.trends[rows], pings["at_ms"][which]
        looked_ms = np.maximum(trend["at_ms"], trend["tried_ms"])
        later, begins = at_ms > looked_ms, (trend["at_ms"] == NEVER) | (at_ms - trend["at_ms"] > BROKEN_MS)
        tries = later & ~begins & (at_ms - looked_ms >= TREND_MS)
        slack_m = accuracy_m[which] + trend["accuracy_m"]
        here = pings[which]
        goes = tries & (distance_m(trend["lat"], trend["lng"], here["lat"], here["lng"]) > slack_m)
        self.trends["tried_ms"][rows[tries]] = at_ms[tries]
        anew = (later & begins) | goes | (tries & (at_ms - trend["at_ms"] >= STILL_MS))
        self._begin(pings[which[anew]], accuracy_m[which[anew]])
        if not goes.any():
            return np.zeros(0, TRANSITION)
        fixes = frozen(pings[which[goes]], PING)
        told = self._told(index, leads, fixes, (trend[goes], frozen(slack_m[goes], np.float64)), rules)
        told["ping"] = which[goes][told["ping"]]
        return told

    def _begin(self, pings: Records, accuracy_m: Floats) -> None:
        rows = pings["row"]
        for name in ("lat", "lng", "at_ms"):
            self.trends[name][rows] = pings[name]
        self.trends["tried_ms"][rows], self.trends["accuracy_m"][rows] = NEVER, accuracy_m

    def _told(
        self, index: FenceIndex, leads: Leads, fixes: Records, trend: tuple[Records, Floats], rules: Rules
    ) -> Records:
        """What is new of those who have gone some way since their trends began."""
        self._rearm(index, fixes)
        near = _nearing(index.kernel_view, leads, (fixes, frozen(trend[0], TREND)), trend[1], rules)
        row, fence = fixes["row"][near["which"]], leads.fence[near["lead"]]
        told = np.zeros(len(near), TOLD)
        told["row"], told["fence"], told["edge_m"] = row, index.fence[fence], near["edge_m"]
        told["lead_s"] = leads.lead_s[near["lead"]]
        new = ~_among(told, self.told[np.isin(self.told["row"], row)])
        self.told = np.concatenate([self.told, told[new]])
        out = np.zeros(int(new.sum()), TRANSITION)
        out["kind"], out["ping"], out["row"], out["fence"] = Kind.APPROACH, near["which"][new], row[new], fence[new]
        out["since_ms"] = out["at_ms"] = fixes["at_ms"][near["which"]][new]
        out["dwell_s"] = told["lead_s"][new]
        return out

    def _rearm(self, index: FenceIndex, fixes: Records) -> None:
        """Forget what was told to those who are much farther away now, or of fences that are gone."""
        mine = np.flatnonzero(np.isin(self.told["row"], fixes["row"]))
        if not len(mine):
            return
        told, place = self.told[mine], {int(row): k for k, row in enumerate(fixes["row"])}
        fence = frozen(index.position_of(told["fence"]), np.int32)
        fix = frozen(fixes[[place[int(row)] for row in told["row"]]], PING)
        away_m = _edges_m(index.kernel_view, fence, fix)
        over = (fence == NOBODY) | (away_m > FARTHER * told["edge_m"])
        self.told = np.delete(self.told, mine[over])

    def _reserve(self, rows: int) -> None:
        if rows > len(self.trends):
            more = max(2 * len(self.trends), rows, CHUNK_ROWS) - len(self.trends)
            self.trends = np.concatenate([self.trends, np.full(more, _NOTHING, TREND)])


def _rounds(rows: Ints, which: Longs) -> list[Longs]:
    """*which* in parts, the n-th ping of each row in the n-th."""
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(rows) else order
    nth = np.arange(len(rows)) - np.repeat(first, np.diff(np.append(first, len(rows))))
    return [np.sort(which[order[nth == k]]) for k in range(int(nth.max(initial=-1)) + 1)]


def _known_m(pings: Records, rules: Rules) -> Floats:
    """f8[n]: the accuracies to count with."""
    return np.where(pings["accuracy_m"] > 0.0, pings["accuracy_m"], rules.unknown_accuracy_m).astype(np.float64)


def _among(told: Records, before: Records) -> Flags:
    """bool[n]: which of TOLD[n] are in *before*, wherever they were told."""
    known = {(row, fence, lead_s) for row, fence, lead_s, _ in before.tolist()}
    return np.array([(row, fence, lead_s) in known for row, fence, lead_s, _ in told.tolist()], np.bool_)


@allocating
def _edges_m(index: IndexArrays, fence: Ints, fixes: Records) -> Floats:
    """f8[n]: of fixes to the edge of one fence each; infinity for no fence."""
    out = np.full(len(fence), np.inf)
    for i in range(len(fence)):
        if fence[i] != NOBODY:
            out[i] = edge_m(index, fence[i], spot(float(fixes[i]["lat"]), float(fixes[i]["lng"])))
    return out


@allocating
def _nearing(index: IndexArrays, leads: Leads, ends: tuple[Records, Records], slack_m: Floats, rules: Rules) -> Records:
    """_NEAR[m], ordered by (which, lead): the fixes and the thresholds that their ETA is below. ends: PING[n] and
    TREND[n]. Within the rim nobody approaches any more.
    """
    (fixes, trends), out, count = ends, np.empty(64, _NEAR), 0
    for i in range(len(fixes)):
        fix, trend = fixes[i], trends[i]
        here, there = spot(float(fix["lat"]), float(fix["lng"])), spot(float(trend["lat"]), float(trend["lng"]))
        dx, dy, dz = here[0] - there[0], here[1] - there[1], here[2] - there[2]
        went_m, since_s = arc_m(dx * dx + dy * dy + dz * dz), (fix["at_ms"] - trend["at_ms"]) / MS_PER_S
        for k in range(len(leads.fence)):
            fence, lead_s = leads.fence[k], leads.lead_s[k]
            away_m = arc_m(square_to(index.lookup.centre, index.lookup.rank[fence], here)) - index.reach_m[fence]
            if away_m * since_s > lead_s * went_m:
                continue
            edge = edge_m(index, fence, here)
            closing_m = edge_m(index, fence, there) - edge
            if confirms(edge, float(index.radius_m[fence]), rules) or closing_m <= slack_m[i]:
                continue
            if edge * since_s > lead_s * closing_m:
                continue
            if count == len(out):
                longer = np.empty(2 * count, _NEAR)
                for j in range(count):
                    longer[j] = out[j]
                out = longer
            out[count]["which"], out[count]["lead"], out[count]["edge_m"] = i, k, edge
            count += 1
    return out[:count]
