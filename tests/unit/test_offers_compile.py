"""Compiling: what becomes a fence, what is left out, and what the bytes hang on."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from offers.catalogue import CampaignRow, Catalogue
from offers.codec import encode
from offers.compile import compile_snapshot
from offers.grounds import fence_id, numbered
from offers.intervals import ALWAYS, UNKNOWN
from tests.reference.offers_world import DAY_MS, NOW_MS, campaign, product, snapshot, store


def test_campaigns_of_one_store_and_radius_share_a_fence() -> None:
    live = snapshot(
        [campaign(code="a"), campaign(code="b", radius_m=100.0004), campaign(code="c", radius_m=50)],
        [store(1), store(2)],
    )
    assert len(live.fences) == 4
    by_fence = {
        (live.fence_store.item(f), live.fences.radius_m.item(f)): [
            live.campaigns[c].id for c in live.postings.campaign[live.postings.ptr[f] : live.postings.ptr[f + 1]]
        ]
        for f in range(4)
    }
    assert by_fence == {(1, 100.0): [1, 2], (2, 100.0): [1, 2], (1, 50.0): [3], (2, 50.0): [3]}
    assert {f: (s, r) for f, s, r in zip(live.fences.fence, live.fence_store, live.fences.radius_m, strict=True)} == {
        fence_id(s, str(round(r * 1000))): (s, r) for s, r in by_fence
    }


def test_a_fence_keeps_its_id_whatever_else_changes() -> None:
    before = snapshot([campaign()], [store(1), store(2)])
    after = snapshot([campaign(code="x", radius_m=30), campaign()], [store(2, lat=61.0), store(3)])
    assert set(before.fences.fence.tolist()) & set(after.fences.fence.tolist()) == {fence_id(2, "100000")}
    assert 0 <= fence_id(2, "100000") < 2**63


def test_fences_whose_ids_collide_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offers.grounds.fence_id", lambda store, outline, salt=0: 7 + salt)
    assert numbered([(2, "5"), (1, "9"), (1, "5")]) == {(1, "5"): 7, (1, "9"): 8, (2, "5"): 9}


def test_dwell_times_of_a_fence_are_those_of_its_dwell_campaigns() -> None:
    live = snapshot([campaign(trigger="dwell", dwell_s=s) for s in (300, 60, 300)] + [campaign(radius_m=50)])
    thresholds = {
        live.fences.radius_m.item(f): live.fences.dwell_s[
            live.fences.dwell_ptr[f] : live.fences.dwell_ptr[f + 1]
        ].tolist()
        for f in range(2)
    }
    assert thresholds == {100.0: [60, 300], 50.0: []}


def test_no_stores_named_means_every_store_of_the_retailer_and_no_other() -> None:
    live = snapshot([campaign(), campaign(stores=["s2", "s2", "gone"])], [store(1), store(2), store(3, retailer=2)])
    assert sorted(live.fence_store.tolist()) == [1, 2]
    assert len(live.postings.campaign) == 3
    assert live.skipped == ()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"stores": ["gone", "s3"]}, "stores"),
        ({"radius_m": 1e6}, "radius"),
        ({"offer": {"kind": "percent_off", "percent": 1, "valid_for_s": 60, "products": ["gone"]}}, "offers"),
        ({"audience": {"bought": {"products": ["p3"], "within_days": 1}}}, "audience"),
        ({"trigger": "search", "search": {"products": ["gone"]}}, "search"),
        ({"trigger": "search"}, "search"),
        ({"trigger": "dwell"}, "dwell"),
    ],
)
def test_a_campaign_whose_parts_vanished_is_left_out_and_says_why(changes: dict[str, Any], why: str) -> None:
    broken = msgspec.structs.replace(campaign(**(changes | {"radius_m": 100})), radius_m=changes.get("radius_m", 100.0))
    live = snapshot(
        [broken, campaign(code="good")], [store(1), store(3, retailer=2)], [product(1), product(3, retailer=2)]
    )
    assert [c.id for c in live.campaigns] == [2]
    assert [(s.campaign, why in s.why) for s in live.skipped] == [(1, True)]
    assert list(live.by_id) == [2]


@pytest.mark.parametrize("changes", [{"lat": 91.0}, {"lng": math.nan}, {"opening_hours": "nonsense"}, {"zone": "x/y"}])
def test_a_broken_store_breaks_nothing_else(changes: dict[str, Any]) -> None:
    weekly = {"weekly": [{"days": ["mon"], "start": "10:00", "end": "11:00"}]}
    live = snapshot([campaign(schedule=weekly)], [store(1, **changes), store(2)])
    assert 2 in live.fence_store
    for f in range(len(live.fences)):
        known = live.postings.hours[f] != UNKNOWN
        assert known == (live.fence_store[f] == 2)


def test_equal_hours_and_weeks_share_a_row() -> None:
    weeks = [
        {
            "weekly": [
                {"days": ["mon"], "start": "10:00", "end": "11:00"},
                {"days": ["tue"], "start": "10:00", "end": "11:00"},
            ]
        },
        {
            "weekly": [
                {"days": ["tue"], "start": "10:00", "end": "11:00"},
                {"days": ["mon"], "start": "10:00", "end": "11:00"},
            ]
        },
        {},
    ]
    live = snapshot(
        [campaign(schedule=week) for week in weeks],
        [store(1), store(2), store(3, zone="Europe/London"), store(4, opening_hours="Mo 10:00-12:00")],
    )
    assert (len(live.hours), len(live.schedules)) == (3, 2)
    assert sorted(set(live.postings.schedule.tolist())) == [ALWAYS, 0, 1]


def test_the_horizon_is_whole_days_so_a_second_compile_of_the_day_is_the_same() -> None:
    midnight = NOW_MS - NOW_MS % DAY_MS
    first = snapshot([campaign()], now_ms=midnight)
    last = snapshot([campaign()], now_ms=midnight + DAY_MS - 1)
    assert encode(first) == encode(last)
    assert (first.from_ms, first.until_ms) == (midnight - DAY_MS, midnight + 9 * DAY_MS)
    assert encode(snapshot([campaign()], now_ms=midnight + DAY_MS)) != encode(first)


def test_a_change_touches_only_its_own_part() -> None:
    stores, products = [store(1)], [product(1, brand="a")]
    before = encode(snapshot([campaign()], stores, products))

    def changed(after: dict[str, bytes]) -> set[str]:
        return {name for name in before if before[name] != after[name]}

    assert changed(encode(snapshot([campaign(priority=5)], stores, products))) == {"campaigns"}
    assert changed(encode(snapshot([campaign()], stores, [product(1, brand="b")]))) == {"catalogue"}
    assert changed(encode(snapshot([campaign()], [replace(store(1), lat=60.0)], products))) == {"fences"}
    assert changed(encode(snapshot([campaign()], stores, products, NOW_MS + DAY_MS))) == {"campaigns"}


def test_arrays_are_read_only() -> None:
    live = snapshot([campaign()], products=[product(1)])
    arrays: list[np.ndarray[Any, Any]] = [
        live.fence_store,
        live.postings.ptr,
        live.postings.campaign,
        live.postings.hours,
        live.hours.starts,
    ]
    for array in [*arrays, *live.products.arrays.values(), *live.fences.arrays().values()]:
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_dates_keep_every_millisecond() -> None:
    live = snapshot([campaign(starts_at=f"2026-11-01T00:00:00.{ms:03}Z") for ms in range(1000)])
    first = live.campaigns[0].starts_ms
    assert [c.starts_ms - first for c in live.campaigns] == list(range(1000))


def test_campaigns_of_other_retailers_do_not_meet() -> None:
    rows = [CampaignRow(1, 1, campaign()), CampaignRow(2, 2, campaign())]
    live = compile_snapshot(Catalogue([store(1), store(2, retailer=2)], [], rows), NOW_MS)
    assert len(live.postings.campaign) == 2
    for f in range(2):
        owner = live.campaigns[live.postings.campaign[f]].retailer
        assert live.fence_store[f] == owner
