"""Events of customers → at most one offer each, and a reason for every other. Pure: time is in the events.

`decide_all` takes many events in their order and notes what each gets before the next is asked; `decide` looks at one
and changes nothing. The questions and the order are kernels: `offers.kernels.questions`, `offers.kernels.ranking`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
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
    Past,
)
from offers.live import LiveCampaign
from offers.reasons import Reason
from offers.silences import Silences
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

BEST: Final = 8
"""So many of the other candidates stand in a decision's evidence; the rest are counted."""
MOST_CANDIDATES: Final = 50_000
MOST_EVENTS: Final = 200
"""Events are taken together up to so many, which takes some hundredths of a second."""
_ROOM: Final = 256
_TERMS: Final = ("affinity_product", "affinity_brand", "affinity_category", "affinity_retailer")
_NONE: Final = np.zeros(0, np.int32)
_NOTHING: Final = frozen([], np.int64)

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


class _Found(NamedTuple):
    """CANDIDATE."""

    distance_m: float
    product: float
    brand: float
    category: float
    retailer: float
    affinity: int
    store: int
    campaign: int
    trigger: int
    reason: int


class Batch(NamedTuple):
    """Events in their order. `searches` go by the triggers' `search`; `begun_ms` i8[C], or empty where no campaign
    began lately: visits confirmed last before it have not met the campaign."""

    events: Records
    triggers: Records
    searches: Sequence[Search] = ()
    begun_ms: Longs = _NOTHING


class Verdicts:
    """What became of a batch, or of a part of it. Events go by their place in it."""

    def __init__(self, snapshot: Snapshot, batch: Batch, desk: Desk) -> None:
        self._snapshot = snapshot
        self._batch = batch
        self._best = desk.best
        self.verdicts: Records = desk.verdicts
        """VERDICT[E]."""
        last = desk.verdicts[-1] if len(desk.verdicts) else np.zeros(1, VERDICT)[0]
        self.candidates: Records = desk.candidates[: last["first"] + last["count"]]
        """CANDIDATE[H]: each campaign once an event."""

    def made(self) -> list[tuple[int, Choice, tuple[Held, ...]]]:
        """Of each event that gets an offer: which it is, what it gets, and the candidates that came farthest beside it,
        the farthest first, at most `BEST`."""
        events = np.flatnonzero(self.verdicts["choice"] != NONE)
        verdicts = self.verdicts[events]
        chosen = self.candidates[verdicts["choice"]].tolist()  # tuples: a field of a record costs a microsecond
        first, kept = self._batch.events["trigger"][events].tolist(), verdicts["kept"].tolist()
        others = np.concatenate([self._best[e, :n] for e, n in zip(events.tolist(), kept, strict=True)] or [_NONE])
        rest = iter(self.candidates[others].tolist())
        out = []
        for e, one, n, trigger in zip(events.tolist(), chosen, kept, first, strict=True):
            found = _Found._make(one)
            campaign = self._snapshot.campaigns[found.campaign]
            choice = Choice(campaign, found.store, found.trigger - trigger, _terms(campaign, found))
            out.append((e, choice, tuple(self._held(_Found._make(next(rest))) for _ in range(n))))
        return out

    def held(self, event: int) -> tuple[Held, ...]:
        """All candidates but the chosen one, in ascending id."""
        verdict = self.verdicts[event]
        some = self.candidates[verdict["first"] : verdict["first"] + verdict["count"]].tolist()
        found = (
            self._held(_Found._make(one)) for at, one in enumerate(some, verdict["first"]) if at != verdict["choice"]
        )
        return tuple(sorted(found, key=lambda held: held.campaign))

    def _held(self, one: _Found) -> Held:
        campaign = self._snapshot.campaigns[one.campaign]
        if one.reason == PASSED:
            return Held(campaign.id, Reason.OUTRANKED, one.store, _terms(campaign, one))
        return Held(campaign.id, REASONS[one.reason], one.store)


def decide_all(
    snapshot: Snapshot,
    batch: Batch,
    books: Books,
    stopped: Set[int],
    silences: Silences | None = None,
    *,
    noting: bool = True,
) -> Iterator[Verdicts]:
    """The verdicts on EVENT[E] in their order, part by part as they are asked for; what each event gets is noted in
    *books* and spent at once, unless *noting* is false. Who is not chosen is counted in *silences*.

    A campaign that an event meets at several stores is judged at each: it is held only if no store lets it pass, with
    the reason of the store where it passed the most questions (of equals, the one with the least id).
    """
    counted = Silences() if silences is None else silences
    asked = Asked(
        events=frozen(batch.events[:0], EVENT),
        triggers=frozen(batch.triggers, TRIGGER),
        search_ptr=frozen(_search_ptr(batch.searches), np.int64),
        search_key=frozen(_search_keys(batch.searches), np.int64),
        begun_ms=frozen(batch.begun_ms, np.int64),
        stopped=frozen(sorted(stopped), np.int64),
        noting=frozen([noting], np.uint8),
    )
    counts = _counts(snapshot, batch)
    for part in _parts(counts):
        yield _taken(snapshot, batch._replace(events=batch.events[part]), asked, books, counted, counts[part])


