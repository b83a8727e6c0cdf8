"""Campaigns that begin over people who are inside already, by example."""

from __future__ import annotations

import pytest

from engine.matcher.begun import KEPT_MS
from engine.matcher.step import step
from geo.fence import Circle
from tests.reference.matcher_world import PLACES, SNAPSHOTS, Log, campaigns, number, reasons, run, state

MIN_MS = 60_000
WALKED_IN, BEGUN = 1, 7
"""Enter campaigns at store 1: from the first on, except in revision 2, and from revision 3 on."""
SHORT, LONG = 2, 6
"""Dwells of two minutes, likewise, and of five, from revision 2 on."""
BOUGHT = 4
"""Enter at both stores for who bought product 1, two a day; not in revision 2."""


def stayed(silent_ms: int) -> Log:
    """The customer walked into store 1 and fell silent; then revision 3 comes."""
    log = Log()
    log.pings([0], "one")
    log.wait(silent_ms)
    log.switch(3)
    return log


# ── at the switch, or at the next fix ──


def test_a_campaign_that_begins_meets_who_is_inside() -> None:
    log = stayed(MIN_MS)
    result = run(log)
    assert campaigns(result) == [WALKED_IN, BEGUN]
    enter, start = result.decisions
    assert (start.number, start.trigger, start.store) == (number(0), "start", 1)
    assert (start.occasion, start.id != enter.id) == (enter.occasion, True), "the occasion is the visit"
    assert (start.event_at_ms, start.position) == (log.now_ms, log.entries[-1].position)


def test_who_is_silent_meets_it_at_the_next_fix_and_once() -> None:
    log = stayed(3 * MIN_MS)
    assert campaigns(run(log)) == [WALKED_IN]
    for _ in range(3):
        log.wait(30_000)
        log.pings([0], "one")
    result = run(log)
    assert campaigns(result) == [WALKED_IN, BEGUN]
    assert result.decisions[1].event_at_ms == log.entries[2].log_ms - 1
    assert result.tally[0, "trigger.start"] == 1


def test_who_has_met_it_at_the_switch_does_not_meet_it_again() -> None:
    log = stayed(MIN_MS)
    for _ in range(5):
        log.wait(3 * MIN_MS)
        log.pings([0], "one")
    assert run(log).tally[0, "trigger.start"] == 1


def test_an_old_fix_that_comes_late_does_not_use_the_chance_up() -> None:
    """Logged after the switch, made long before it."""
    log = stayed(10 * MIN_MS)
    log.pings([0], "one", age_ms=5 * MIN_MS)
    log.pings([0], "one")
    result = run(log)
    assert campaigns(result) == [WALKED_IN, BEGUN]
    assert reasons(result, BEGUN) == ["reason.stale_event"]


def test_who_walks_in_later_enters_and_nothing_else() -> None:
    log = stayed(3 * MIN_MS)
    for _ in range(2):
        log.pings([1], "one")
        log.wait(MIN_MS)
    result = run(log)
    assert [(d.number, d.trigger) for d in result.decisions] == [(number(0), "enter"), (number(1), "enter")]


def test_campaigns_of_two_snapshots_are_met_together_by_who_was_silent() -> None:
    """Revision 2 brings the dwell, revision 3 the rest; the phone says nothing until then."""
    log = Log()
    log.pings([0], "one")
    log.wait(6 * MIN_MS)
    log.pings([0], "one")
    log.wait(3 * MIN_MS)
    log.switch(2)
    log.wait(3 * MIN_MS)
    log.switch(3)
    log.pings([0], "one")
    result = run(log)
    assert [(d.campaign.id, d.trigger) for d in result.decisions] == [
        (WALKED_IN, "enter"),
        (SHORT, "dwell"),
        (BEGUN, "start"),
    ]
    held = {one.campaign: one.reason.value for one in result.decisions[-1].held}
    assert held == {WALKED_IN: "cap_reached", SHORT: "cap_reached", BOUGHT: "not_in_audience", LONG: "outranked"}
    assert result.tally[0, "trigger.start"] == 1


def test_of_two_snapshots_only_what_the_visit_has_not_met_is_met() -> None:
    """Confirmed a minute before revision 2, so met at its switch; silent from then on until after revision 3."""
    log = Log()
    log.pings([0], "one")
    log.wait(6 * MIN_MS)
    log.pings([0], "one")
    log.wait(MIN_MS)
    log.switch(2)
    log.wait(3 * MIN_MS)
    log.switch(3)
    log.fact("stop", campaign=BEGUN)
    log.pings([0], "one")
    result = run(log)
    assert [(d.campaign.id, d.trigger) for d in result.decisions][2:] == [(LONG, "start")]
    assert LONG not in {campaign for campaign, name in result.tally if name.startswith("reason.")}
    assert result.tally[0, "trigger.start"] == 2


# ── dwelling ──


def test_a_dwell_that_begins_over_a_long_stay_is_due_at_once() -> None:
    log = Log()
    log.pings([0], "one")
    log.wait(10 * MIN_MS)
    log.pings([0], "one")
    log.wait(1_000)
    log.fact("stop", campaign=BEGUN)
    log.switch(3)
    result = run(log)
    assert [(d.campaign.id, d.trigger) for d in result.decisions][2:] == [(LONG, "start")]
    assert reasons(result, BEGUN) == ["reason.stopped"]


