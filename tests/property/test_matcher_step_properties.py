"""`step` on random logs: it agrees with the slow twin, cuts anywhere, repeats itself, and recovers to where it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.log.entries import Entry, encode
from engine.matcher.decision import StepResult
from engine.matcher.state import State
from engine.matcher.step import step
from geo.checkpoint import pack, unpack
from geo.fence import Circle
from geo.pings import PingIndex
from tests.reference.matcher_world import (
    CONSENTS,
    PLACES,
    SNAPSHOTS,
    SPECS,
    Log,
    number,
    portrait,
    state,
    told,
)
from tests.reference.offers_world import NOW_MS

LOCATION = 1
ROWS = st.integers(0, len(CONSENTS) - 1)
WAITS_MS = st.sampled_from([0, 0, 1, 1_000, 20_000, 60_000, 130_000, 400_000, 1_900_000])
CAMPAIGNS = st.sampled_from(sorted(SPECS))
BITS = st.sampled_from([63, 63, 15, 13, 12, 3, 0])
ACTIONS = st.one_of(
    *[st.tuples(st.just("pings"), st.lists(ROWS, min_size=1, max_size=4), st.sampled_from(sorted(PLACES)))] * 4,
    st.tuples(st.just("stale"), ROWS, st.sampled_from(sorted(PLACES))),
    *[st.tuples(st.just("tick"))] * 2,
    st.tuples(st.just("search"), ROWS, st.sampled_from(sorted(PLACES)), st.sampled_from([1, 2])),
    st.tuples(st.just("consent"), ROWS, BITS),
    st.tuples(st.just("purchase"), ROWS, st.sampled_from([1, 2])),
    st.tuples(st.just("outcome"), st.integers(0, 5)),
    st.tuples(st.just("grant"), CAMPAIGNS),
    st.tuples(st.just("stop"), CAMPAIGNS),
    st.tuples(st.just("forget"), ROWS),
    *[st.tuples(st.just("switch"), st.sampled_from([2, 3]))] * 2,
    st.tuples(st.just("reclaim"), CAMPAIGNS, st.integers(1, 2)),
)
ANYTHING = st.lists(st.tuples(WAITS_MS, ACTIONS), min_size=1, max_size=40)
STAYS = st.one_of(
    *[st.tuples(st.just("pings"), st.lists(ROWS, min_size=1, max_size=4), st.just("one"))] * 4,
    st.tuples(st.just("pings"), st.lists(ROWS, min_size=1, max_size=4), st.just("two")),
    *[st.tuples(st.just("switch"), st.sampled_from([2, 3]))] * 2,
    st.tuples(st.just("tick")),
    st.tuples(st.just("stale"), ROWS, st.just("one")),
    st.tuples(st.just("outcome"), st.integers(0, 5)),
)
CALM_MS = st.sampled_from([1_000, 20_000, 60_000, 119_990, 120_010, 300_000, 500_000])
BEGINNINGS = st.builds(
    lambda before, change, after: [*before, change, *after],
    st.lists(st.tuples(CALM_MS, STAYS), min_size=1, max_size=6),
    st.tuples(CALM_MS, st.tuples(st.just("switch"), st.sampled_from([2, 3]))),
    st.lists(st.tuples(CALM_MS, STAYS), min_size=1, max_size=12),
)
"""Snapshots change while people are in the shops, some of them silent."""
HAPPENINGS = st.one_of(ANYTHING, BEGINNINGS)
STALE_MS = 200_000


def written(happenings: Sequence[tuple[int, Any]], *, door: bool = True, reset_until_ms: int = 0) -> Log:
    """The log of what happens. With *door*, nobody reports a position without consent, as the API has it."""
    log = Log(reset_until_ms)
    for wait_ms, (what, *more) in happenings:
        log.wait(wait_ms)
        _write(log, what, more, door)
    return log


def _write(log: Log, what: str, more: list[Any], door: bool) -> None:
    allowed = [row for row in range(len(CONSENTS)) if log.twin.consents[number(row)] & LOCATION or not door]
    if what in ("pings", "stale"):
        rows, place = more
        present = [row for row in ([rows] if what == "stale" else rows) if row in allowed]
        if present:
            log.pings(present, place, STALE_MS if what == "stale" else 0)
    elif what == "consent":
        log.fact("consent", number=number(more[0]), consents=more[1])
    elif what == "purchase":
        log.fact("purchase", number=number(more[0]), at_ms=log.now_ms // 1000 * 1000, lines=[[more[1], 1]])
    elif what == "grant":
        log.fact("grant", campaign=more[0], coupons=1)
    elif what == "stop":
        log.fact("stop", campaign=more[0])
    elif what == "forget":
        log.fact("forget", number=number(more[0]))
    else:
        getattr(log, what)(*more)


def run(one: State, entries: Sequence[Entry], into: StepResult | None = None) -> StepResult:
    return step(one, entries, SNAPSHOTS, into=into) if entries else into or StepResult()


@settings(max_examples=100, deadline=None)
@given(HAPPENINGS, st.booleans())
def test_step_agrees_with_its_slow_twin(happenings: list[Any], after_reset: bool) -> None:
    log = written(happenings, door=False, reset_until_ms=NOW_MS + 600_000 if after_reset else 0)
    fast, slow = state(log.twin.reset_until_ms), log.twin
    result = run(fast, log.entries)
    made = [
        (d.number, d.trigger, d.campaign.id, d.store, d.event_at_ms, d.logged_ms, tuple(sorted(_reasons(d))))
        for d in result.decisions
    ]
    assert made == [(m.number, m.trigger, m.campaign, m.store, m.event_at_ms, m.logged_ms, m.held) for m in slow.made]
    assert _but_visits(told(result))["tally"] == {key: n for key, n in slow.tally.items() if n}
    assert told(result)["returned"] == {c: n for c, n in slow.returned.items() if n}
    assert portrait(fast)["blocks"] == {c: (slow.granted[c], slow.spent[c]) for c in SPECS}


def _but_visits(found: dict[str, Any]) -> dict[str, Any]:
    """Without the visits that are over: they have a twin of their own, and a new owner's begin at the checkpoint."""
    return found | {"tally": {key: n for key, n in found["tally"].items() if not key[1].startswith("visit.")}}


