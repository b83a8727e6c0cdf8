"""Events of customers → at most one offer each, and a reason for every other. Pure: time is in the events.

`decide_all` takes many events in their order and notes what each gets before the next is asked; `decide` looks at one
and changes nothing. The questions and the order are kernels: `offers.kernels.questions`, `offers.kernels.ranking`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, NamedTuple

import numpy as np
from msgspec import Struct

from geo.arrays import Longs, Records, frozen
from offers.budget import Blocks
from offers.caps import Caps
from offers.event import Search, Standing, Trigger
from offers.history import History
from offers.kernels.deciding import take
from offers.kernels.records import (
    BOUGHT,
    CANDIDATE,
    EVENT,
    MICRO,
    NONE,
    PASSED,
    REASONS,
    TRIGGER,
    VERDICT,
    Asked,
    Desk,
    Kind,
    Ledger,
)
from offers.live import LiveCampaign
from offers.reasons import Reason
from offers.snapshot import Snapshot
from offers.words import word_keys

__all__ = [
    "EVENT",
    "NONE",
    "TRIGGER",
    "Batch",
    "Books",
    "Choice",
    "Held",
    "Kind",
    "Search",
    "Verdict",
    "Verdicts",
    "decide",
    "decide_all",
]

BEST: Final = 16
"""So many of the other candidates stand in a decision's evidence; the rest are counted."""
MOST_CANDIDATES: Final = 200_000
"""Events are taken together up to so many, which bounds the memory."""
_ROOM: Final = 256
_TERMS: Final = ("product", "brand", "category", "retailer")
_OUTRANKED: Final = REASONS.index(Reason.OUTRANKED)

Terms = dict[str, float | int]


class Choice(Struct, frozen=True):
    """The offer to make, at which store, because of which trigger (its place in the event), and the terms that ranked
    it first."""

    campaign: LiveCampaign
    store: int
    trigger: int
    terms: Terms


class Held(Struct, frozen=True):
    """A campaign (id) that was a candidate and is not chosen; *store* is where it came farthest."""

    campaign: int
    reason: Reason
    store: int
    terms: Terms = {}
    """Of an outranked campaign, the terms it was ranked by."""


class Verdict(Struct, frozen=True):
    """What became of all candidates: each campaign stands in exactly one place. *held* is in ascending id."""

    choice: Choice | None
    held: tuple[Held, ...]


@dataclass(frozen=True, slots=True)
class Books:
    """Where the customers of a partition stand, and what its campaigns have left."""

    caps: Caps
    blocks: Blocks
    history: History


class Batch(NamedTuple):
    """Events in their order. `searches` go by the triggers' `search`; `begun_ms` i8[C], or empty where no campaign
    began lately: visits confirmed last before it have not met the campaign."""

    events: Records
    triggers: Records
    searches: Sequence[Search] = ()
    begun_ms: Longs = np.zeros(0, np.int64)


class Verdicts:
    """What became of a batch, or of a part of it. Events go by their place in the batch."""

    def __init__(self, snapshot: Snapshot, batch: Batch, desk: Desk) -> None:
        self._snapshot = snapshot
        self._batch = batch
        self._best = desk.best
        self.verdicts: Records = desk.verdicts
        """VERDICT[E]."""
        last = desk.verdicts[-1] if len(desk.verdicts) else np.zeros(1, VERDICT)[0]
        self.candidates: Records = desk.candidates[: last["first"] + last["count"]]
        """CANDIDATE[H]: each campaign once an event."""

    def chosen(self) -> list[int]:
        """The events that get an offer."""
        found: list[int] = np.flatnonzero(self.verdicts["choice"] != NONE).tolist()
        return found

    def choice(self, event: int) -> Choice | None:
        """What the event gets."""
        at = int(self.verdicts["choice"][event])
        if at == NONE:
            return None
        one = self.candidates[at]
        campaign = self._snapshot.campaigns[int(one["campaign"])]
        first = int(self._batch.events["trigger"][event])
        return Choice(campaign, int(one["store"]), int(one["trigger"]) - first, _terms(campaign, one))

    def best(self, event: int) -> tuple[Held, ...]:
        """The candidates that came farthest beside the chosen one, the farthest first: at most `BEST`."""
        verdict = self.verdicts[event]
        return tuple(self._held(at) for at in self._best[event, : verdict["kept"]].tolist())

    def held(self, event: int) -> tuple[Held, ...]:
        """All candidates but the chosen one, in ascending id."""
        verdict = self.verdicts[event]
        first, end = int(verdict["first"]), int(verdict["first"] + verdict["count"])
        found = (self._held(at) for at in range(first, end) if at != verdict["choice"])
        return tuple(sorted(found, key=lambda held: held.campaign))

    def silences(self) -> list[tuple[int, Reason, int]]:
        """[(campaign id, reason, how often)] over all events."""
        reason = np.where(self.candidates["reason"] == PASSED, _OUTRANKED, self.candidates["reason"])
        reason[self.verdicts["choice"][self.verdicts["choice"] != NONE]] = len(REASONS)
        keys = self.candidates["campaign"].astype(np.int64) * (len(REASONS) + 1) + reason
        keys, counts = np.unique(keys[reason < len(REASONS)], return_counts=True)
        place, rank = np.divmod(keys, len(REASONS) + 1)
        ids = self._snapshot.ids[place]
        return [(c, REASONS[r], n) for c, r, n in zip(ids.tolist(), rank.tolist(), counts.tolist(), strict=True)]

    def _held(self, at: int) -> Held:
        one = self.candidates[at]
        campaign = self._snapshot.campaigns[int(one["campaign"])]
        if one["reason"] == PASSED:
            return Held(campaign.id, Reason.OUTRANKED, int(one["store"]), _terms(campaign, one))
        return Held(campaign.id, REASONS[one["reason"]], int(one["store"]))


