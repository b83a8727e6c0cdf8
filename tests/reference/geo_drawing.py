"""Scenes drawn as text: the map on the left, on the right, line by line, what is heard and what it must bring.

    . . ( . A . ) . . . .   | A 25 m dwell 60 s
    a . ( b . c ) . . d .   | a   0 s  5 m
    . . ( . . . ) . . . .   | b  30 s  5 m    enter A
                            | -  95 s         dwell A 60 s

On the map a character and a blank are `scale_m` east, a line as much south; capitals are middles of fences, small
letters places of fixes. On the right: a fence with its radius, thresholds of dwell and approach; a fix with its time
and the accuracy it claims (`?`: none), and behind at least two blanks what it brings; `-` is a tick; `! 60 s A ends`
and `! 60 s A at Z` change the fences. The lines are heard in their order, one by one, whatever their times.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from geo.approach import Approaches, Leads
from geo.arrays import Records, frozen
from geo.fence import Circle
from geo.index import FenceIndex
from geo.presence import Presence
from geo.records import RULES, Kind, Reason, Rules, Verdict
from geo.settling import LATE_MS, Settling
from geo.transitions import PING, advance, switch, tick
from tests.reference.geo_ground import moved

CORNER = (60.1700, 24.9400)
START_MS = 1_700_000_000_000
_FENCE = re.compile(r"([A-Z]) ([\d.]+) m(?: dwell (\d+) s)?(?: approach (\d+) s)?")
_FIX = re.compile(r"([a-z])\s+([\d.]+) s\s+([\d.]+|\?) m(?:\s{2,}(\S.*))?")
_TICK = re.compile(r"-\s+([\d.]+) s(?:\s{2,}(\S.*))?")
_EDIT = re.compile(r"!\s+([\d.]+) s (\w) (ends|at ([A-Z]))(?:\s{2,}(\S.*))?")


@dataclass
class Scene:
    """Plays a drawing."""

    drawing: str
    scale_m: float = 10.0
    corner: tuple[float, float] = CORNER
    rules: Rules = RULES
    presence: Presence = field(default_factory=Presence)
    approaches: Approaches = field(default_factory=Approaches)
    settling: Settling = field(init=False)
    index: FenceIndex = field(init=False)
    leads: dict[str, int] = field(default_factory=dict)
    circles: dict[str, Circle] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)
    """The right side as it turned out."""
    wanted: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settling = Settling(self.rules)
        lines = [line.partition("|") for line in self.drawing.strip("\n").splitlines()]
        self.places = {
            letter: moved(*self.corner, -self.scale_m * south, self.scale_m * column / 2)
            for south, (left, _, _) in enumerate(lines)
            for column, letter in enumerate(left)
            if letter.isalpha()
        }
        table = [right.strip() for _, _, right in lines if right.strip()]
        for line in table:
            if fence := _FENCE.fullmatch(line):
                name, radius_m, dwell_s, lead_s = fence.groups()
                dwells = (int(dwell_s),) if dwell_s else ()
                self.circles[name] = Circle(ord(name), *self.places[name], float(radius_m), dwells)
                self.leads |= {name: int(lead_s)} if lead_s else {}
        self._lay()
        for line in table:
            if not _FENCE.fullmatch(line):
                self._hear(line)

    def visits(self) -> list[str]:
        """Lines such as "A 30-95 s left", once no late ping can come any more."""
        far_ms = START_MS + 100 * LATE_MS + 2 * self.rules.silent_ms
        ended = self.settling.settle(self.index, far_ms)
        return [f"{self._name(int(v['fence']))} {_s(v['since_ms'])}-{_s(v['until_ms'])} s {_why(v)}" for v in ended]

    def _lay(self) -> None:
        self.index = FenceIndex.build(list(self.circles.values()))
        leads = sorted((name, lead_s) for name, lead_s in self.leads.items() if name in self.circles)
        at = self.index.position_of(np.array([ord(name) for name, _ in leads], np.int64))
        self._leads = Leads(frozen(at, np.int32), frozen([lead_s for _, lead_s in leads], np.int32))

    def _hear(self, line: str) -> None:
        if fix := _FIX.fullmatch(line):
            letter, at_s, accuracy_m, brings = fix.groups()
            got = self._ping(letter, float(at_s), 0.0 if accuracy_m == "?" else float(accuracy_m))
        elif ticked := _TICK.fullmatch(line):
            (at_s, brings), index = ticked.groups(), self.index
            got = self._told(tick(self.presence, index, START_MS + round(1_000 * float(at_s)), self.rules))
        else:
            edit = _EDIT.fullmatch(line)
            assert edit, f"not understood: {line}"
            at_s, name, _, to, brings = edit.groups()
            got = self._edit(float(at_s), name, to)
        stem = line[: -len(brings)].strip() if brings else line
        self.heard.append(f"{stem}  {'; '.join(got)}".strip())
        self.wanted.append(f"{stem}  {brings or ''}".strip())

    def _ping(self, letter: str, at_s: float, accuracy_m: float) -> list[str]:
        ping = np.zeros(1, PING)
        ping["lat"], ping["lng"] = self.places[letter]
        ping["accuracy_m"], ping["at_ms"] = accuracy_m, START_MS + round(1_000 * at_s)
        self.settling.hear(ping.copy(), START_MS)
        done = advance(self.presence, self.index, ping, self.rules)
        exits = done.transitions[done.transitions["kind"] == int(Kind.EXIT)]
        nears = self.approaches.advance(self.index, self._leads, ping, exits, self.rules)
        undecided = [f"undecided {Verdict(why).name.lower()}" for why in sorted(done.undecided)]
        stale = ["undecided stale"] * done.late + ["duplicate"] * done.duplicate + ["invalid"] * done.invalid
        return self._told(done.transitions) + self._told(nears) + undecided + stale

    def _edit(self, at_s: float, name: str, to: str | None) -> list[str]:
        old = self.index
        one = self.circles.pop(name)
        if to:
            self.circles[name] = Circle(one.fence, *self.places[to], one.radius_m, one.dwells_s)
        self._lay()
        now_ms = START_MS + round(1_000 * at_s)
        self.settling.switch(old, self.index, now_ms)
        gone = switch(self.presence, old, self.index, now_ms, self.rules)
        self.approaches.visited(old, gone)
        return self._told(gone, old)

    def _told(self, transitions: Records, index: FenceIndex | None = None) -> list[str]:
        ids = (index or self.index).fence
        return [f"{_what(one)} {self._name(int(ids[one['fence']]))}{_more(one)}" for one in transitions]

    def _name(self, fence: int) -> str:
        return chr(fence)


def _what(one: np.void) -> str:
    return Kind(int(one["kind"])).name.lower()


def _more(one: np.void) -> str:
    kind = Kind(int(one["kind"]))
    if kind is Kind.EXIT:
        return f" {_why(one)} after {(int(one['at_ms']) - int(one['since_ms'])) // 1_000} s"
    if kind in (Kind.DWELL, Kind.APPROACH):
        return f" {one['dwell_s']} s"
    return " initial" if one["initial"] else ""


def _why(one: np.void) -> str:
    return Reason(int(one["reason"])).name.lower()


def _s(at_ms: np.int64) -> int:
    return (int(at_ms) - START_MS) // 1_000


def play(drawing: str, *, scale_m: float = 10.0, corner: tuple[float, float] = CORNER, rules: Rules = RULES) -> Scene:
    """Play the drawing and hold it against its right side."""
    scene = Scene(drawing, scale_m, corner, rules)
    assert scene.heard == scene.wanted, "\n".join(["it turned out so:", *scene.heard])
    return scene
