"""The demo's judge: sound evidence has no violation, and each rule finds the one thing that is broken for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from engine.demo.evidence import Evidence
from engine.demo.judge import EVENT_AGE_MS, REVOKED_MS, violations
from engine.demo.report import held, latency_ms, report, shortfalls
from engine.standin.ledger import Arrival

NOON_MS = 1_800_000_000_000


def decision(number: int, **changes: Any) -> dict[str, Any]:
    given = {
        "id": f"d{number}",
        "customer": number,
        "campaign": 1,
        "occasion": f"o{number}",
        "trigger": "enter",
        "refunded": False,
        "event_ms": NOON_MS,
        "logged_ms": NOON_MS + 10,
        "decided_ms": NOON_MS + 15,
        "push": "sent",
    }
    return {**given, **changes}


def arrival(number: int, after_ms: int = 25, **changes: Any) -> Arrival:
    given: dict[str, Any] = {
        "seq": number,
        "at_ms": NOON_MS + after_ms,
        "registration": f"r{number}",
        "status": 200,
        "answer": "ok",
    }
    return Arrival(**(given | {"accepted": True, "tag": f"d{number}"} | changes))


BUDGET: dict[str, Any] = {
    "campaign": 1, "code": "welcome", "total": 10, "leased": 8, "granted": 5, "spent": 2,
    "debits": 3, "refunds": 1, "decisions": 3, "crooked": 0,
}  # fmt: skip


def sound() -> Evidence:
    """Three customers, three decisions; the third one's push was suppressed and refunded."""
    return Evidence(
        tally={
            "ping.accepted": 95, "ping.duplicate": 3, "ping.late": 2, "trigger.enter": 9,
            "reason.cap_reached": 4, "reason.budget_exhausted": 5, "reason.no_marketing_consent": 6,
        },
        totals={"decisions": 3, "coupons": 3, "redemptions": 1, "shown": 2, "sent": 2, "customers": 3, "epochs": 16},
        messages=[
            {"channel": "fcm", "state": "sent", "reason": "", "n": 2},
            {"channel": "fcm", "state": "suppressed", "reason": "no_consent", "n": 1},
        ],
        decisions={f"d{n}": decision(n) for n in (1, 2)} | {"d3": decision(3, push="suppressed", refunded=True)},
        budgets=[BUDGET],
        over_cap=[],
        twice_redeemed=[],
        doubled_events=[],
        orphans={"without_coupon": 0, "without_debit": 0},
        silenced=[{"customer": 3, "at_ms": NOON_MS, "push": True, "inapp": True}],
        inbox=[{"customer": 1, "at_ms": NOON_MS + 20}],
        customers={f"r{n}": n for n in (1, 2, 3)},
        arrivals=[arrival(1), arrival(2, 75), arrival(3, status=429, answer="quota_device", accepted=False)],
        twice_shown=20,
        twice_shown_redeemed=20,
    )  # fmt: skip


def with_budget(**changes: Any) -> Callable[[Evidence], Evidence]:
    return lambda found: replace(found, budgets=[BUDGET | changes])


def with_arrival(extra: Arrival) -> Callable[[Evidence], Evidence]:
    return lambda found: replace(found, arrivals=[*found.arrivals, extra])


def with_decision(number: int, **changes: Any) -> Callable[[Evidence], Evidence]:
    return lambda found: replace(
        found, decisions={**found.decisions, f"d{number}": {**found.decisions[f"d{number}"], **changes}}
    )


