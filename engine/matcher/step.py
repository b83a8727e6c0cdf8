"""`step`: a partition's state and its next log entries in, decisions out. Pure: time is in the entries.

The state is consumed: use the one handed in no further. step(a + b) finds what step(a), then step(b) find.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate, groupby
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from engine.log.entries import Entry, EntryKind, Fact, PingBatch, Reclaim, SearchEvent, Switch
from engine.log.keys import PARTITIONS, number_of
from engine.matcher.apply import apply_fact, replay_fact
from engine.matcher.begun import began, new_ground, places, set_aside, starting
from engine.matcher.decision import StepResult, derived
from engine.matcher.judge import Events, Means, judge
from engine.matcher.state import LOCATION, State
from engine.matcher.telling import told
from geo.arrays import Ints, Longs, Records
from geo.match import match
from geo.records import BARE
from geo.starting import arrive, meet
from geo.transitions import PING, advance, switch, tick
from geo.transitions import Kind as Transition
from geo.transitions import Reason as Ended
from offers.decide import NONE, TRIGGER, Kind, Search
from offers.leads import leads
from offers.snapshot import Snapshot

EVENT_AGE_MS = 120_000
"""A ping older than this when it reached the log makes no offer (invariant: no push on a stale ping)."""

PIECE = 40_000
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
        if self.state.rules is BARE:
            pings["accuracy_m"] = np.nan
        self.state.reserve(int(pings["row"].max(initial=-1)) + 1)
        consented = np.flatnonzero(self.state.consents[pings["row"]] & LOCATION)
        if len(consented) < len(pings):
            self.count("ping.no_consent", len(pings) - len(consented))
            pings = pings[consented]
        self._hear(entries, pings, np.searchsorted(consented, ends))
        state = self.state
        moved = advance(state.presence, state.snapshot.fences, pings, state.rules, state.begun.starts)
        found = self._approached(pings, moved.transitions)
        self.state.pings.follow(pings["row"])
        self.count("ping.accepted", moved.accepted)
        self.count("ping.duplicate", moved.duplicate)
        self.count("ping.late", moved.late)
        self.count("undecided.stale", moved.late)
        for why, pairs in moved.undecided.items():
            self.count(f"undecided.{why.name.lower()}", pairs)
        self.count("ping.invalid", moved.invalid)
        yield from self._transitions(found, "ping", lambda at: self._by_ping(entries, ends, consented, pings, at))

    def _hear(self, entries: list[Entry], pings: Records, ends: NDArray[np.intp]) -> None:
        """Keep the pings of each entry, which end at *ends*, for the visits they tell of."""
        for entry, first, end in zip(entries, [0, *ends.tolist()], ends.tolist(), strict=False):
            self.state.settling.hear(pings[first:end], entry.log_ms)

    def _approached(self, pings: Records, transitions: Records) -> Records:
        """*transitions* of the pings, and what they approach; in order of `ping`."""
        snapshot = self.state.snapshot
        exits = transitions[transitions["kind"] == int(Transition.EXIT)]
        found = self.state.approaches.advance(snapshot.fences, leads(snapshot), pings, exits, self.state.rules)
        if not len(found):
            return transitions
        both = np.concatenate([transitions, found])
        return both[np.argsort(both["ping"], kind="stable")]

    def _visited(self, visits: Records) -> None:
        """Visits that are over, all late pings counted: told, and counted by why they ended."""
        if self.deciding and len(visits):
            self.result.visits.append(visits)
            for reason, n in zip(*np.unique(visits["reason"], return_counts=True), strict=True):
                self.count(f"visit.{Ended(int(reason)).name.lower()}", int(n))

    def _by_ping(
        self, entries: list[Entry], ends: list[int], consented: NDArray[np.intp], pings: Records, at: Ints
    ) -> Events:
        """The events that the pings *at* are; each has the entry its ping came with."""
        some = pings[at]
        entry = [entries[i] for i in np.searchsorted(ends, consented[at], side="right").tolist()]
        return Events(
            row=some["row"],
            at_ms=some["at_ms"],
            logged_ms=np.array([one.log_ms for one in entry], np.int64),
            position=np.array([one.position for one in entry], np.int64),
            initial=np.zeros(len(some), np.bool_),
            lat=some["lat"],
            lng=some["lng"],
            key=lambda e: ("ping", int(some["at_ms"][e])),
        )

    def _transitions(
        self, found: Records, name: str, events: Callable[[Ints], Events], begun_ms: Longs | None = None
    ) -> Iterator[None]:
        """Judge TRANSITION[m]: those that share a value of the field *name*, where they stand together, are one event.
        *events* tells what the events are by these values; *begun_ms* which campaigns they meet, if not those that
        began lately.

        An event's time is the ping's or the tick's own: an exit or a dwell it brings to light may be dated long before,
        and that makes nothing else of the event stale."""
        calling = self._happened(found, self.state.snapshot)
        if not len(calling):
            return
        first = np.flatnonzero(np.diff(calling[name], prepend=calling[name][0] - 1))
        happened = events(calling[name][first])
        means = Means(
            _triggers(calling),
            np.diff(first, append=len(calling)).astype(np.int32),
            lambda t: self._visit(calling[t]),
            begun_ms=self.state.begun.by_place if begun_ms is None else begun_ms,
        )
        happened.initial[:] = np.logical_or.reduceat(calling["initial"], first)
        yield from self._judge(happened, means)

    def _happened(self, found: Records, snapshot: Snapshot) -> Records:
        """Count transitions at fences of *snapshot* and note them for who subscribes; those that call up a campaign."""
        if not len(found) or not self.deciding:
            return found[:0]
        for kind, n in enumerate(np.bincount(found["kind"]).tolist()):
            if n:
                self.count(f"trigger.{Transition(kind).name.lower()}", n)
        self.result.transitions.append(told(found, snapshot, self.state.p))
        called = snapshot.calls(found["kind"], found["fence"])
        called &= (found["kind"] != Transition.EXIT) | (found["reason"] == Ended.LEFT)
        return found[called] if called.any() else found[:0]

    def _visit(self, transition: np.void) -> UUID:
        """The visit, or the approach, as an occasion."""
        fence = int(self.state.snapshot.fences.fence[transition["fence"]])
        what = "approach" if transition["kind"] == Transition.APPROACH else "visit"
        return derived(what, self.number(int(transition["row"])), fence, int(transition["since_ms"]))

    def _judge(self, events: Events, means: Means) -> Iterator[None]:
        if self.deciding and len(means.triggers):
            for work in judge(self.state, self.result, events, means, event_age_ms=self.event_age_ms):
                self.judged += work
                if self.judged >= PIECE:
                    self.judged = 0
                    yield

    def number(self, row: int) -> int:
        return number_of(row, self.state.p)

    # ── everything else ──────────────────────────────────────────────────────────────────────────────────────

    def _tick(self, entry: Entry) -> Iterator[None]:
        """Silent phones: dwell reached, visits timed out; after a day without a word, where they were is forgotten."""
        index = self.state.snapshot.fences
        found = tick(self.state.presence, index, entry.log_ms, self.state.rules)
        self.state.approaches.visited(index, found[found["kind"] == Transition.EXIT])
        self._visited(self.state.settling.settle(index, entry.log_ms))
        yield from self._transitions(found, "row", lambda rows: self._by_row(entry, rows, ("tick", entry.position)))
        if entry.log_ms % FORGET_EVERY_MS < TICK_MS:
            for row in self.state.presence.idle(entry.log_ms - IDLE_MS):
                self.state.forget(int(row))

    def _search(self, entry: Entry) -> Iterator[None]:
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
        triggers = np.zeros(len(near.fence), TRIGGER)
        triggers["kind"], triggers["fence"], triggers["edge_m"] = Kind.SEARCH, near.fence, near.edge_m
        where = np.array([(event.lat, event.lng)], [("lat", "f8"), ("lng", "f8")])
        happened = Events.of(entry, np.array([row], np.int32), event.at_ms, where, ("search", event.search))
        counts = np.array([len(triggers)], np.int32)
        yield from self._judge(happened, Means(triggers, counts, lambda _: event.search, (wanted,)))

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
        gone = switch(self.state.presence, old.fences, new.fences, entry.log_ms, self.state.rules)
        self._happened(gone, old)
        self.state.approaches.visited(old.fences, gone)
        self._visited(self.state.settling.switch(old.fences, new.fences, entry.log_ms))
        self.state.snapshot, self.state.revision = new, revision
        self.state.blocks.begin(set_aside(old, new))
        yield from self._start(entry, began(old, new), new_ground(old, new))

    def _start(self, entry: Entry, started: frozenset[int], fences: Ints) -> Iterator[None]:
        """Campaigns and fences that begin meet who is inside by a fix young enough to make an offer. The event is the
        switch: it has its time, and its name, which another entry for the same revision would share."""
        state, fresh_from_ms = self.state, entry.log_ms - self.event_age_ms
        state.begun.note(started, fresh_from_ms, state.snapshot)
        stayed = meet(state.presence, places(state.snapshot, started)[0], fresh_from_ms)
        came = arrive(state.pings, state.snapshot.fences, fences, fresh_from_ms, state.rules)
        found = np.concatenate([stayed, came])
        yield from self._transitions(
            found[np.argsort(found["row"], kind="stable")],
            "row",
            lambda rows: self._by_row(entry, rows, ("switch", state.revision)),
            starting(state.snapshot, started),
        )

    def _by_row(self, entry: Entry, rows: Ints, key: tuple[object, ...]) -> Events:
        """What *entry* brought to light of these customers, where their last fixes were."""
        return Events.of(entry, rows, entry.log_ms, self.state.presence.customers[rows], key)

    def _reclaim(self, entry: Entry) -> None:
        assert isinstance(entry.payload, Reclaim)
        if self.deciding:
            campaign, coupons = entry.payload.campaign, entry.payload.coupons
            self.result.returned[campaign] += self.state.blocks.reclaim(campaign, coupons)

    def count(self, name: str, n: int = 1, *, campaign: int = 0) -> None:
        if n and self.deciding:
            self.result.counted[campaign, name] += n


def _triggers(calling: Records) -> Records:
    """TRANSITION[T] as TRIGGER[T]."""
    out = np.zeros(len(calling), TRIGGER)
    for name in ("fence", "dwell_s", "since_ms"):
        out[name] = calling[name]
    out["kind"], out["last_ms"], out["search"] = _KINDS[calling["kind"]], calling["at_ms"], NONE
    return out


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


_KINDS = np.zeros(max(Transition) + 1, np.uint8)
"""What a transition is to offers."""
for _one in Transition:
    _KINDS[_one] = Kind[_one.name]
_TAKES: dict[EntryKind, Callable[[_Step, Entry], Iterator[None] | None]] = {
    EntryKind.TICK: _Step._tick,
    EntryKind.SEARCH: _Step._search,
    EntryKind.FACTS: _Step._facts,
    EntryKind.SWITCH: _Step._switch,
    EntryKind.RECLAIM: _Step._reclaim,
}
