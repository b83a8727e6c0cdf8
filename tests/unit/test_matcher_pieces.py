"""Thousands of people where a hundred campaigns begin at once: judged in pieces, and as without them."""

from __future__ import annotations

import numpy as np

from engine.log.entries import Entry, EntryKind, PingBatch, Switch
from engine.matcher.decision import StepResult
from engine.matcher.state import LOCATION, State
from engine.matcher.step import pieces, step
from offers.catalogue import CampaignRow, Catalogue
from offers.compile import compile_snapshot
from offers.decide import MOST_CANDIDATES, MOST_EVENTS
from offers.snapshot import Snapshot
from tests.reference.matcher_world import OPEN, P, number
from tests.reference.offers_world import NOW_MS, campaign, store

PEOPLE, CAMPAIGNS = 2_000, 100


def world() -> tuple[State, list[Entry], dict[int, Snapshot]]:
    """People at the store; then a switch to where the campaigns are."""
    rows = [
        CampaignRow(n, 1, campaign(code=f"c{n}", stores=["s1"], priority=n % 7, schedule=OPEN))
        for n in range(1, CAMPAIGNS + 1)
    ]
    before = compile_snapshot(Catalogue([store(1)], [], rows[:1]), NOW_MS)
    after = compile_snapshot(Catalogue([store(1)], [], rows), NOW_MS)
    state = State(P, snapshot=before, revision=1)
    state.reserve(PEOPLE)
    state.consents[:PEOPLE] = 63 | LOCATION
    for row in rows:
        state.blocks.grant(row.id, PEOPLE)
    at = np.full(PEOPLE, NOW_MS, np.int64)
    where = np.full(PEOPLE, store(1).lat), np.full(PEOPLE, store(1).lng), np.full(PEOPLE, 8.0, np.float32)
    batch = PingBatch(np.array([number(row) for row in range(PEOPLE)], np.int64), *where, at)
    entries = [Entry(1, NOW_MS, EntryKind.PINGS, batch), Entry(2, NOW_MS + 1_000, EntryKind.SWITCH, Switch(2))]
    return state, entries, {2: after}


def judged(result: StepResult) -> int:
    reasons = sum(n for (_, name), n in result.tally.items() if name.startswith("reason."))
    return reasons + len(result.decisions)


def test_no_piece_is_long_and_nothing_else_differs() -> None:
    state, entries, snapshots = world()
    found, last, most, count = StepResult(), 0, 0, 0
    for _ in pieces(state, entries, snapshots, found):
        most, last, count = max(most, judged(found) - last), judged(found), count + 1
    assert judged(found) >= PEOPLE * CAMPAIGNS
    assert most <= min(MOST_CANDIDATES, MOST_EVENTS * CAMPAIGNS) and last == judged(found)
    assert count >= PEOPLE * CAMPAIGNS // MOST_CANDIDATES
    twin, entries, snapshots = world()
    whole = step(twin, entries, snapshots)
    assert whole.decisions == found.decisions and whole.tally == found.tally
    assert (twin.position, twin.revision) == (state.position, state.revision) == (2, 2)