def _reasons(decision: Any) -> list[tuple[int, str]]:
    return [(held.campaign, held.reason.value) for held in decision.held]


@settings(max_examples=100, deadline=None)
@given(HAPPENINGS, st.lists(st.integers(0, 40), max_size=4))
def test_a_log_may_be_cut_anywhere(happenings: list[Any], cuts: list[int]) -> None:
    entries = written(happenings, door=False).entries
    whole, parts = state(), state()
    at_once, piecewise = run(whole, entries), StepResult()
    ends = sorted({*(cut for cut in cuts if cut < len(entries)), len(entries)})
    for first, end in zip([0, *ends], ends, strict=False):
        run(parts, entries[first:end], into=piecewise)
    assert told(piecewise) == told(at_once)
    assert portrait(parts) == portrait(whole)


@settings(max_examples=100, deadline=None)
@given(HAPPENINGS)
def test_the_index_of_last_positions_follows_presence(happenings: list[Any]) -> None:
    one = state()
    run(one, written(happenings).entries)
    known = [row for row in range(one.presence.rows) if one.presence.position(row) is not None]
    assert len(one.pings) == len(known)
    assert (
        one.pings.nearest(*PLACES["one"], 99).row.tolist()
        == PingIndex(one.presence).nearest(*PLACES["one"], 99).row.tolist()
    )
    for lat, lng in PLACES.values():
        there = [row for row in known if (one.presence.position(row) or ())[:2] == (lat, lng)]
        assert one.pings.inside(Circle(0, lat, lng, 1.0)).tolist() == there


@settings(max_examples=50, deadline=None)
@given(HAPPENINGS)
def test_step_is_a_function(happenings: list[Any]) -> None:
    log = written(happenings)
    before = [encode(entry.payload) for entry in log.entries]
    first, second = state(), state()
    assert told(run(first, log.entries)) == told(run(second, log.entries))
    assert portrait(first) == portrait(second)
    assert [encode(entry.payload) for entry in log.entries] == before


@settings(max_examples=100, deadline=None)
@given(HAPPENINGS, st.data())
def test_recovery_equals_never_having_crashed(happenings: list[Any], data: st.DataObject) -> None:
    """Presence from a checkpoint, the rest from the tables as committed; replay without deciding up to there."""
    entries = written(happenings).entries
    committed = data.draw(st.integers(0, len(entries)), "committed")
    checkpointed = data.draw(st.integers(0, committed), "checkpointed")
    lucky = state()
    run(lucky, entries[:checkpointed])
    chunk, revision, position = pack(lucky.presence, lucky.snapshot.fences, 0), lucky.revision, lucky.position
    begun = lucky.begun.pack()
    run(lucky, entries[checkpointed:committed])
    recovered = _from_tables(lucky)
    recovered.snapshot, recovered.revision, recovered.position = SNAPSHOTS[revision], revision, position
    unpack(recovered.presence, recovered.snapshot.fences, 0, chunk)
    recovered.pings.rebuild()
    recovered.begun.unpack(begun, recovered.snapshot)
    if checkpointed < committed:
        replayed = step(recovered, entries[checkpointed:committed], SNAPSHOTS, deciding=False)
        assert told(replayed) == told(StepResult()), "what was decided is not decided again"
    for row in range(len(CONSENTS)):
        if not recovered.consents[row] & LOCATION:
            recovered.forget(row)
    assert portrait(recovered) == portrait(lucky)
    rest = entries[committed:]
    assert _but_visits(told(run(recovered, rest))) == _but_visits(told(run(lucky, rest)))
    assert portrait(recovered) == portrait(lucky)


def _from_tables(committed: State) -> State:
    """What `Recovery` reads of a state that is committed."""
    fresh = State(committed.p, fact_seq=committed.fact_seq, loaded_seq=committed.fact_seq)
    fresh.reserve(len(CONSENTS))
    fresh.consents[:] = committed.consents
    for row in range(len(CONSENTS)):
        for campaign, at_ms in committed.caps.notes(row):
            fresh.caps.note(row, campaign, at_ms)
        for line in reversed(committed.history.purchases(row)):
            fresh.history.note(row, line.product, line.at_ms, line.quantity)
    for campaign in committed.blocks.campaigns():
        fresh.blocks.restore(campaign, committed.blocks.granted(campaign), committed.blocks.spent(campaign))
    fresh.stopped = set(committed.stopped)
    return fresh


@settings(max_examples=50, deadline=None)
@given(HAPPENINGS)
def test_reports_that_come_again_decide_nothing(happenings: list[Any]) -> None:
    """Every ping entry delivered twice: the same decisions under the same ids, and each repetition is counted."""
    log = written(happenings)
    once, twice = state(), state()
    plain = run(once, log.entries)
    doubled = run(twice, [entry for entry in log.entries for _ in range(2 if entry.kind == "pings" else 1)])
    assert [d.id for d in doubled.decisions] == [d.id for d in plain.decisions]
    assert portrait(twice) == portrait(once)
