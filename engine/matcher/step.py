"""`step`: a partition's state and its next log entries in, decisions out. Pure: time is in the entries.

The state is consumed: use the one handed in no further. step(a + b) finds what step(a), then step(b) find.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate, groupby
from typing import Literal
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from engine.log.entries import Entry, EntryKind, Fact, PingBatch, Reclaim, SearchEvent, Switch
from engine.log.keys import PARTITIONS, number_of
from engine.matcher.apply import apply_fact, replay_fact
from engine.matcher.begun import began, new_ground, places, set_aside
from engine.matcher.decision import StepResult, derived
from engine.matcher.judge import Event, judge
from engine.matcher.state import LOCATION, State
from geo.arrays import Ints, Records
from geo.cells import coarse
from geo.match import match
from geo.starting import arrive, meet
from geo.transitions import PING, Kind, advance, switch, tick
from offers.decide import Search, Trigger
from offers.snapshot import Snapshot

EVENT_AGE_MS = 120_000
"""A ping older than this when it reached the log makes no offer (invariant: no push on a stale ping)."""

PIECE = 2_000
"""Campaigns judged at a stretch: some hundredths of a second."""
IDLE_MS = 24 * 3_600_000
FORGET_EVERY_MS = 60_000
TICK_MS = 1_000
"""Ticks come once a second; one of them a minute looks for customers idle for a day."""


def step(
    state: State,
    entries: Sequence[Entry],
    snapshots: Mapping[int, Snapshot],
    *,
    event_age_ms: int = EVENT_AGE_MS,
    deciding: bool = True,
    into: StepResult | None = None,
) -> StepResult:
    """Apply *entries* in order; the answer is *into* with what they brought, or a new one.

    With `deciding=False` (recovery, up to the committed position) only presence follows: what was decided then stands
    in PostgreSQL and is already part of the state."""
    result = StepResult() if into is None else into
    for _ in pieces(state, entries, snapshots, result, event_age_ms=event_age_ms, deciding=deciding):
        pass
    return result


def pieces(
    state: State,
    entries: Sequence[Entry],
    snapshots: Mapping[int, Snapshot],
    into: StepResult,
    *,
    event_age_ms: int = EVENT_AGE_MS,
    deciding: bool = True,
) -> Iterator[None]:
    """`step`, with a pause after about `PIECE` campaigns judged: thousands of people may be where many begin at once.
    Between two of them the state is in the midst of an entry, of use to nobody else."""
    run = _Step(state, snapshots, event_age_ms, deciding, into)
    for kind, some in groupby(entries, key=lambda entry: entry.kind):
        yield from run.take(kind, list(some))


class _Step:
    """One run of `step`: the state and what has been found so far."""

    def __init__(
        self, state: State, snapshots: Mapping[int, Snapshot], event_age_ms: int, deciding: bool, result: StepResult
    ) -> None:
        self.state = state
        self.snapshots = snapshots
        self.event_age_ms = event_age_ms
        self.deciding = deciding
        self.result = result
        self.judged = 0
        """Campaigns, since the last pause."""

    def take(self, kind: EntryKind, entries: list[Entry]) -> Iterator[None]:
        if kind is EntryKind.PINGS:
            yield from self._pings(entries)
        else:
            one = _TAKES[kind]
            for entry in entries:
                yield from one(self, entry) or ()
        self.state.position = entries[-1].position

    # ── pings ────────────────────────────────────────────────────────────────────────────────────────────────

    def _pings(self, entries: list[Entry]) -> Iterator[None]:
        """Consecutive ping entries as one batch; each ping keeps the entry it came with."""
        batches = [entry.payload for entry in entries if isinstance(entry.payload, PingBatch)]
        ends = list(accumulate(map(len, batches)))  # where each entry's pings end
        pings = _records(batches, ends)
        self.state.reserve(int(pings["row"].max(initial=-1)) + 1)
        consented = np.flatnonzero(self.state.consents[pings["row"]] & LOCATION)
        if len(consented) < len(pings):
            self.count("ping.no_consent", len(pings) - len(consented))
            pings = pings[consented]
        moved = advance(self.state.presence, self.state.snapshot.fences, pings, starts=self.state.begun.starts)
        self.state.pings.follow(pings["row"])
        self.count("ping.accepted", moved.accepted)
        self.count("ping.duplicate", moved.duplicate)
        self.count("ping.late", moved.late)
        self.count("ping.uncertain", moved.uncertain)
        self.count("ping.invalid", moved.invalid)
        cells = _cells(pings[moved.transitions["ping"]])
        for number, group, cell in _grouped(moved.transitions, "ping", cells):
            ping, entry = pings[number], entries[bisect_right(ends, int(consented[number]))]
            at_ms = int(ping["at_ms"])
            event = Event(entry, int(ping["row"]), at_ms, ("ping", at_ms), cell, _initial(group))
            self._transitions(event, group)
            yield from self._pause()

    def _transitions(self, event: Event, transitions: Sequence[np.void], started: frozenset[int] | None = None) -> None:
        """All transitions of one customer at one event: count them, and judge those that can make an offer. *started*:
        campaigns that begin with this very event.

        The event's time is the ping's or the tick's own: an exit or a dwell it brings to light may be dated long
        before, and that makes nothing else of the event stale."""
        triggers: dict[Trigger, UUID] = {}
        for transition in transitions:
            kind = Kind(int(transition["kind"]))
            self.count(f"trigger.{kind.name.lower()}")
            if kind is not Kind.EXIT:
                trigger = self._trigger(kind, transition, started)
                fence = int(self.state.snapshot.fences.fence[trigger.fence])
                triggers[trigger] = derived("visit", self.number(event.row), fence, int(transition["since_ms"]))
        self._judge(event, triggers)

    def _trigger(self, kind: Kind, transition: np.void, started: frozenset[int] | None) -> Trigger:
        fence, dwell_s = int(transition["fence"]), int(transition["dwell_s"])
        if kind is not Kind.START:
            return Trigger(_OFFERS[kind], fence, dwell_s)
        unmet = self.state.begun.unmet(int(transition["at_ms"])) if started is None else started
        return Trigger("start", fence, dwell_s, started=unmet, since_ms=int(transition["since_ms"]))

    def _judge(self, event: Event, triggers: Mapping[Trigger, UUID]) -> None:
        if self.deciding and triggers:
            self.judged += judge(self.state, self.result, event, triggers, event_age_ms=self.event_age_ms)

    def _pause(self) -> Iterator[None]:
        self.judged += 1  # who meets no campaign takes time too
        if self.judged >= PIECE:
            self.judged = 0
            yield

    def number(self, row: int) -> int:
        return number_of(row, self.state.p)

    # ── everything else ──────────────────────────────────────────────────────────────────────────────────────

    def _tick(self, entry: Entry) -> Iterator[None]:
        """Silent phones: dwell reached, visits timed out; after a day without a word, where they were is forgotten."""
        found = tick(self.state.presence, self.state.snapshot.fences, entry.log_ms)
        for row, group, cell in self._by_row(found):
            self._transitions(Event(entry, row, entry.log_ms, ("tick", entry.position), cell, initial=False), group)
            yield from self._pause()
        if entry.log_ms % FORGET_EVERY_MS < TICK_MS:
            for row in self.state.presence.idle(entry.log_ms - IDLE_MS):
                self.state.forget(int(row))

    def _search(self, entry: Entry) -> None:
        event = entry.payload
        assert isinstance(event, SearchEvent)
        row = event.number // PARTITIONS
        self.state.reserve(row + 1)
        if not self.state.consents[row] & LOCATION:
            self.count("search.no_consent")
            return
        self.count("trigger.search")
        index = self.state.snapshot.fences
        near = match(index, np.array([event.lat]), np.array([event.lng]))
        wanted = Search(frozenset(event.products), frozenset(event.brands), frozenset(event.categories))
        met = zip(near.fence.tolist(), near.edge_m.tolist(), strict=True)
        triggers = {Trigger("search", fence, 0, wanted, edge_m): event.search for fence, edge_m in met}
        cell = int(coarse(np.array([event.lat]), np.array([event.lng]))[0])
        self._judge(Event(entry, row, event.at_ms, ("search", event.search), cell, initial=False), triggers)

    def _facts(self, entry: Entry) -> None:
        facts: list[Fact] = entry.payload  # type: ignore[assignment]  # the codec pairs kind and payload
        for fact in facts:
            if not self.deciding:
                replay_fact(self.state, fact)
            elif fact.seq > self.state.fact_seq:
                apply_fact(self.state, self.result, fact)
                self.state.fact_seq = fact.seq

    def _switch(self, entry: Entry) -> Iterator[None]:
        """A new snapshot; an older one than the present (a zombie's) is passed over."""
        assert isinstance(entry.payload, Switch)
        revision = entry.payload.revision
        if revision <= self.state.revision or revision not in self.snapshots:
            return
        old, new = self.state.snapshot, self.snapshots[revision]
        gone = switch(self.state.presence, old.fences, new.fences, entry.log_ms)
        self.count("trigger.exit", len(gone))
        self.state.snapshot, self.state.revision = new, revision
        self.state.blocks.begin_all(set_aside(old, new))
        yield from self._start(entry, began(old, new), new_ground(old, new))

    def _start(self, entry: Entry, started: frozenset[int], fences: Ints) -> Iterator[None]:
        """Campaigns and fences that begin meet who is inside by a fix young enough to make an offer. The event is the
        switch: it has its time, and its name, which another entry for the same revision would share."""
        state, fresh_from_ms = self.state, entry.log_ms - self.event_age_ms
        state.begun.note(started, fresh_from_ms, state.snapshot)
        stayed = meet(state.presence, places(state.snapshot, started)[0], fresh_from_ms)
        came = arrive(state.pings, state.snapshot.fences, fences, fresh_from_ms)
        found = np.concatenate([stayed, came])
        for row, group, cell in self._by_row(found[np.argsort(found["row"], kind="stable")]):
            event = Event(entry, row, entry.log_ms, ("switch", state.revision), cell, initial=False)
            self._transitions(event, group, started)
            yield from self._pause()

    def _by_row(self, found: Records) -> Iterator[tuple[int, list[np.void], int]]:
        """(row, its transitions, coarse cell of its last fix) for every row of *found*, which stand together."""
        return _grouped(found, "row", _cells(self.state.presence.customers[found["row"]]))

    def _reclaim(self, entry: Entry) -> None:
        assert isinstance(entry.payload, Reclaim)
        if self.deciding:
            campaign, coupons = entry.payload.campaign, entry.payload.coupons
            self.result.returned[campaign] += self.state.blocks.reclaim(campaign, coupons)

    def count(self, name: str, n: int = 1, *, campaign: int = 0) -> None:
        if n and self.deciding:
            self.result.tally[campaign, name] += n


def _initial(transitions: Sequence[np.void]) -> bool:
    """Whether the event was the customer's first fix ever, or since a reset."""
    return any(bool(transition["initial"]) for transition in transitions)


def _cells(places: Records) -> list[int]:
    """The coarse cell of each; all at once, for one alone takes as long as a hundred."""
    return coarse(places["lat"], places["lng"]).tolist() if len(places) else []


def _grouped(found: Records, name: str, cells: Sequence[int]) -> Iterator[tuple[int, list[np.void], int]]:
    """Transitions of one value of the field *name* each, which stand together, with the cell of their first one."""
    first = 0
    for value, transitions in groupby(found, key=lambda t: int(t[name])):
        group = list(transitions)
        yield value, group, cells[first]
        first += len(group)


def _records(batches: Sequence[PingBatch], ends: Sequence[int]) -> NDArray[np.void]:
    """All pings as geo's PING records; *ends* are the running totals of the batches."""
    pings, first = np.empty(ends[-1], PING), 0
    for batch, end in zip(batches, ends, strict=True):
        mine = pings[first:end]
        mine["row"] = batch.number // PARTITIONS
        mine["lat"] = batch.lat
        mine["lng"] = batch.lng
        mine["accuracy_m"] = batch.accuracy_m
        mine["at_ms"] = batch.at_ms
        first = end
    return pings


_OFFERS: dict[Kind, Literal["enter", "dwell"]] = {Kind.ENTER: "enter", Kind.DWELL: "dwell"}
_TAKES: dict[EntryKind, Callable[[_Step, Entry], Iterator[None] | None]] = {
    EntryKind.TICK: _Step._tick,
    EntryKind.SEARCH: _Step._search,
    EntryKind.FACTS: _Step._facts,
    EntryKind.SWITCH: _Step._switch,
    EntryKind.RECLAIM: _Step._reclaim,
}
