"""Campaigns that answer who leaves and who is on the way, through compile, `step` and decide."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.log.entries import Entry, EntryKind, Payload, PingBatch, Switch
from engine.log.keys import SEQ_BITS
from engine.matcher.decision import StepResult
from engine.matcher.state import State
from engine.matcher.step import step
from geo.approach import Approaches
from offers.catalogue import CampaignRow, Catalogue
from offers.codec import decode, encode
from offers.compile import compile_snapshot
from offers.leads import leads
from offers.snapshot import Snapshot
from tests.reference.geo_ground import moved
from tests.reference.offers_world import NOW_MS, campaign, store

P = 5
SHOP = (60.17, 24.94)
OPEN = {"schedule": {"only_while_open": False}, "radius_m": 50}


def live(*specs: dict[str, Any]) -> Snapshot:
    """One store; campaign n is the n-th. Through its bytes, as the matcher gets it."""
    rows = [CampaignRow(n, 1, campaign(code=f"c{n}", **OPEN | spec)) for n, spec in enumerate(specs, 1)]
    shop = store(1, lat=SHOP[0], lng=SHOP[1])
    return decode(encode(compile_snapshot(Catalogue([shop], [], rows), NOW_MS)))


def begin(snapshot: Snapshot) -> State:
    state = State(P, snapshot=snapshot, revision=1)
    state.reserve(1)
    state.consents[0] = 63
    for campaign_id in snapshot.ids.tolist():
        state.blocks.grant(campaign_id, 10)
    return state


class Log:
    """One customer's entries."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.now_ms = NOW_MS

    def append(self, kind: EntryKind, payload: Payload) -> None:
        self.now_ms += 1
        self.entries.append(Entry(self.now_ms << SEQ_BITS, self.now_ms, kind, payload))

    def fix(self, south_m: float, wait_s: float = 60.0) -> None:
        """So far south of the shop."""
        self.now_ms += round(1_000 * wait_s)
        lat, lng = moved(*SHOP, -south_m, 0.0)
        columns = (np.array([lat]), np.array([lng]), np.array([8.0], np.float32), np.array([self.now_ms]))
        self.append(EntryKind.PINGS, PingBatch(np.array([P], np.int64), *columns))


def told(result: StepResult) -> list[tuple[str, int]]:
    return [(decision.trigger, decision.campaign.id) for decision in result.decisions]


def test_who_leaves_is_answered_and_who_falls_silent_is_not() -> None:
    snapshot = live({"trigger": "exit", "cap": {"coupons": 9, "per_days": 1}})
    left, silent = Log(), Log()
    for log in (left, silent):
        log.fix(0.0)
    left.fix(300.0)
    silent.fix(300.0, wait_s=2_000.0)
    silent.append(EntryKind.TICK, None)
    assert told(step(begin(snapshot), left.entries, {})) == [("exit", 1)]
    assert told(step(begin(snapshot), silent.entries, {})) == []


def test_a_fence_that_ends_is_no_departure() -> None:
    snapshot = live({"trigger": "exit"})
    log, empty = Log(), live()
    log.fix(0.0)
    log.append(EntryKind.SWITCH, Switch(2))
    result = step(begin(snapshot), log.entries, {2: empty})
    assert (told(result), result.tally[0, "trigger.exit"]) == ([], 1)


def test_who_is_five_minutes_away_is_answered_once() -> None:
    """1.5 m/s; 300 s before the edge at 50 m are 500 m."""
    snapshot = live(
        {"trigger": "approach", "eta_minutes": 5, "cap": {"coupons": 9, "per_days": 1}}, {"trigger": "enter"}
    )
    log = Log()
    for south_m in range(1_000, -10, -90):
        log.fix(float(south_m))
    result = step(begin(snapshot), log.entries, {})
    assert told(result) == [("approach", 1), ("enter", 2)]
    assert result.decisions[0].event_at_ms == NOW_MS + 7 * 60_001 - 1, "at 460 m, the first one within 500"
    assert result.decisions[0].occasion != result.decisions[1].occasion
    assert result.tally[0, "trigger.approach"] == 1


def test_each_threshold_calls_up_its_own_campaign() -> None:
    cap = {"coupons": 9, "per_days": 1}
    snapshot = live(*({"trigger": "approach", "eta_minutes": minutes, "cap": cap} for minutes in (5, 10, 2)))
    found = leads(snapshot)
    assert (found.fence.tolist(), found.lead_s.tolist()) == ([0, 0, 0], [120, 300, 600])
    log = Log()
    for south_m in range(1_400, -10, -90):
        log.fix(float(south_m))
    assert told(step(begin(snapshot), log.entries, {})) == [("approach", 2), ("approach", 1), ("approach", 3)]


def test_a_log_with_approaches_may_be_cut_anywhere_and_checkpointed() -> None:
    snapshot = live(
        {"trigger": "approach", "eta_minutes": 5, "cap": {"coupons": 9, "per_days": 1}}, {"trigger": "exit"}
    )
    log = Log()
    for south_m in [*range(1_000, -10, -90), *range(0, 1_300, 100), *range(1_300, -10, -90)]:
        log.fix(float(south_m))
    whole = told(step(begin(snapshot), log.entries, {}))
    assert whole.count(("approach", 1)) == 2 and whole.count(("exit", 2)) == 1
    for cut in range(1, len(log.entries), 3):
        state = begin(snapshot)
        first = told(step(state, log.entries[:cut], {}))
        again = Approaches()
        again.unpack(0, state.approaches.pack(0))
        state.approaches = again
        assert first + told(step(state, log.entries[cut:], {})) == whole


def test_without_an_approach_campaign_nothing_is_followed() -> None:
    log, state = Log(), begin(live({"trigger": "enter"}))
    log.fix(500.0)
    step(state, log.entries, {})
    assert len(state.approaches.trends) == 0


def test_who_is_forgotten_is_followed_no_more() -> None:
    log, state = Log(), begin(live({"trigger": "approach", "eta_minutes": 5}))
    for south_m in (1_000.0, 910.0, 820.0, 400.0):
        log.fix(south_m)
    step(state, log.entries, {})
    assert len(state.approaches.told) == 1 and state.settling.waiting == 4
    state.forget(0)
    assert (len(state.approaches.told), state.approaches.pack(0)) == (0, b"")
    assert len(state.settling.settle(state.snapshot.fences, 1 << 45)) == 0 == len(state.settling.presence.visits(0))


def test_a_transition_has_one_id_however_often_its_log_is_read() -> None:
    snapshot = live({"trigger": "exit"}, {"trigger": "approach", "eta_minutes": 5})
    log = Log()
    for south_m in (900.0, 800.0, 400.0, 0.0, 300.0):
        log.fix(south_m)
    one, other = (step(begin(snapshot), log.entries, {}).decisions for _ in range(2))
    assert [(d.id, d.occasion) for d in one] == [(d.id, d.occasion) for d in other]
    assert len({d.id for d in one}) == len(one) == 2
