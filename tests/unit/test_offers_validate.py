"""All the problems of a campaign at once."""

from __future__ import annotations

from typing import Any

import pytest

from offers.campaign import Campaign, Offer, Schedule, Window
from offers.parse import Problem, parse
from offers.validate import MOST_UNKNOWN, problems
from tests.reference.offers_world import NOW_MS, campaign, ms, raw_campaign

STORES = {"s1": 1, "s2": 2}
PRODUCTS = {"p1": 11}
TERMS: dict[str, list[str]] = {"products": [], "brands": [], "categories": []}


SQUARE = [[24.93, 60.16], [24.95, 60.16], [24.95, 60.18], [24.93, 60.18], [24.93, 60.16]]
BOW_TIE = [[24.93, 60.16], [24.95, 60.18], [24.95, 60.16], [24.93, 60.18], [24.93, 60.16]]


def drawn(store: str, ring: list[list[float]] = SQUARE) -> dict[str, Any]:
    """An area as uploaded: longitude first."""
    return {"store": store, "geometry": {"type": "Polygon", "coordinates": [ring]}}


def found(spec: Campaign, stores: dict[str, int] = STORES) -> list[tuple[str, str]]:
    return [(p.column, p.code) for p in problems(spec, stores, PRODUCTS, NOW_MS)]


