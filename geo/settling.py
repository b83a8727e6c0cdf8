"""Visits as they were: what late and repeated pings correct, once none can come any more.

Triggers follow `geo.transitions` at once, on pings in order, and stand. Visits wait: every ping is kept for `late_ms`
of log time and then judged, in the order of event time, by a second presence under the same rules. So the visits that
are told are the same however the pings of that while were shuffled and repeated. Triggers of the second presence are
nobody's business.

A ping that comes when a later one of its customer has been judged here is too late for this, too.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

import numpy as np

from geo.arrays import Flags, Longs, Records, frozen
from geo.index import FenceIndex
from geo.kernels import kernel
from geo.presence import Presence
from geo.records import NEVER, PING, RULES, VISITED, Kind, Rules
from geo.sweeps import pass_silence
from geo.transitions import advance, switch
from geo.units import MS_PER_S

LATE_MS: Final = 30_000
SWEEP_MS: Final = 60 * MS_PER_S
"""How often silent phones are looked for."""


class Heard(NamedTuple):
    """A batch as it came."""

    number: int
    heard_ms: int
    pings: Records
    late: bool
    """Each of them came after a later one of its customer, or with the same time."""


class Settling:
    """Mutable; one writer. 16 bytes a row, a second `Presence`, and the pings of the last `late_ms`."""

    def __init__(self, rules: Rules = RULES, late_ms: int = LATE_MS) -> None:
        self.presence = Presence()
        self._rules, self._late_ms = rules, late_ms
        self._newest_ms: Longs = np.zeros(0, np.int64)
        self._heard_ms: Longs = np.zeros(0, np.int64)
        self._waiting: deque[Heard] = deque()
        self._late: list[Heard] = []
        self._forgotten: dict[int, int] = {}
        """Row -> batches up to this number do not count."""
        self._number, self._swept_ms = 0, 0

    @property
    def waiting(self) -> int:
        """Pings not yet judged."""
        return sum(len(heard.pings) for heard in [*self._waiting, *self._late])

    def going_on(self, presence: Presence) -> Settling:
        """One by the same rules that goes on from there, with nothing waiting: a checkpoint holds no pings."""
        other, rows = Settling(self._rules, self._late_ms), presence.rows
        other.presence = presence.copy()
        other._reserve(rows)
        other._newest_ms[:rows] = presence.customers["at_ms"][:rows]
        other._heard_ms[:rows] = np.maximum(other._newest_ms[:rows], 0)
        return other

    def hear(self, pings: Records, heard_ms: int) -> None:
        """Keep PING[n], which nobody may change from now on. *heard_ms* never falls."""
        if not len(pings):
            return
        pings = frozen(pings, PING)
        self._reserve(int(pings["row"].max()) + 1)
        self._number += 1
        late = np.zeros(len(pings), np.bool_)
        if _note(pings, heard_ms, self._newest_ms, self._heard_ms, late):
            self._late.append(Heard(self._number, heard_ms, pings[late], late=True))
            pings = pings[~late]
        self._waiting.append(Heard(self._number, heard_ms, pings, late=False))

    def settle(self, index: FenceIndex, now_ms: int) -> Records:
        """Judge what waited long enough at *now_ms* of log time; VISITED[m] of what ended, ordered by (row, since)."""
        due: list[Heard] = []
        while self._waiting and self._waiting[0].heard_ms <= now_ms - self._late_ms:
            due.append(self._waiting.popleft())
        ended = [self._judged(index, due, now_ms)]
        if now_ms - self._swept_ms >= SWEEP_MS:
            self._swept_ms = now_ms
            before_ms = now_ms - self._late_ms - self._rules.silent_ms
            self._reserve(self.presence.rows)
            work = pass_silence(self.presence.work(), self._heard_ms, before_ms)
            ended.append(_visited(index, self.presence.settle(work)))
        return np.concatenate(ended) if len(ended) > 1 else ended[0]

    def switch(self, old: FenceIndex, new: FenceIndex, now_ms: int) -> Records:
        """Carry visits to other fences; VISITED[m] of those that this ends. What waits is judged by the new ones."""
        return _visited(old, switch(self.presence, old, new, now_ms, self._rules))

    def forget(self, row: int) -> None:
        """Drop everything about one customer."""
        self.presence.forget(row)
        if row < len(self._newest_ms):
            self._newest_ms[row] = NEVER
            self._forgotten[row] = self._number

    def _judged(self, index: FenceIndex, due: list[Heard], now_ms: int) -> Records:
        late = self._due_late(due, now_ms) if self._late else []
        batches = [heard.pings for heard in self._remembered([*due, *late])]
        if not batches:
            return np.zeros(0, VISITED)
        pings = np.concatenate(batches)
        if late:  # all others stand in order already
            fields = ("accuracy_m", "lng", "lat", "at_ms", "row")
            pings = pings[np.lexsort([pings[name] for name in fields])]
        return _visited(index, advance(self.presence, index, pings, self._rules).transitions)

    def _due_late(self, due: list[Heard], now_ms: int) -> list[Heard]:
        """Of the late pings those that waited long enough, and those that come before what is judged now."""
        last_ms = np.full(len(self._newest_ms), NEVER, np.int64)
        ripe = [heard for heard in self._late if heard.heard_ms <= now_ms - self._late_ms]
        for heard in [*due, *ripe]:
            np.maximum.at(last_ms, heard.pings["row"], heard.pings["at_ms"])
        out, kept = [], []
        for heard in self._late:
            now: Flags = heard.pings["at_ms"] <= last_ms[heard.pings["row"]]
            out.append(heard._replace(pings=heard.pings[now]))
            if not now.all():
                kept.append(heard._replace(pings=heard.pings[~now]))
        self._late = kept
        return out

    def _remembered(self, batches: list[Heard]) -> list[Heard]:
        """Without pings of who was forgotten since."""
        if not self._forgotten:
            return batches
        upto = np.zeros(len(self._newest_ms), np.int64)
        upto[list(self._forgotten)] = list(self._forgotten.values())
        oldest = min((heard.number for heard in [*batches, *self._waiting, *self._late]), default=self._number + 1)
        self._forgotten = {row: number for row, number in self._forgotten.items() if number >= oldest}
        return [heard._replace(pings=heard.pings[upto[heard.pings["row"]] < heard.number]) for heard in batches]

    def _reserve(self, rows: int) -> None:
        """Make place for rows 0..rows-1; doubles."""
        if rows > len(self._newest_ms):
            more = max(2 * len(self._newest_ms), rows, 1_024) - len(self._newest_ms)
            self._newest_ms = np.concatenate([self._newest_ms, np.full(more, NEVER, np.int64)])
            self._heard_ms = np.concatenate([self._heard_ms, np.zeros(more, np.int64)])


def _visited(index: FenceIndex, transitions: Records) -> Records:
    """The exits, as VISITED."""
    exits = transitions[transitions["kind"] == int(Kind.EXIT)]
    out = np.zeros(len(exits), VISITED)
    out["row"], out["fence"], out["reason"] = exits["row"], index.fence[exits["fence"]], exits["reason"]
    out["since_ms"], out["until_ms"] = exits["since_ms"], exits["at_ms"]
    return out[np.lexsort((out["since_ms"], out["row"]))]


@kernel
def _note(pings: Records, heard_ms: int, newest: Longs, heard: Longs, late: Flags) -> int:
    """Set late[i] where a ping is no newer than what was heard before; how many."""
    count = 0
    for i in range(len(pings)):
        row = pings[i]["row"]
        heard[row] = heard_ms
        if pings[i]["at_ms"] > newest[row]:
            newest[row] = pings[i]["at_ms"]
        else:
            late[i] = True
            count += 1
    return count
