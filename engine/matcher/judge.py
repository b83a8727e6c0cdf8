"""From the triggers of events to at most one decision each, noted in caps and budget at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np

from engine.log.entries import Entry
from engine.log.keys import number_of
from engine.matcher.begun import NO_TIMES
from engine.matcher.decision import Decision, StepResult, derived
from engine.matcher.state import State
from geo.arrays import Flags, Floats, Ints, Longs, Records
from geo.cells import coarse
from offers.decide import EVENT, Batch, Kind, Search, Verdicts, decide_all
from offers.kernels.records import rank
from offers.reasons import Reason

_DRY = rank(Reason.BUDGET_EXHAUSTED)
DECISION = 200
"""To write a decision down takes as long as to judge so many campaigns."""
LOW_WATER = 128
"""A block below this fraction of the budget asks for more (a lease brings a 64th)."""


@dataclass(frozen=True, slots=True)
class Events:
    """What happened to E customers, in order: the entries it came with, the phones' times, what names it, and where.

    A *key* is unique among a customer's events and the same however often the event is delivered."""

    row: Ints
    at_ms: Longs
    logged_ms: Longs
    position: Longs
    initial: Flags
    """Whether the event was the customer's first fix ever, or since a reset."""
    lat: Floats
    lng: Floats
    key: Callable[[int], tuple[object, ...]]
    """Of the e-th."""

    def __repr__(self) -> str:  # no position in logs and tracebacks
        return f"Events({len(self.row)})"

    @classmethod
    def of(cls, entry: Entry, row: Ints, at_ms: int, places: Records, key: tuple[object, ...]) -> Events:
        """All by one entry, at its time or the phone's; *places* have the last fixes."""
        n = len(row)
        logged_ms, position = np.full(n, entry.log_ms), np.full(n, entry.position)
        initial = np.zeros(n, np.bool_)
        return cls(row, np.full(n, at_ms), logged_ms, position, initial, places["lat"], places["lng"], lambda _: key)


@dataclass(frozen=True, slots=True)
class Means:
    """What the events mean: TRIGGER[T], how many each event has of them, what each is an occasion of."""

    triggers: Records
    counts: Ints
    occasion: Callable[[int], UUID]
    """Of the t-th trigger."""
    searches: Sequence[Search] = ()
    begun_ms: Longs = field(default_factory=lambda: NO_TIMES)
    """As in `offers.decide.Batch`."""


def judge(state: State, result: StepResult, events: Events, means: Means, *, event_age_ms: int) -> Iterator[int]:
    """Decide all triggers of each event together, part by part; write the outcome into *state* and *result*. After each
    part how much work it was, in campaigns judged."""
    batch = Batch(_events(state, events, means, event_age_ms), means.triggers, means.searches, means.begun_ms)
    first = 0
    for verdicts in decide_all(state.snapshot, batch, state.books, state.stopped, result.silences):
        dry = verdicts.candidates["campaign"][verdicts.candidates["reason"] == _DRY]
        result.starved.update(state.snapshot.ids[dry].tolist())
        made = len(result.decisions)
        _issue(state, result, events, means, verdicts, first)
        first += len(verdicts.verdicts)
        yield len(verdicts.candidates) + DECISION * (len(result.decisions) - made)


def _events(state: State, events: Events, means: Means, event_age_ms: int) -> Records:
    out = np.zeros(len(events.row), EVENT)
    out["now_ms"], out["row"] = events.logged_ms, events.row
    out["consents"] = state.consents[events.row]
    out["triggers"] = means.counts
    out["trigger"] = np.cumsum(means.counts) - means.counts
    out["stale"] = events.logged_ms - events.at_ms > event_age_ms
    out["after_reset"] = events.initial & (events.logged_ms < state.reset_until_ms)
    return out


def _issue(state: State, result: StepResult, events: Events, means: Means, verdicts: Verdicts, first: int) -> None:
    """The decisions of a part of the events, which begins with the one at *first*."""
    made = verdicts.made()
    if not made:
        return
    at = np.array([e for e, _, _ in made]) + first
    cells = coarse(events.lat[at], events.lng[at]).tolist()
    before = np.cumsum(means.counts) - means.counts
    for e, cell, (_, choice, held) in zip(at.tolist(), cells, made, strict=True):
        campaign, row = choice.campaign, int(events.row[e])
        if state.blocks.left(campaign.id) < max(1, campaign.budget_coupons // LOW_WATER):
            result.low.add(campaign.id)
        number = number_of(row, state.p)
        trigger = int(before[e]) + choice.trigger
        result.decisions.append(
            Decision(
                id=derived("decision", number, *events.key(e)),
                number=number,
                consents=int(state.consents[row]),
                position=int(events.position[e]),
                trigger=Kind(int(means.triggers["kind"][trigger])).name.lower(),
                occasion=means.occasion(trigger),
                campaign=campaign,
                store=choice.store,
                cell=cell,
                event_at_ms=int(events.at_ms[e]),
                logged_ms=int(events.logged_ms[e]),
                terms=choice.terms,
                held=held,
            )
        )
        result.counted[campaign.id, "decision"] += 1