def decide(snapshot: Snapshot, triggers: Sequence[Trigger], standing: Standing) -> Verdict:
    """The verdict on all triggers of one event together; reads only."""
    events = np.zeros(1, EVENT)
    for name in ("now_ms", "row", "consents", "stale", "after_reset"):
        events[name] = getattr(standing, name)
    events["triggers"] = len(triggers)
    searches = [trigger.search for trigger in triggers if trigger.search is not None]
    begun_ms = standing.begun_ms if standing.begun_ms is not None else _NOTHING
    batch = Batch(events, _triggers(triggers, searches), searches, begun_ms)
    books = Books(standing.caps, standing.blocks, standing.history)
    found = next(decide_all(snapshot, batch, books, standing.stopped, noting=False))
    made = found.made()
    return Verdict(made[0][1] if made else None, found.held(0))


def _triggers(triggers: Sequence[Trigger], searches: Sequence[Search]) -> Records:
    out = np.zeros(len(triggers), TRIGGER)
    for one, trigger in zip(out, triggers, strict=True):
        one["kind"], one["fence"] = Kind[trigger.kind.upper()], trigger.fence
        one["dwell_s"] = trigger.dwell_s if trigger.kind in ("dwell", "approach", "start") else 0
        one["search"] = NONE if trigger.search is None else searches.index(trigger.search)
        one["edge_m"], one["since_ms"], one["last_ms"] = trigger.edge_m, trigger.since_ms, trigger.last_ms
    return out


def _parts(counts: Longs) -> Iterable[slice]:
    """Runs of at most `MOST_EVENTS`, with at most `MOST_CANDIDATES` together, or of one event."""
    ends, first = np.cumsum(counts), 0
    while first < len(counts):
        before = ends[first - 1] if first else 0
        end = int(np.searchsorted(ends, before + MOST_CANDIDATES, side="right"))
        end = max(first + 1, min(first + MOST_EVENTS, end))
        yield slice(first, end)
        first = end


def _counts(snapshot: Snapshot, batch: Batch) -> Longs:
    """i8[E]: how many candidates each event can have at most."""
    ptr, fence = snapshot.world.ptr, batch.triggers["fence"]
    ends = np.concatenate([[0], np.cumsum(ptr[fence + 1] - ptr[fence])])
    first = batch.events["trigger"]
    counts: Longs = ends[first + batch.events["triggers"]] - ends[first]
    return counts


def _taken(snapshot: Snapshot, part: Batch, asked: Asked, books: Books, silences: Silences, counts: Longs) -> Verdicts:
    events = frozen(part.events, EVENT)
    asked = asked._replace(events=events)
    several = counts[events["triggers"] > 1]
    desk = Desk(
        verdicts=np.empty(len(events), VERDICT),
        candidates=np.empty(int(counts.sum()), CANDIDATE),
        best=np.empty((len(events), BEST), np.int32),
        past=_past(_ROOM),
        silences=silences.arrays,
        places=np.empty(1 << int(2 * several.max(initial=1)).bit_length(), np.int32),
    )
    rows = int(events["row"].max(initial=-1)) + 1
    ledger = Ledger(books.caps.arrays(rows, len(events)), books.history.arrays(), books.blocks.table)
    done = 0
    while (stopped := take(snapshot.world, ledger, asked, desk, done)) < len(events):
        silences.grow(int(counts[stopped]))
        room = len(desk.past.bought) * (2 if stopped == done else 1)
        done, desk = stopped, desk._replace(silences=silences.arrays, past=_past(room))
    return Verdicts(snapshot, part, desk)


def _past(room: int) -> Past:
    """For so many purchases, a power of two."""
    return Past(np.empty(room, BOUGHT), np.empty(8 * room, np.int32), np.empty(4 * room, np.int32))


def _search_lists(searches: Sequence[Search]) -> Iterable[list[int]]:
    """Three ascending lists each."""
    for one in searches:
        yield from (sorted(one.products), word_keys(one.brands), word_keys(one.categories))


def _search_ptr(searches: Sequence[Search]) -> list[int]:
    return list(accumulate(map(len, _search_lists(searches)), initial=0))


def _search_keys(searches: Sequence[Search]) -> list[int]:
    return [key for some in _search_lists(searches) for key in some]


def _terms(campaign: LiveCampaign, one: _Found) -> Terms:
    """What ranks the candidate: `affinity` is the sum of its own terms, to the millionth."""
    terms: Terms = {"priority": campaign.priority, "affinity": one.affinity / MICRO}
    if one.affinity:
        each = zip(_TERMS, one[1:5], strict=True)
        terms |= {name: value for name, value in each if value}
    terms["worth_minor"], terms["distance_m"] = campaign.worth_minor, one.distance_m
    return terms
