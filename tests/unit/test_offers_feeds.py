"""Amounts, times and promotions as other people's feeds write them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.loader.kinds.kind import listed
from offers.campaign import Campaign
from offers.feeds.promotions import CellFault, campaign_of
from offers.interval import NoInterval, instants_of
from offers.money import NoAmount, exponent, minor_of
from offers.places import Places
from tests.reference.offers_world import campaign, store


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("19.99 EUR", "EUR", 1999), ("19.9 EUR", "EUR", 1990), ("19 EUR", "EUR", 1900), (" 0.01 EUR ", "EUR", 1),
        ("500 JPY", "JPY", 500), ("1.234 KWD", "KWD", 1234), ("1 CLF", "CLF", 10_000),
    ],
)  # fmt: skip
def test_amounts(text: str, currency: str, minor: int) -> None:
    assert minor_of(text, currency) == minor


@pytest.mark.parametrize(
    "text", ["", "19.99", "EUR", "19,99 EUR", "19.99 USD", "-1 EUR", "1.999 EUR", "1e3 EUR", "1. EUR", ".5 EUR",
             "٣ EUR", "nan EUR", "1 2 EUR", "1234567890123 EUR"],
)  # fmt: skip
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(NoAmount):
        minor_of(text, "EUR")


@given(st.integers(0, 10**14 - 1), st.sampled_from(["EUR", "JPY", "KWD"]))
def test_amounts_are_exact(minor: int, currency: str) -> None:
    decimals = exponent(currency)
    whole, part = divmod(minor, 10**decimals)
    if whole < 10**12:
        text = f"{whole}.{part:0{decimals}} {currency}" if decimals else f"{whole} {currency}"
        assert minor_of(text, currency) == minor


def test_two_times_in_a_cell() -> None:
    start, end = instants_of("2026-01-01T08:00+02:00/2026-02-01T22:00-0800")
    assert (start.isoformat(), end.isoformat()) == ("2026-01-01T08:00:00+02:00", "2026-02-01T22:00:00-08:00")
    for wrong in ("", "2026-01-01", "2026-01-01T08:00/2026-02-01T08:00", "x/y", "2026-02-01T00:00Z/2026-01-01T00:00Z",
                  "0001-01-01T00:00Z/9999-01-01T00:00Z"):  # fmt: skip
        with pytest.raises(NoInterval):
            instants_of(wrong)


CELLS = {
    "promotion_id": "P-1",
    "long_title": "15 % off",
    "promotion_effective_dates": "2026-01-01T00:00Z/2027-01-01T00:00Z",
    "coupon_value_type": "percent_off",
    "percent_off": "15%",
    "budget": "100",
}


def made(**cells: str) -> Campaign:
    return msgspec.convert(campaign_of(CELLS | cells, "EUR", listed), Campaign, strict=False)


def test_a_promotion_becomes_a_campaign() -> None:
    plain = made()
    assert (plain.code, plain.trigger, plain.radius_m, plain.cap.coupons, plain.everywhere) == (
        "P-1",
        "enter",
        100,
        1,
        True,
    )
    rich = made(
        store_code="a;b", tag="mall|24h", city="Helsinki", drawn="square", trigger="dwell", dwell_s="60",
        limit_quantity="3", item_id="x,y", brand="Bee", product_type="Candles",
        minimum_purchase_amount="20.00 EUR", priority="-3",
        quiet_hours="21:00-08:00", audience="bought_brand:Bee;within_days:30", own_codes="TRUE",
        rrule="FREQ=WEEKLY;BYDAY=SA DURATION=3600", only_while_open="false", redemption_channel="in store",
        product_applicability="specific products", offer_type="no code",
    )  # fmt: skip
    assert (rich.stores, rich.tags, rich.cities, rich.drawn) == (["a", "b"], ["mall", "24h"], ["Helsinki"], ["square"])
    assert (rich.cap.coupons, rich.cap.per_days, rich.offer.products, rich.offer.brands) == (
        3,
        365,
        ["x", "y"],
        ["Bee"],
    )
    assert (rich.offer.minimum_purchase_minor, rich.priority, rich.own_codes) == (2000, -3, True)
    assert rich.schedule.weekly[0].start == "08:00" and rich.schedule.weekly[0].end == "21:00"
    assert rich.schedule.recurrences[0].duration_s == 3600 and not rich.schedule.only_while_open
    assert rich.audience.bought is not None and rich.audience.bought.within_days == 30
    asked = made(trigger="search", product_type="Games")
    assert asked.search is not None and asked.search.categories == ["Games"]


@pytest.mark.parametrize(
    ("cells", "column"),
    [
        ({"coupon_value_type": "free_gift"}, "coupon_value_type"),
        ({"redemption_channel": "online"}, "redemption_channel"),
        ({"product_applicability": "specific_products"}, "product_applicability"),
        ({"holdout_percent": "10"}, "holdout_percent"),
        ({"daily_cap": "1", "limit_quantity": "1"}, "limit_quantity"),
        ({"minimum_purchase_amount": "20"}, "minimum_purchase_amount"),
        ({"quiet_hours": "at night"}, "quiet_hours"),
        ({"audience": "rich:yes"}, "audience"),
        ({"promotion_effective_dates": "soon"}, "promotion_effective_dates"),
    ],
)
def test_what_a_promotion_cannot_say(cells: dict[str, str], column: str) -> None:
    with pytest.raises(CellFault) as caught:
        made(**cells)
    assert caught.value.column == column and caught.value.detail


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"s1", "s2", "s3"}),
        ({"stores": ["s1", "gone"]}, {"s1"}),
        ({"tags": ["MALL "]}, {"s2", "s3"}),
        ({"cities": ["espoo"]}, {"s3"}),
        ({"stores": ["s1"], "cities": ["Espoo"]}, {"s1", "s3"}),
        ({"tags": ["nowhere"]}, set()),
    ],
)
def test_the_stores_a_campaign_is_for(changes: dict[str, Any], expected: set[str]) -> None:
    stores = [store(1), store(2, tags=("mall",), city="Helsinki"), store(3, tags=("Mall",), city="Espoo")]
    places = Places({one.code: one for one in stores})
    assert {one.code for one in places.of(campaign(**changes))} == expected