BROKEN: dict[str, tuple[Callable[[Evidence], Evidence], str]] = {
    "more leased than the budget": (with_budget(leased=11), "out of order"),
    "more granted than leased": (with_budget(granted=9), "out of order"),
    "more spent than granted": (with_budget(spent=6, debits=7, decisions=7), "out of order"),
    "a refund that moved no counter": (with_budget(refunds=2), "spent by the ledger"),
    "a partition's block is off": (with_budget(crooked=1), "disagree with the ledger"),
    "a decision without a debit": (with_budget(decisions=4), "4 decisions and 3 debits"),
    "redeemed twice": (
        lambda found: replace(found, twice_redeemed=[{"id": "c", "state": "redeemed", "n": 2}]), "2 redemptions"
    ),
    "shown twice and not redeemed": (lambda found: replace(found, twice_shown_redeemed=19), "19 of them"),
    "a push nobody decided on": (with_arrival(arrival(9, registration="r1")), "not stored"),
    "two tags for one occasion": (with_decision(2, customer=1, occasion="o1"), "2 pushes"),
    "a message that never ended": (
        lambda found: replace(found, messages=[{"channel": "fcm", "state": "leased", "reason": "", "n": 1}]),
        "have not ended",
    ),
    "taken and recorded as failed": (with_decision(1, push="failed"), "recorded as failed"),
    "a push after the revocation": (
        with_arrival(arrival(2, REVOKED_MS + 1, registration="r3")), "customer 3 got a message (push) 501 ms"
    ),
    "an in-app message after the revocation": (
        lambda found: replace(found, inbox=[{"customer": 3, "at_ms": NOON_MS + 600}]), "(inapp) 600 ms"
    ),
    "above the cap": (
        lambda found: replace(found, over_cap=[{"customer": 1, "campaign": 1, "n": 2}]), "above its cap"
    ),
    "two decisions for one report": (
        lambda found: replace(found, doubled_events=[{"customer": 1, "trigger": "enter", "n": 2}]), "one report"
    ),
    "an old report": (with_decision(1, event_ms=NOON_MS + 9 - EVENT_AGE_MS), "older than 120 s"),
    "no coupon": (lambda found: replace(found, orphans={"without_coupon": 1, "without_debit": 0}), "without coupon"),
}  # fmt: skip


def test_sound_evidence_has_no_violation() -> None:
    assert violations(sound()) == []


@pytest.mark.parametrize("name", BROKEN)
def test_each_rule_finds_what_breaks_it_and_nothing_else(name: str) -> None:
    break_it, says = BROKEN[name]
    found = violations(break_it(sound()))
    assert len(found) == 1 and says in found[0], found


def test_half_a_second_after_the_revocation_is_still_allowed() -> None:
    on_time = with_arrival(arrival(2, REVOKED_MS, registration="r3"))
    assert violations(on_time(sound())) == []


def test_the_wait_is_from_the_report_to_the_first_push_of_enter_decisions() -> None:
    again = with_arrival(arrival(1, 9_000))
    other = with_decision(2, trigger="dwell")
    assert latency_ms(again(sound())) == {
        "p50": 50.0, "p99": 74.5, "pushes": 2, "stages": {"logged": 10.0, "decided": 5.0, "pushed": 35.0}
    }  # fmt: skip
    assert latency_ms(other(sound()))["p50"] == 25.0
    assert latency_ms(replace(sound(), arrivals=[]))["p50"] is None


def test_held_counts_come_from_the_store() -> None:
    assert held(sound()) == {
        "budget": 5, "consent": 7, "consent_queued": 1, "cap": 4, "duplicate": 3, "late": 2, "second_redemption": 20
    }  # fmt: skip


def tried() -> dict[str, Any]:
    return {
        "customers": 300,
        "revoked": 3,
        "shown_at_two_tills": 20,
        "answered_already_redeemed": 20,
        "matcher_restarted": True,
    }


def test_a_run_that_tried_everything_has_no_shortfall() -> None:
    numbers = report(sound()) | {"tried": tried()}
    assert numbers["pings"] == 100 and numbers["violations"] == []
    assert shortfalls(numbers) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"revoked": 2}, "2 of 300 customers revoked"),
        ({"shown_at_two_tills": 19}, "only 19 coupons"),
        ({"answered_already_redeemed": 19}, "not told"),
        ({"matcher_restarted": False}, "no matcher was killed"),
    ],
)
def test_what_was_not_tried_is_said(change: dict[str, Any], says: str) -> None:
    [sentence] = shortfalls(report(sound()) | {"tried": tried() | change})
    assert says in sentence


@pytest.mark.parametrize("name", ["reason.cap_reached", "reason.budget_exhausted", "ping.duplicate", "ping.late"])
def test_a_guard_that_held_nothing_is_said(name: str) -> None:
    found = replace(sound(), tally={**sound().tally, name: 0})
    assert any("nothing was held back" in sentence for sentence in shortfalls(report(found) | {"tried": tried()}))
