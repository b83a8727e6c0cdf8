"""Deciding: which campaigns an event calls up, and which of them wins."""

from __future__ import annotations

from typing import Any

import pytest

from offers.caps import Caps
from offers.decide import Verdict, decide
from offers.event import Search, Trigger
from offers.history import History
from offers.reasons import Reason
from tests.reference.offers_world import (
    DAY_MS,
    NOW_MS,
    ROW,
    campaign,
    entering,
    fence_of,
    product,
    snapshot,
    standing,
    store,
)


def chosen(verdict: Verdict) -> tuple[int, int]:
    assert verdict.choice is not None
    return verdict.choice.campaign.id, verdict.choice.store


def about(*codes: str, **changes: Any) -> dict[str, Any]:
    return {"kind": "percent_off", "percent": 10, "valid_for_s": 60, "products": list(codes)} | changes


def history(*purchases: tuple[int, float, int]) -> History:
    """(product, days ago, quantity) of the customer."""
    out = History()
    for id, days, quantity in purchases:
        out.note(ROW, id, NOW_MS - int(days * DAY_MS), quantity)
    return out


def test_nothing_live_nothing_decided() -> None:
    live = snapshot([])
    assert decide(live, [], standing()) == Verdict(None, ())
    assert entering(live) == []


def test_only_the_trigger_and_the_dwell_time_that_happened_are_called_up() -> None:
    live = snapshot(
        [
            campaign(code="a"),
            campaign(code="b", trigger="dwell", dwell_s=60),
            campaign(code="c", trigger="dwell", dwell_s=300),
            campaign(code="d", trigger="search", search={"brands": ["x"]}),
        ]
    )
    assert live.fences.dwell_s.tolist() == [60, 300]
    for trigger, expected in (
        (Trigger("enter", 0), [1]),
        (Trigger("dwell", 0, 60), [2]),
        (Trigger("dwell", 0, 300), [3]),
        (Trigger("dwell", 0, 61), []),
        (Trigger("search", 0, search=Search(frozenset(), frozenset({" X "}), frozenset())), [4]),
    ):
        verdict = decide(live, [trigger], standing())
        assert ([] if verdict.choice is None else [verdict.choice.campaign.id]) == expected
        assert verdict.held == ()


def test_deciding_changes_nothing_and_is_repeatable() -> None:
    live = snapshot([campaign(), campaign(code="b")])
    who = standing()
    first = decide(live, entering(live), who)
    assert decide(live, entering(live), who) == first
    assert [who.blocks.left(1), who.blocks.spent(1), who.caps.notes(ROW)] == [10, 0, []]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"priority": 0}, {"priority": 1}),
        ({"offer": about("p1")}, {"offer": about("p2")}),  # p2 was bought
        ({"offer": about()}, {"offer": about(percent=11)}),
        (
            {"offer": about(percent=20)},  # 400 of a nominal basket
            {"offer": about(kind="money_off", percent=None, amount_minor=401)},
        ),
        ({"radius_m": 100}, {"radius_m": 50}),
    ],
    ids=["priority", "affinity", "percent", "worth", "nearness"],
)
def test_the_other_one_wins_whatever_the_ids(one: dict[str, Any], other: dict[str, Any]) -> None:
    products = [product(1), product(2)]
    bought = history((2, 1, 1))
    for first, second, winner in ((one, other, 2), (other, one, 1)):
        live = snapshot([campaign(**first), campaign(code="b", **second)], products=products)
        verdict = decide(live, entering(live), standing(history=bought))
        assert chosen(verdict)[0] == winner
        assert [(h.campaign, h.reason) for h in verdict.held] == [(3 - winner, Reason.OUTRANKED)]


def test_priority_goes_before_affinity_before_worth_before_nearness() -> None:
    bought = history((2, 1, 1))
    live = snapshot(
        [
            campaign(code="near", radius_m=10),
            campaign(code="dear", offer=about(percent=50)),
            campaign(code="known", offer=about("p2")),
            campaign(code="first", priority=1),
        ],
        products=[product(2)],
    )
    standing_ids = [4, 3, 2, 1]
    for rest in range(4):
        who = standing(granted=standing_ids[rest:], history=bought)
        assert chosen(decide(live, entering(live), who))[0] == standing_ids[rest]


def test_equal_offers_fall_to_the_lower_campaign_and_then_store() -> None:
    live = snapshot([campaign(code="a"), campaign(code="b")], [store(9), store(4)])
    for triggers in (entering(live), entering(live)[::-1]):
        verdict = decide(live, triggers, standing())
        assert chosen(verdict) == (1, 4)
        assert [(h.campaign, h.store) for h in verdict.held] == [(2, 4)]