def test_a_dwell_that_begins_over_a_short_stay_comes_due_in_its_time() -> None:
    log = stayed(MIN_MS)
    for _ in range(5):
        log.tick()
        log.wait(MIN_MS)
    log.tick()
    result = run(log)
    assert [(d.campaign.id, d.trigger) for d in result.decisions] == [
        (WALKED_IN, "enter"),
        (BEGUN, "start"),
        (SHORT, "dwell"),
        (LONG, "dwell"),
    ]


# ── paused and resumed ──


def test_a_resumed_campaign_meets_who_came_while_it_was_paused() -> None:
    log = Log()
    log.switch(2)
    log.pings([0], "one")
    log.wait(1_000)
    log.fact("stop", campaign=BEGUN)
    log.switch(3)
    result = run(log)
    assert [(d.campaign.id, d.trigger) for d in result.decisions] == [(WALKED_IN, "start")]


def test_a_resumed_campaign_gives_a_visit_no_second_coupon() -> None:
    """The short dwell allows two a week."""
    log = Log()
    log.pings([0], "one")
    log.wait(3 * MIN_MS)
    log.pings([0], "one")
    log.wait(1_000)
    log.switch(2)
    log.fact("stop", campaign=BEGUN)
    log.wait(1_000)
    log.switch(3)
    result = run(log)
    assert campaigns(result) == [WALKED_IN, SHORT]
    assert reasons(result, SHORT) == ["reason.cap_reached"]


def test_nor_does_an_entered_one() -> None:
    log = Log()
    log.fact("purchase", number=number(0), at_ms=log.now_ms // 1000 * 1000, lines=[[1, 1]])
    log.pings([0], "two")
    log.wait(1_000)
    log.switch(2)
    log.wait(1_000)
    log.switch(3)
    result = run(log)
    assert campaigns(result) == [BOUGHT, 5]
    assert reasons(result, BOUGHT) == ["reason.cap_reached"]


def test_a_search_campaign_begins_over_nobody() -> None:
    log, one = Log(), state()
    log.switch(2)
    log.pings([0], "two")
    log.switch(3)
    assert run(log, one).tally[0, "trigger.start"] == 1, "campaign 4 alone"
    assert set(one.begun.before_ms) == {WALKED_IN, SHORT, BOUGHT, LONG, BEGUN}


def test_the_same_start_is_the_same_decision_wherever_it_stands_in_the_log() -> None:
    """Another owner appends the switch once more, at another place."""
    early, late = Log(), Log()
    for log, wait_ms in ((early, 1_000), (late, 7_000)):
        log.pings([0], "one")
        log.wait(wait_ms)
        log.switch(3)
    first, second = run(early).decisions[1], run(late).decisions[1]
    assert first.position != second.position
    assert (first.id, first.occasion, first.coupon) == (second.id, second.occasion, second.coupon)


# ── new fences ──


def test_a_new_fence_is_entered_by_who_is_inside() -> None:
    log = Log()
    log.pings([0, 1], "two", age_ms=30_000)
    log.switch(2)
    result = run(log)
    assert {(d.number, d.campaign.id, d.trigger) for d in result.decisions} == {(number(0), 5, "enter")}
    assert reasons(result, 5) == ["reason.budget_exhausted"], "there is one coupon"
    assert result.decisions[0].event_at_ms == log.now_ms


def test_a_new_fence_is_entered_by_others_at_their_next_fix() -> None:
    log = Log()
    log.pings([0], "two", age_ms=119_998)
    log.wait(10)
    log.switch(2)
    assert campaigns(run(log)) == []
    log.pings([0], "two")
    assert [(d.campaign.id, d.trigger) for d in run(log).decisions] == [(5, "enter")]


def test_nobody_is_met_who_has_withdrawn_consent() -> None:
    log = Log()
    log.pings([0], "two")
    log.fact("consent", number=number(0), consents=12)
    log.switch(2)
    assert campaigns(run(log)) == []


# ── who is where ──


@pytest.mark.parametrize("how", ["consent", "forget", "idle"])
@pytest.mark.parametrize("deciding", [True, False])
def test_who_is_forgotten_is_not_found_any_more(how: str, deciding: bool) -> None:
    log, one = Log(), state()
    log.pings([0, 1], "one")
    if how == "idle":
        log.wait(25 * 60 * MIN_MS - log.now_ms % MIN_MS)
        log.pings([1], "one")
        log.tick()
    else:
        log.fact(how, number=number(0), consents=12)
    step(one, log.entries, SNAPSHOTS, deciding=deciding)
    assert one.pings.inside(Circle(0, *PLACES["one"], 5.0)).tolist() == [1]
    assert len(one.pings) == 1


# ── what is kept ──


def test_what_began_long_ago_is_forgotten() -> None:
    log, one = stayed(MIN_MS), state()
    log.wait(KEPT_MS)
    run(log, one)
    assert set(one.begun.before_ms) == {LONG, BEGUN}
    one.begun.note((), log.now_ms - 2 * MIN_MS, SNAPSHOTS[3])
    assert one.begun.before_ms == {}
    assert not len(one.begun.starts.fence)


def test_a_campaign_that_is_gone_is_forgotten() -> None:
    log, one = Log(), state()
    log.switch(2)
    log.switch(3)
    run(log, one)
    assert set(one.begun.before_ms) == {WALKED_IN, SHORT, BOUGHT, LONG, BEGUN}, "campaign 5 is not in revision 3"