def test_a_good_campaign_has_no_problem() -> None:
    assert found(campaign()) == []
    assert found(campaign(stores=["s1"], trigger="dwell", dwell_s=300)) == []
    assert found(campaign(areas=[drawn("s1"), drawn("s2")])) == []
    assert found(campaign(trigger="start", delivery={"local_time": "10:00", "rate_per_s": 50})) == []
    assert found(campaign(trigger="search", search=TERMS | {"products": ["p1"]})) == []
    assert found(campaign(audience={"bought": {"brands": ["Fazer"], "within_days": 365}})) == []
    assert found(campaign(offer={"kind": "money_off", "amount_minor": 100, "valid_for_s": 60})) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"stores": ["s1", "s9", "s8"]}, [("stores[1]", "unknown_store"), ("stores[2]", "unknown_store")]),
        ({"areas": [drawn("s1"), drawn("s9")]}, [("areas[1]", "unknown_store")]),
        ({"stores": ["s2"], "areas": [drawn("s1")]}, [("areas[0].store", "not_its_store")]),
        ({"areas": [drawn("s1"), drawn("s1")]}, [("areas[1].store", "repeated")]),
        ({"areas": [drawn("s1", BOW_TIE)]}, [("areas[0].geometry", "geometry")]),
        ({"areas": [{"store": "s1", "geometry": {"type": "Point"}}]}, [("areas[0].geometry", "geometry")]),
        ({"trigger": "start", "areas": [drawn("s1")]}, [("areas", "not_applicable")]),
        ({"trigger": "start", "areas": [drawn("s1")], "delivery": {"inside": True}}, []),
        (
            {"trigger": "start", "delivery": {"inside": True, "local_time": "09:00", "rate_per_s": 5}},
            [("delivery.local_time", "not_applicable"), ("delivery.rate_per_s", "not_applicable")],
        ),
        (
            {"trigger": "start", "schedule": {"weekly": [{"days": ["mon"], "start": "09:00", "end": "17:00"}]}},
            [("schedule.weekly", "not_applicable")],
        ),
        ({"trigger": "start", "dwell_s": 5}, [("dwell_s", "not_applicable")]),
        ({"delivery": {"local_time": "10:00"}}, [("delivery", "not_applicable")]),
        ({"trigger": "dwell"}, [("dwell_s", "missing")]),
        ({"dwell_s": 60}, [("dwell_s", "not_applicable")]),
        ({"trigger": "approach"}, [("eta_minutes", "missing")]),
        ({"trigger": "exit", "eta_minutes": 5}, [("eta_minutes", "not_applicable")]),
        ({"trigger": "search"}, [("search", "missing")]),
        ({"trigger": "search", "search": TERMS}, [("search", "missing")]),
        ({"search": TERMS | {"brands": ["x"]}}, [("search", "not_applicable")]),
        ({"trigger": "search", "search": TERMS | {"products": ["p2"]}}, [("search.products[0]", "unknown_product")]),
        ({"ends_at": "2026-11-01T00:00:00Z"}, [("ends_at", "ends_before_start")]),
        ({"ends_at": "2026-11-21T13:00:00+02:00"}, [("ends_at", "ended")]),
        ({"starts_at": "1999-12-31T23:59:59Z"}, [("starts_at", "out_of_range")]),
        ({"ends_at": "9999-12-31T23:59:59Z"}, [("ends_at", "out_of_range")]),
        ({"offer": {"kind": "percent_off", "valid_for_s": 60}}, [("offer.percent", "missing")]),
        ({"offer": {"kind": "money_off", "valid_for_s": 60}}, [("offer.amount_minor", "missing")]),
        (
            {"offer": {"kind": "money_off", "percent": 5, "amount_minor": 5, "valid_for_s": 60}},
            [("offer.percent", "not_applicable")],
        ),
        (
            {"offer": {"kind": "percent_off", "percent": 5, "valid_for_s": 60, "products": ["p1", "p7"]}},
            [("offer.products[1]", "unknown_product")],
        ),
        ({"audience": {"bought": {"within_days": 30}}}, [("audience.bought", "missing")]),
        (
            {"audience": {"bought": {"within_days": 30, "products": ["p7"]}}},
            [("audience.bought.products[0]", "unknown_product")],
        ),
        ({"creative": {"title": "a\x00b", "body": "one\ntwo"}}, [("creative.title", "control_character")]),
        ({"creative": {"title": "a", "body": "tab\t"}}, [("creative.body", "control_character")]),
        ({"name": "half \ud800"}, [("name", "control_character")]),
        ({"code": "  "}, [("code", "blank")]),
        # A pattern's $ lets a last newline pass; the check of texts does not.
        (
            {"schedule": {"weekly": [{"days": ["mon"], "start": "09:00\n", "end": "10:00"}]}},
            [("schedule.weekly[0].start", "control_character")],
        ),
    ],
)
def test_each_problem_has_its_column_and_code(changes: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert found(campaign(**changes)) == expected


def test_what_ends_just_after_now_is_not_ended() -> None:
    assert found(campaign(ends_at="2026-11-21T13:00:00.001+02:00")) == []
    assert ms("2026-11-21T13:00:00+02:00") == NOW_MS


def test_a_campaign_for_every_store_needs_one() -> None:
    assert found(campaign(), stores={}) == [("stores", "no_stores")]


def test_all_problems_come_at_once_with_the_row_and_a_sentence() -> None:
    spec = campaign(
        trigger="dwell",
        stores=["nowhere"],
        ends_at="2020-01-01T00:00:00Z",
        offer={"kind": "percent_off", "valid_for_s": 60},
        creative={"title": "\x07", "body": ""},
    )
    every = problems(spec, STORES, PRODUCTS, NOW_MS, row=12)
    assert [p.column for p in every] == ["creative.title", "stores[0]", "dwell_s", "ends_at", "offer.percent"]
    assert all(p.row == 12 and p.detail.endswith(".") and p.detail[0].isupper() for p in every)
    assert "'nowhere'" in every[1].detail


def test_ranges_are_checked_on_a_campaign_made_by_hand() -> None:
    plain = campaign()
    by_hand: dict[str, Any] = {name: getattr(plain, name) for name in plain.__struct_fields__} | {
        "radius_m": 9.0,
        "budget_coupons": 0,
        "schedule": Schedule(weekly=[Window(days=["xxx"], start="9:00", end="24:01")]),  # type: ignore[list-item] # wrong on purpose
        "offer": Offer(kind="percent_off", percent=101, valid_for_s=59),
    }
    assert found(Campaign(**by_hand)) == [
        ("radius_m", "out_of_range"),
        ("schedule.weekly[0].days[0]", "unknown_value"),
        ("schedule.weekly[0].start", "wrong_form"),
        ("schedule.weekly[0].end", "wrong_form"),
        ("budget_coupons", "out_of_range"),
        ("offer.percent", "out_of_range"),
        ("offer.valid_for_s", "out_of_range"),
    ]
    for radius_m in (float("nan"), float("inf"), 5000.1):
        assert found(Campaign(**(by_hand | {"radius_m": radius_m})))[0] == ("radius_m", "out_of_range")


def test_a_thousand_stores_pass_and_one_more_does_not() -> None:
    many = {f"s{i}": i for i in range(1001)}
    assert found(campaign(stores=list(many)[:1000]), many) == []
    assert parse(raw_campaign(stores=list(many))) == [
        Problem(None, "stores", "wrong_length", "Expected `array` of length <= 1000")
    ]


def test_very_many_unknown_codes_are_summed_up() -> None:
    every = problems(campaign(stores=[f"x{i}" for i in range(MOST_UNKNOWN + 50)]), STORES, PRODUCTS, NOW_MS)
    assert len(every) == MOST_UNKNOWN + 1
    assert every[-1].detail == "50 more codes name no store."


def test_parse_gives_the_campaign_or_every_fault_of_its_shape() -> None:
    assert parse(raw_campaign()) == campaign()
    raw = raw_campaign(radius_m="100", priority=True, starts_at="2026-11-01T00:00:00", retailer_id=5, trigger="leave")
    del raw["cap"]
    raw["offer"] = {"kind": "gift", "percent": 0, "valid_for_s": 1e99, "x": 1}
    raw["schedule"] = {"weekly": [{"days": [], "start": "09:00", "end": "10:00"}, 7]}
    faults = parse(raw, row=3)
    assert isinstance(faults, list)
    assert [(p.column, p.code) for p in faults] == [
        ("trigger", "unknown_value"),
        ("radius_m", "wrong_type"),
        ("starts_at", "zone_missing"),
        ("schedule.weekly[0].days", "wrong_length"),
        ("schedule.weekly[1]", "wrong_type"),
        ("cap", "missing"),
        ("priority", "wrong_type"),
        ("offer.kind", "unknown_value"),
        ("offer.percent", "out_of_range"),
        ("offer.valid_for_s", "wrong_type"),
        ("offer.x", "unknown_field"),
        ("retailer_id", "unknown_field"),
    ]
    assert {p.row for p in faults} == {3}


@pytest.mark.parametrize("raw", [None, [], "campaign", 5, {}, {1: 2}, {"code": {"a": []}}])
def test_parse_survives_anything(raw: object) -> None:
    faults = parse(raw)
    assert isinstance(faults, list)
    assert faults


def test_a_hostile_pile_of_unknown_fields_is_answered_shortly() -> None:
    faults = parse(raw_campaign(**{"x" * 10_000 + str(i): 1 for i in range(1000)}))
    assert isinstance(faults, list)
    assert len(faults) == 20
    assert all(len(p.column) <= 100 for p in faults)
