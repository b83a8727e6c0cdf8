"""`step` and what PostgreSQL owns: consents, purchases, budgets, stops, snapshots, and what a recovery replays."""

from __future__ import annotations

from engine.log.entries import EntryKind, Fact
from engine.matcher.decision import StepResult
from engine.matcher.step import step
from tests.reference.matcher_world import (
    GRANTED,
    SNAPSHOTS,
    Log,
    arrival,
    campaigns,
    number,
    portrait,
    reasons,
    run,
    state,
)
from tests.reference.offers_world import DAY_MS, NOW_MS

MIN_MS = 60_000
CAP = 1
"""Campaign 1: enter at store 1, one coupon a week."""


# ── consent ──


def test_a_withdrawal_counts_from_the_next_entry_on() -> None:
    log, one = arrival(), state()
    log.fact("consent", number=number(0), consents=0)
    log.wait(MIN_MS)
    log.pings([0], "two")
    result = run(log, one)
    assert result.tally[0, "ping.no_consent"] == 1
    assert one.presence.position(0) is None, "where they were is forgotten"
    assert campaigns(result) == [1]


def test_without_marketing_consent_arrivals_are_seen_and_not_answered() -> None:
    log = Log()
    log.fact("consent", number=number(0), consents=3)
    log.pings([0], "one")
    result = run(log)
    assert campaigns(result) == [] and reasons(result, CAP) == ["reason.no_marketing_consent"]


def test_a_search_without_location_consent_is_dropped() -> None:
    log = Log()
    log.search(3, "two", 1)
    result = run(log)
    assert campaigns(result) == [] and dict(result.tally) == {(0, "search.no_consent"): 1}


def test_purchases_open_an_audience_until_history_is_withdrawn() -> None:
    log = Log()
    log.fact("purchase", number=number(0), at_ms=NOW_MS - DAY_MS, lines=[[1, 2]])
    log.pings([0], "one")
    assert campaigns(run(log)) == [4]
    log = Log()
    log.fact("purchase", number=number(0), at_ms=NOW_MS - DAY_MS, lines=[[1, 2]])
    log.fact("consent", number=number(0), consents=61)
    log.fact("consent", number=number(0), consents=63)
    log.pings([0], "one")
    assert campaigns(run(log)) == [1], "what was withdrawn does not come back with the consent"


def test_a_forgotten_customer_leaves_nothing() -> None:
    log, one = arrival(), state()
    log.fact("forget", number=number(0))
    run(log, one)
    left = portrait(one)
    assert (left["consents"][0], left["fixes"][0], left["visits"][0], left["caps"][0]) == (0, None, [], [])


def test_after_a_day_without_a_word_it_is_forgotten_where_they_were() -> None:
    log, one = Log(), state()
    log.pings([0], "street")
    log.wait(DAY_MS - MIN_MS)
    log.tick()
    run(log, one)
    assert one.presence.position(0) is not None
    for _ in range(180):
        log.wait(999)
        log.tick()
    step(one, log.entries[2:], SNAPSHOTS)
    assert one.presence.position(0) is None


# ── money ──


def test_a_spent_block_holds_back_and_asks_for_more() -> None:
    log, one = Log(), state()
    log.reclaim(CAP, GRANTED[CAP] - 1)
    log.pings([0, 1], "street")
    log.wait(60_000)
    log.pings([0, 1], "one")
    result = run(log, one)
    assert (campaigns(result), reasons(result, CAP)) == ([1], ["reason.budget_exhausted"])
    assert (result.starved, result.returned[CAP]) == ({CAP}, GRANTED[CAP] - 1)
    assert CAP in result.low
    assert (one.blocks.granted(CAP), one.blocks.spent(CAP)) == (1, 1)


def test_a_grant_fills_the_block_again() -> None:
    log = Log()
    log.reclaim(CAP, 10)
    log.pings([0], "street")
    log.fact("grant", campaign=CAP, coupons=1)
    log.wait(60_000)
    log.pings([0], "one")
    assert campaigns(run(log)) == [1]


def test_no_more_is_reclaimed_than_is_left() -> None:
    log, one = arrival(), state()
    log.reclaim(CAP, 100)
    assert run(log, one).returned[CAP] == GRANTED[CAP] - 1
    assert one.blocks.left(CAP) == 0


