"""`step` by example: one customer, two stores, one thing at a time."""

from __future__ import annotations

import numpy as np
import pytest

from engine.matcher.decision import derived
from engine.matcher.judge import Events
from engine.matcher.step import step
from tests.reference.matcher_world import (
    PLACES,
    SNAPSHOTS,
    Log,
    arrival,
    campaigns,
    number,
    reasons,
    run,
    state,
)
from tests.reference.offers_world import NOW_MS

MIN_MS = 60_000
CAP = 1
"""Campaign 1: enter at store 1, one coupon a week."""


# ── arriving ──


def test_an_arrival_is_answered() -> None:
    decision = run(arrival()).decisions[0]
    assert (decision.number, decision.trigger, decision.campaign.id, decision.store) == (number(0), "enter", 1, 1)
    assert decision.logged_ms - decision.event_at_ms == 1
    assert decision.cell >> 52 & 15 == 7, "no finer place than a cell of resolution 7 is stored"
    assert [(held.campaign, held.reason) for held in decision.held] == [(4, "not_in_audience")]


def test_the_same_report_decides_the_same_wherever_it_stands_in_the_log() -> None:
    """Another owner, another log: other positions and times, the same decision, visit and coupon."""
    early, late = Log(), Log()
    late.wait(5_000)
    for log, age_ms in ((early, 0), (late, 5_000)):
        log.pings([0], "street", age_ms)
        log.wait(MIN_MS)
        log.pings([0], "one", age_ms)
    first, second = run(early).decisions[0], run(late).decisions[0]
    assert first.position != second.position
    assert (first.id, first.occasion, first.coupon) == (second.id, second.occasion, second.coupon)


def test_other_customers_and_other_moments_are_other_decisions() -> None:
    log = Log()
    log.pings([0, 1], "street")
    log.wait(MIN_MS)
    log.pings([0, 1], "one")
    ids = {(decision.id, decision.occasion) for decision in run(log).decisions}
    late = arrival()
    late.wait(60_000)
    late.pings([0], "street")
    late.wait(8 * 86_400_000)
    late.pings([0], "one")
    later = {(decision.id, decision.occasion) for decision in run(late).decisions[-1:]}
    assert len(ids) == 2 and len(later) == 1 and not ids & later


def test_ids_are_uuids_of_version_8() -> None:
    one = derived("decision", 17, "ping", NOW_MS)
    assert (one.version, one.variant) == (8, "specified in RFC 4122")
    assert derived("a", "bc") != derived("ab", "c"), "parts do not run together"


def test_a_report_that_comes_twice_is_counted_and_changes_nothing() -> None:
    log = arrival()
    log.entries.append(log.entries[-1])
    result = run(log)
    assert campaigns(result) == [1]
    assert result.tally[0, "ping.duplicate"] == 1


def test_a_late_report_is_counted_and_changes_nothing() -> None:
    log = arrival()
    log.pings([0], "two", age_ms=MIN_MS)
    result = run(log)
    assert (campaigns(result), result.tally[0, "ping.late"]) == ([1], 1)


def test_leaving_and_coming_back_meets_the_cap() -> None:
    log = arrival()
    for place in ("street", "one"):
        log.wait(MIN_MS)
        log.pings([0], place)
    result = run(log)
    assert campaigns(result) == [1]
    assert reasons(result, CAP) == ["reason.cap_reached"]
    assert (result.tally[0, "trigger.enter"], result.tally[0, "trigger.exit"]) == (2, 1)


# ── staleness ──


def test_a_stale_report_makes_no_offer_but_is_remembered() -> None:
    log, one = Log(), state()
    log.pings([0], "street", age_ms=181_000)
    log.pings([0], "one", age_ms=120_500)
    result = run(log, one)
    assert campaigns(result) == []
    assert reasons(result, CAP) == ["reason.stale_event"]
    assert one.presence.visits(0), "the visit began all the same"


def test_a_fresh_report_is_not_stale_because_it_ends_an_old_visit() -> None:
    """Forty silent minutes, no tick in between (the matcher was away), then a report from inside another fence."""
    log = Log()
    log.pings([0], "two")
    log.wait(40 * MIN_MS)
    log.pings([0], "one")
    result = run(log)
    assert campaigns(result) == [1]
    assert result.tally[0, "trigger.exit"] == 1


def test_a_dwell_that_a_fresh_report_brings_to_light_late_is_not_stale() -> None:
    log = Log()
    log.fact("stop", campaign=CAP)
    log.pings([0], "one")
    log.wait(20 * MIN_MS)
    log.pings([0], "one")
    result = run(log)
    assert campaigns(result) == [2]
    assert result.decisions[0].event_at_ms == log.now_ms - 1


# ── dwelling, searching ──


def test_a_dwell_is_found_by_a_tick() -> None:
    log = Log()
    log.pings([0], "one")
    for _ in range(3):
        log.wait(MIN_MS)
        log.tick()
    result = run(log)
    assert campaigns(result) == [1, 2]
    assert result.decisions[1].trigger == "dwell"
    assert result.decisions[1].position == log.entries[2].position, "the first tick after two minutes"


def test_a_search_is_answered_where_it_was_made() -> None:
    log = Log()
    log.search(0, "two", 1)
    log.search(0, "one", 1)
    log.search(1, "two", 2)
    result = run(log)
    assert campaigns(result) == [3]
    assert result.decisions[0].occasion.int == log.entries[0].log_ms - 1, "the search is its own occasion"
    assert reasons(result, 3) == ["reason.search_mismatch"]
    assert result.tally[0, "trigger.search"] == 3


def test_a_search_that_comes_twice_has_one_id() -> None:
    log, one = Log(), state()
    log.search(0, "two", 1)
    first = run(log, one).decisions[0]
    one.caps.forget(0)
    again = step(one, log.entries, SNAPSHOTS).decisions[0]
    assert (again.id, again.occasion) == (first.id, first.occasion)


# ── the first fix ──


def test_after_a_reset_a_first_fix_inside_proves_no_arrival() -> None:
    log = Log()
    log.pings([0], "one")
    log.wait(MIN_MS)
    log.pings([0], "street")
    log.wait(MIN_MS)
    log.pings([0], "one")
    result = run(log, state(reset_until_ms=NOW_MS + 10 * MIN_MS))
    assert [decision.event_at_ms for decision in result.decisions] == [log.now_ms - 1]
    assert "reason.after_reset" in reasons(result, CAP)


def test_a_first_fix_long_after_the_reset_is_an_arrival() -> None:
    log = Log()
    log.pings([0], "one")
    assert campaigns(run(log, state(reset_until_ms=NOW_MS))) == [1]


@pytest.mark.parametrize("place", PLACES)
def test_no_position_in_the_text_of_an_event(place: str) -> None:
    entry = Log().pings([0], place)
    where = np.array([PLACES[place]], [("lat", "f8"), ("lng", "f8")])
    events = Events.of(entry, np.zeros(1, np.int32), NOW_MS, where, ("ping", NOW_MS))
    for text in (repr(events), repr(entry)):
        assert not any(str(degrees) in text for degrees in PLACES[place])