def decide_all(snapshot: Snapshot, batch: Batch, books: Books, stopped: Set[int]) -> list[Verdicts]:
    """The verdicts on EVENT[E] in their order, part by part; what each event gets is noted in *books* and spent.

    A campaign that an event meets at several stores is judged at each: it is held only if no store lets it pass, with
    the reason of the store where it passed the most questions (of equals, the one with the least id).
    """
    return [_taken(snapshot, part, books, stopped, noting=True) for part in _parts(snapshot, batch)]


def decide(snapshot: Snapshot, triggers: Sequence[Trigger], standing: Standing) -> Verdict:
    """The verdict on all triggers of one event together; reads only."""
    events = np.zeros(1, EVENT)
    for name in ("now_ms", "row", "consents", "stale", "after_reset"):
        events[name] = getattr(standing, name)
    events["triggers"] = len(triggers)
    searches = [trigger.search for trigger in triggers if trigger.search is not None]
    begun_ms = standing.begun_ms if standing.begun_ms is not None else np.zeros(0, np.int64)
    batch = Batch(events, _triggers(triggers, searches), searches, begun_ms)
    books = Books(standing.caps, standing.blocks, standing.history)
    found = _taken(snapshot, batch, books, standing.stopped, noting=False)
    return Verdict(found.choice(0), found.held(0))


def _triggers(triggers: Sequence[Trigger], searches: Sequence[Search]) -> Records:
    out = np.zeros(len(triggers), TRIGGER)
    for one, trigger in zip(out, triggers, strict=True):
        one["kind"], one["fence"] = Kind[trigger.kind.upper()], trigger.fence
        one["dwell_s"] = trigger.dwell_s if trigger.kind in ("dwell", "start") else 0
        one["search"] = NONE if trigger.search is None else searches.index(trigger.search)
        one["edge_m"], one["since_ms"], one["last_ms"] = trigger.edge_m, trigger.since_ms, trigger.last_ms
    return out


def _parts(snapshot: Snapshot, batch: Batch) -> Iterable[Batch]:
    """The batch in runs of events with at most `MOST_CANDIDATES` together, or of one event."""
    ends = np.cumsum(_counts(snapshot, batch))
    first = 0
    while first < len(batch.events):
        before = ends[first - 1] if first else 0
        end = max(first + 1, int(np.searchsorted(ends, before + MOST_CANDIDATES, side="right")))
        yield batch._replace(events=batch.events[first:end])
        first = end


def _counts(snapshot: Snapshot, batch: Batch) -> Longs:
    """i8[E]: how many candidates each event can have at most."""
    ptr, fence = snapshot.world.ptr, batch.triggers["fence"]
    ends = np.concatenate([[0], np.cumsum(ptr[fence + 1] - ptr[fence])])
    first = batch.events["trigger"]
    counts: Longs = ends[first + batch.events["triggers"]] - ends[first]
    return counts


def _taken(snapshot: Snapshot, batch: Batch, books: Books, stopped: Set[int], *, noting: bool) -> Verdicts:
    events = frozen(batch.events, EVENT)
    asked = Asked(
        events,
        frozen(batch.triggers, TRIGGER),
        *_searches(batch.searches),
        frozen(batch.begun_ms, np.int64),
        frozen(sorted(stopped), np.int64),
        frozen([noting], np.uint8),
    )
    counts = _counts(snapshot, batch)
    several = counts[events["triggers"] > 1]
    desk = Desk(
        np.empty(len(events), VERDICT),
        np.empty(int(counts.sum()), CANDIDATE),
        np.empty((len(events), BEST), np.int32),
        np.empty(_ROOM, BOUGHT),
        np.empty(1 << int(2 * several.max(initial=1)).bit_length(), np.int32),
    )
    rows = int(events["row"].max(initial=-1)) + 1
    ledger = Ledger(books.caps.arrays(rows, len(events)), books.history.arrays(), books.blocks.arrays())
    done = 0
    while (done := take(snapshot.world, ledger, asked, desk, done)) < len(events):
        desk = desk._replace(bought=np.empty(2 * len(desk.bought), BOUGHT))
    return Verdicts(snapshot, batch, desk)


def _searches(searches: Sequence[Search]) -> tuple[Longs, Longs]:
    """(ptr, keys): three ascending lists each."""
    lists = [
        some for one in searches for some in (sorted(one.products), word_keys(one.brands), word_keys(one.categories))
    ]
    ptr = list(accumulate(map(len, lists), initial=0))
    return frozen(ptr, np.int64), frozen([key for some in lists for key in some], np.int64)


def _terms(campaign: LiveCampaign, one: Records) -> Terms:
    """What ranks the candidate: `affinity` is the sum of its own terms, to the millionth."""
    return {
        "priority": campaign.priority,
        "affinity": int(one["affinity"]) / MICRO,
        **{f"affinity_{name}": float(one[name]) for name in _TERMS if one[name]},
        "worth_minor": campaign.worth_minor,
        "distance_m": float(one["distance_m"]),
    }