def test_an_outcome_gives_back_exactly_its_own_cap_note_and_its_coupon() -> None:
    log, one = arrival(), state()
    log.outcome(0)
    result = run(log, one)
    assert portrait(one)["caps"][0] == [] and one.blocks.spent(CAP) == 0
    assert [campaign for _, campaign in result.refunds] == [CAP]
    log.wait(MIN_MS)
    log.pings([0], "street")
    log.wait(MIN_MS)
    log.pings([0], "one")
    assert campaigns(step(one, log.entries[3:], SNAPSHOTS)) == [CAP], "it may be offered again"


def test_a_stopped_campaign_makes_no_offer_from_the_next_entry_on() -> None:
    log = Log()
    log.pings([0, 1], "street")
    log.wait(60_000)
    log.pings([0], "one")
    log.fact("stop", campaign=CAP)
    log.pings([1], "one")
    result = run(log)
    assert campaigns(result) == [CAP] and reasons(result, CAP) == ["reason.stopped"]


# ── facts that come again, facts that the tables knew ──


def test_a_fact_that_comes_again_counts_once() -> None:
    log, one = Log(), state()
    log.fact("grant", campaign=CAP, coupons=5)
    again = log.entries[0].payload
    log.append(EntryKind.FACTS, again)
    run(log, one)
    assert (one.blocks.granted(CAP), one.fact_seq) == (GRANTED[CAP] + 5, 1)


def test_facts_that_came_with_the_tables_are_passed_over_but_outcomes_are_not() -> None:
    """Recovery read the tables after these facts were written, and before the owner appended them."""
    log, one = arrival(), state()
    made = run(log, one).decisions[0]
    one.loaded_seq = 2
    gone = {"number": number(0), "campaign": CAP, "decision": made.id.hex, "logged_ms": made.logged_ms}
    facts = [Fact(1, "grant", {"campaign": CAP, "coupons": 5}), Fact(2, "outcome", gone)]
    entry = log.append(EntryKind.FACTS, [*facts, Fact(3, "grant", {"campaign": CAP, "coupons": 7})])
    result = step(one, [entry], SNAPSHOTS)
    assert one.blocks.granted(CAP) == GRANTED[CAP] + 7
    assert result.refunds == [(made.id, CAP)]
    assert one.fact_seq == 3


# ── switches ──


def test_a_switch_brings_campaigns_and_carries_visits() -> None:
    log, one = Log(), state()
    log.pings([0], "two")
    log.switch(2)
    log.wait(MIN_MS)
    log.pings([0, 1], "two")
    result = run(log, one)
    assert [(decision.number, decision.campaign.id) for decision in result.decisions] == [(number(0), 5)]
    assert reasons(result, 5) == ["reason.budget_exhausted"], "the block of one coupon went to the first"
    assert one.revision == 2


def test_an_older_or_unknown_snapshot_is_passed_over() -> None:
    log, one = Log(), state()
    log.switch(2)
    log.switch(1)
    log.switch(9)
    run(log, one)
    assert (one.revision, one.snapshot) == (2, SNAPSHOTS[2])
    assert one.position == log.entries[-1].position


# ── recovery ──


def test_replay_moves_presence_and_nothing_else() -> None:
    log, one = arrival(), state()
    log.fact("grant", campaign=CAP, coupons=5)
    log.reclaim(CAP, 1)
    result = step(one, log.entries, SNAPSHOTS, deciding=False)
    assert result == StepResult()
    assert one.presence.visits(0) and one.position == log.entries[-1].position
    assert (one.blocks.granted(CAP), one.blocks.spent(CAP), one.fact_seq) == (GRANTED[CAP], 0, 0)
    assert one.caps.notes(0) == []


def test_replay_of_a_withdrawal_ends_the_visit_although_consent_was_given_anew() -> None:
    """The tables know the newest consent only; the visit that began after it is another occasion."""
    log = arrival()
    log.fact("consent", number=number(0), consents=0)
    log.fact("consent", number=number(0), consents=63)
    log.wait(MIN_MS)
    log.pings([0], "one")
    lucky, recovered = state(), state()
    run(log, lucky)
    step(recovered, log.entries, SNAPSHOTS, deciding=False)
    assert portrait(recovered)["visits"] == portrait(lucky)["visits"] != [[], [], [], []]
