"""A small world for the tests of the matcher: two stores, eight campaigns in three revisions, four customers, a log.

The log is written by telling what happens; each entry is shown to the slow twin at once, so that an outcome can name a
decision that was really made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np

from engine.log.entries import Entry, EntryKind, Fact, Payload, PingBatch, Reclaim, SearchEvent, Switch
from engine.log.keys import PARTITIONS, SEQ_BITS
from engine.matcher.decision import StepResult
from engine.matcher.state import State
from engine.matcher.step import step
from geo.fence import Circle
from offers.campaign import Campaign
from offers.catalogue import CampaignRow, Catalogue
from offers.compile import compile_snapshot
from offers.snapshot import Snapshot
from tests.reference.matcher_twin import Live, Place, SlowMatcher
from tests.reference.offers_world import NOW_MS, campaign, product, store

P = 5
STORES = (store(1), store(2))
PLACES = {"one": (60.18, 24.94), "two": (60.19, 24.94), "street": (60.17, 24.94)}
"""At store 1, at store 2, at none."""
OPEN = {"only_while_open": False}
SPECS: dict[int, Campaign] = {
    1: campaign(code="c1", stores=["s1"], priority=5, schedule=OPEN),
    2: campaign(
        code="c2",
        trigger="dwell",
        dwell_s=120,
        stores=["s1"],
        priority=4,
        schedule=OPEN,
        cap={"coupons": 2, "per_days": 7},
    ),
    3: campaign(code="c3", trigger="search", stores=["s2"], priority=3, schedule=OPEN, search={"products": ["p1"]}),
    4: campaign(
        code="c4",
        priority=9,
        schedule=OPEN,
        cap={"coupons": 2, "per_days": 1},
        audience={"bought": {"products": ["p1"], "within_days": 30}},
    ),
    5: campaign(code="c5", stores=["s2"], radius_m=50, priority=7, schedule=OPEN),
    6: campaign(code="c2", trigger="dwell", dwell_s=300, stores=["s1"], priority=2, schedule=OPEN),
    7: campaign(code="c7", stores=["s1"], priority=6, schedule=OPEN),
    8: campaign(code="c8", trigger="search", stores=["s2"], priority=1, schedule=OPEN, search={"products": ["p2"]}),
}
REVISIONS = {1: (1, 2, 3, 4), 2: (3, 5, 6), 3: (1, 2, 3, 4, 6, 7, 8)}
"""In the third, campaigns 1, 2 and 4 begin again."""
CONSENTS = (63, 63, 15, 12)
"""Of rows 0 to 3; the last one does not allow location yet."""
GRANTED = {1: 2, 2: 2, 3: 3, 4: 3, 5: 1, 6: 2, 7: 3, 8: 1}


def _compiled(revision: int) -> Snapshot:
    rows = [CampaignRow(id, 1, SPECS[id]) for id in REVISIONS[revision]]
    return compile_snapshot(Catalogue(STORES, [product(1), product(2)], rows), NOW_MS)


SNAPSHOTS = {revision: _compiled(revision) for revision in REVISIONS}


def number(row: int) -> int:
    """The customer in *row* of partition P."""
    return row * PARTITIONS + P


def state(reset_until_ms: int = 0) -> State:
    """The partition before the first entry, under revision 1."""
    fresh = State(P, snapshot=SNAPSHOTS[1], revision=1, reset_until_ms=reset_until_ms)
    fresh.reserve(len(CONSENTS))
    fresh.consents[: len(CONSENTS)] = CONSENTS
    for id, coupons in GRANTED.items():
        fresh.blocks.grant(id, coupons)
    return fresh


def twin(reset_until_ms: int = 0) -> SlowMatcher:
    """The same as the twin sees it."""
    revisions = {r: Live({id: SPECS[id] for id in ids}, _places(SNAPSHOTS[r])) for r, ids in REVISIONS.items()}
    consents = {number(row): bits for row, bits in enumerate(CONSENTS)}
    slow = SlowMatcher(revisions, {"p1": 1, "p2": 2}, 1, consents, Counter(GRANTED))
    slow.reset_until_ms = reset_until_ms
    return slow


def _places(snapshot: Snapshot) -> list[Place]:
    index, codes = snapshot.fences, {one.id: one.code for one in STORES}
    return [
        Place(_circle(index, f), int(snapshot.fence_store[f]), codes[int(snapshot.fence_store[f])])
        for f in range(len(index))
    ]


def _circle(index: Any, f: int) -> Circle:
    dwells = tuple(int(s) for s in index.dwell_s[index.dwell_ptr[f] : index.dwell_ptr[f + 1]])
    return Circle(int(index.fence[f]), float(index.lat[f]), float(index.lng[f]), float(index.radius_m[f]), dwells)


class Log:
    """Entries of the partition, in order, each already told to the twin."""

    def __init__(self, reset_until_ms: int = 0) -> None:
        self.now_ms = NOW_MS
        self.entries: list[Entry] = []
        self.twin = twin(reset_until_ms)
        self.refunded: set[int] = set()
        self._seq = 0

    def wait(self, ms: int) -> None:
        """Time goes on."""
        self.now_ms += ms

    def append(self, kind: EntryKind, payload: Payload) -> Entry:
        """One more entry, a millisecond later."""
        self.now_ms += 1
        entry = Entry(self.now_ms << SEQ_BITS, self.now_ms, kind, payload)
        self.entries.append(entry)
        self.twin.take(entry)
        return entry

    def pings(self, rows: Sequence[int], place: str, age_ms: int = 0) -> Entry:
        """One entry of one ping a row, all of the same age."""
        count, (lat, lng) = len(rows), PLACES[place]
        batch = PingBatch(
            np.array([number(row) for row in rows], np.int64),
            np.full(count, lat),
            np.full(count, lng),
            np.full(count, 8.0, np.float32),
            np.full(count, self.now_ms - age_ms, np.int64),
        )
        return self.append(EntryKind.PINGS, batch)

    def tick(self) -> Entry:
        return self.append(EntryKind.TICK, None)

    def search(self, row: int, place: str, product_id: int) -> Entry:
        """Its id is the moment's, so two logs written alike are equal."""
        event = SearchEvent(UUID(int=self.now_ms), number(row), *PLACES[place], self.now_ms, [product_id])
        return self.append(EntryKind.SEARCH, event)

    def fact(self, kind: str, **payload: Any) -> Entry:
        self._seq += 1
        return self.append(EntryKind.FACTS, [Fact(self._seq, kind, payload)])

    def switch(self, revision: int) -> Entry:
        return self.append(EntryKind.SWITCH, Switch(revision))

    def reclaim(self, campaign_id: int, coupons: int) -> Entry:
        return self.append(EntryKind.RECLAIM, Reclaim(campaign_id, coupons))

    def outcome(self, nth: int) -> None:
        """Nothing of the nth decision went out; passed over when it was given back already, or never made."""
        if nth < len(self.twin.made) and nth not in self.refunded:
            self.refunded.add(nth)
            made, event = self.twin.made[nth], "00" * 16
            self.fact("outcome", number=made.number, campaign=made.campaign, decision=event, logged_ms=made.logged_ms)