def test_the_nearer_store_is_the_one_by_distance_to_its_edge() -> None:
    live = snapshot([campaign()], [store(4), store(9)])
    near = [Trigger("enter", fence_of(live, 4), edge_m=-1.0), Trigger("enter", fence_of(live, 9), edge_m=-90.0)]
    verdict = decide(live, near, standing())
    assert verdict.choice is not None
    assert verdict.choice.store == 9
    assert verdict.choice.terms["distance_m"] == pytest.approx(10.0)
    assert near[verdict.choice.trigger] is near[1]


def test_a_campaign_closed_at_one_store_is_offered_at_the_other() -> None:
    live = snapshot([campaign()], [store(4, opening_hours="off"), store(9)])
    verdict = decide(live, entering(live), standing())
    assert chosen(verdict) == (1, 9)
    assert verdict.held == ()


def test_held_at_every_store_it_has_the_reason_that_came_farthest() -> None:
    live = snapshot(
        [campaign()], [store(4, opening_hours="off"), store(5, opening_hours="off"), store(9, opening_hours=None)]
    )
    for triggers in (entering(live), entering(live)[::-1]):
        held = decide(live, triggers, standing()).held
        assert [(h.campaign, h.reason, h.store) for h in held] == [(1, Reason.STORE_CLOSED, 4)]


def test_the_zone_of_each_store_decides_the_hours() -> None:
    weekly = {"weekly": [{"days": ["sat"], "start": "13:00", "end": "14:00"}]}
    live = snapshot([campaign(schedule=weekly)], [store(4, zone="Europe/London"), store(9)])
    assert chosen(decide(live, entering(live), standing())) == (1, 9)
    assert decide(live, entering(live, 4), standing()).held[0].reason is Reason.OUTSIDE_SCHEDULE
    later = standing(now_ms=NOW_MS + 2 * 3_600_000)
    assert chosen(decide(live, entering(live), later)) == (1, 4)


def test_a_store_without_hours_gets_the_campaigns_that_do_not_ask_for_them() -> None:
    live = snapshot([campaign(schedule={"only_while_open": False})], [store(4, opening_hours=None, zone="x/y")])
    assert chosen(decide(live, entering(live), standing())) == (1, 4)


def test_beyond_the_horizon_hours_are_unknown() -> None:
    live = snapshot([campaign()])
    for now_ms, expected in (
        (live.from_ms, Reason.NOT_STARTED),
        (live.until_ms - 1, None),
        (live.until_ms, Reason.HOURS_UNKNOWN),
    ):
        spec = campaign(starts_at="2026-11-21T00:00:00Z")
        verdict = decide(snapshot([spec]), entering(live), standing(now_ms=now_ms))
        assert (verdict.held[0].reason if verdict.held else None) is expected


def test_the_cap_rolls_and_belongs_to_the_campaign() -> None:
    live = snapshot([campaign(cap={"coupons": 2, "per_days": 1}), campaign(code="b", priority=-1)])
    caps = Caps()
    caps.note(ROW, 1, NOW_MS - DAY_MS)
    caps.note(ROW, 1, NOW_MS - 5)
    caps.note(ROW, 2, NOW_MS - 8 * DAY_MS)
    assert chosen(decide(live, entering(live), standing(caps=caps)))[0] == 1
    verdict = decide(live, entering(live), standing(caps=caps, now_ms=NOW_MS - 1))
    assert chosen(verdict)[0] == 2
    assert [(h.campaign, h.reason) for h in verdict.held] == [(1, Reason.CAP_REACHED)]


def test_searches_meet_by_product_brand_or_category_in_any_case() -> None:
    terms = {"products": ["p1"], "brands": ["Nintendo"], "categories": ["Video  Games"]}
    live = snapshot([campaign(trigger="search", search=terms)], products=[product(1)])
    none: frozenset[Any] = frozenset()
    for search, meets in (
        (Search(frozenset({1, 5}), none, none), True),
        (Search(none, frozenset({"NINTENDO"}), none), True),
        (Search(none, none, frozenset({"video games"})), True),
        (Search(frozenset({5}), frozenset({"video games"}), frozenset({"nintendo"})), False),
        (None, False),
    ):
        verdict = decide(live, [Trigger("search", 0, search=search)], standing())
        assert (verdict.choice is not None) is meets
