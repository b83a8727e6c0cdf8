"""A campaign that goes to who is inside at its start: those, once, and nobody who comes later."""

from __future__ import annotations

import numpy as np

from engine.log.entries import Entry, EntryKind, PingBatch, Switch
from engine.log.keys import PARTITIONS
from engine.matcher.decision import StepResult
from engine.matcher.state import State
from engine.matcher.step import step
from offers.campaign import Campaign
from offers.catalogue import CampaignRow, Catalogue
from offers.compile import compile_snapshot
from offers.snapshot import Snapshot
from tests.reference.offers_world import NOW_MS, campaign, store

MIN_MS = 60_000
INSIDE, ENTERS = 2, 1
STORES = (store(1), store(2))
PLACES = {1: (60.18, 24.94), 2: (60.19, 24.94), 0: (60.175, 24.94)}
"""At store 1, at store 2, at none."""
OPEN = {"only_while_open": False}


def compiled(*specs: Campaign) -> Snapshot:
    rows = [CampaignRow(id, 1, spec) for id, spec in enumerate(specs, start=1)]
    return compile_snapshot(Catalogue(STORES, [], rows), NOW_MS)


ENTER = campaign(code="e", stores=["s1"], priority=1, schedule=OPEN)
START = campaign(code="s", trigger="start", priority=2, schedule=OPEN, delivery={"inside": True})
BEFORE, AFTER = compiled(ENTER), compiled(ENTER, START)


class World:
    """One partition under the first snapshot, told what happens."""

    def __init__(self) -> None:
        self.now_ms, self.position, self.result = NOW_MS, 0, StepResult()
        self.state = State(0, snapshot=BEFORE, revision=1)
        self.state.reserve(10)
        self.state.consents[:10] = 63
        for id in (INSIDE, ENTERS):
            self.state.blocks.grant(id, 10)

    def at(self, row: int, place: int, age_ms: int = 0) -> None:
        lat, lng = PLACES[place]
        batch = PingBatch.of([(row * PARTITIONS, lat, lng, 5.0, self.now_ms - age_ms)])
        self._take(EntryKind.PINGS, batch)

    def starts(self) -> None:
        self._take(EntryKind.SWITCH, Switch(2))

    def _take(self, kind: EntryKind, payload: object) -> None:
        self.position, self.now_ms = self.position + 1, self.now_ms + 30_000
        entry = Entry(self.position, self.now_ms, kind, payload)  # type: ignore[arg-type]  # as the codec pairs them
        step(self.state, [entry], {1: BEFORE, 2: AFTER}, into=self.result)

    @property
    def got(self) -> list[tuple[int, int, str, int]]:
        """(row, campaign, trigger, store) of every decision."""
        made = self.result.decisions
        return [(d.number // PARTITIONS, d.campaign.id, d.trigger, d.store) for d in made]


def test_who_is_inside_at_the_start_gets_it_and_who_comes_later_does_not() -> None:
    world = World()
    world.at(0, 1)
    world.at(1, 2)  # in a fence that only the start campaign has
    world.at(2, 0)
    assert world.got == [(0, ENTERS, "enter", 1)]
    world.starts()
    assert world.got[1:] == [(0, INSIDE, "start", 1), (1, INSIDE, "enter", 2)]
    for row in (2, 3):
        world.at(row, 1)
        world.at(row, 2)
    assert world.got[3:] == [(2, ENTERS, "enter", 1), (3, ENTERS, "enter", 1)]


def test_who_is_inside_and_silent_gets_it_at_the_next_fix_and_once() -> None:
    world = World()
    world.at(0, 1)
    world.now_ms += 5 * MIN_MS
    world.starts()
    assert world.got == [(0, ENTERS, "enter", 1)]
    for _ in range(3):
        world.at(0, 1)
    assert world.got[1:] == [(0, INSIDE, "start", 1)]


def test_a_start_campaign_without_inside_is_not_matched_at_all() -> None:
    everybody = campaign(code="s", trigger="start", schedule=OPEN)
    snapshot = compiled(ENTER, everybody)
    assert [one.id for one in snapshot.campaigns] == [ENTERS]
    assert "audience" in snapshot.skipped[0].why
    assert not np.isin(INSIDE, snapshot.ids)