def portrait(one: State) -> dict[str, Any]:
    """Everything a state knows, as values that compare."""
    rows, fences = range(len(CONSENTS)), one.snapshot.fences.fence
    return {
        "position": one.position,
        "fact_seq": one.fact_seq,
        "revision": one.revision,
        "consents": [int(one.consents[row]) for row in rows],
        "fixes": [one.presence.position(row) for row in rows],
        "visits": [
            [(int(fences[v.fence]), v.since_ms, v.last_ms, v.dwelt_s) for v in one.presence.visits(row)] for row in rows
        ],
        "inside": {name: one.pings.inside(Circle(0, *place, 500.0)).tolist() for name, place in PLACES.items()},
        "begun": one.begun.before_ms,
        "caps": [one.caps.notes(row) for row in rows],
        "history": [sorted(one.history.purchases(row)) for row in rows],
        "blocks": {c: (one.blocks.granted(c), one.blocks.spent(c)) for c in SPECS},
        "stopped": sorted(one.stopped),
    }


def told(result: StepResult) -> dict[str, Any]:
    """Everything a step found, as values that compare."""
    return {
        "decisions": result.decisions,
        "tally": {key: n for key, n in result.tally.items() if n},
        "refunds": result.refunds,
        "returned": {c: n for c, n in result.returned.items() if n},
        "starved": result.starved,
        "low": result.low,
        "transitions": [one for rows in result.transitions for one in rows.tolist()],
    }


def run(log: Log, one: State | None = None) -> StepResult:
    """What `step` finds in the whole log, beginning with *one* or a fresh state."""
    return step(one or state(), log.entries, SNAPSHOTS)


def arrival(row: int = 0) -> Log:
    """The customer walks from the street into store 1."""
    log = Log()
    log.pings([row], "street")
    log.wait(60_000)
    log.pings([row], "one")
    return log


def campaigns(result: StepResult) -> list[int]:
    """What was offered, in order."""
    return [decision.campaign.id for decision in result.decisions]


def reasons(result: StepResult, campaign_id: int) -> list[str]:
    """Why a campaign was held back, each reason once."""
    return [name for (id, name), n in result.tally.items() if id == campaign_id and n and name.startswith("reason.")]
