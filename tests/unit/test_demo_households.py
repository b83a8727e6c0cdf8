"""Households: known figures, traps avoided, dates moved by whole weeks, our mapping to shops."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas
import pytest

from engine.demo import households, journey
from engine.demo.city import City, read_city
from engine.demo.households import Households, customer_id, read_households, weeks_to
from engine.demo.journey import FUEL_AND_SUCH, NO_PRODUCT, NOT_PAID, ODD_QUANTITY
from engine.demo.mapping import KINDS, assign, departments, sells
from engine.errors import SettingError

DAYS = 28
OPENING = datetime(2026, 11, 21, 11, tzinfo=ZoneInfo("Europe/Helsinki"))
NOW_MS = int(OPENING.timestamp() * 1_000)


@pytest.fixture(scope="module")
def data() -> Households:
    return read_households(NOW_MS, DAYS)


@pytest.fixture(scope="module")
def city() -> City:
    return read_city()


def test_known_figures(data: Households) -> None:
    assert len(data.households) == 2_469
    assert len(data.purchases) + sum(data.left_out.values()) == 114_253
    assert len(journey.read("products")) == 92_331
    assert len(journey.read("campaign_descriptions")) == 27
    assert journey.read("coupon_redemptions")["household_id"].nunique() == 410


def test_everything_left_out_has_a_reason(data: Households) -> None:
    assert set(data.left_out) == {NO_PRODUCT, FUEL_AND_SUCH, ODD_QUANTITY, NOT_PAID}
    assert all(count > 0 for count in data.left_out.values())


def test_traps_are_avoided(data: Households) -> None:
    purchases = data.purchases
    assert purchases.quantity.min() >= 1 and purchases.quantity.max() <= 50
    assert purchases.paid_cents.min() > 0
    assert set(purchases.product_id.tolist()) == set(data.products)
    assert {product.department for product in data.products.values()} <= set(KINDS)
    prices = [product.price_cents for product in data.products.values()]
    assert min(prices) >= 1 and 150 < np.median(prices) < 400


def test_each_trap_by_hand() -> None:
    frame = pandas.DataFrame(
        [
            ("GROCERY", "SOUP", 1, 0.01),  # kept, the cheapest line there is
            ("GROCERY", "SOUP", 50, 0.10),  # kept: a fifth of a cent each
            ("GROCERY", "SOUP", 51, 9.00),
            ("GROCERY", "SOUP", 0, 9.00),
            ("GROCERY", "SOUP", 1, 0.00),
            ("FUEL", "GASOLINE", 9_000, 20.0),
            ("MISCELLANEOUS", None, 1, 1.00),
            (None, None, 1, 1.00),
        ],
        columns=["department", "product_type", "quantity", "sales_value"],
    )
    kept, left_out = journey._sifted(frame, KINDS.keys())
    assert left_out == {NO_PRODUCT: 1, FUEL_AND_SUCH: 2, ODD_QUANTITY: 2, NOT_PAID: 1}
    kept = kept.assign(
        product_id=[1, 2], package_size=None, brand="Private", product_category="SOUP", manufacturer_id=69
    )
    assert [product.price_cents for product in households._products(kept).values()] == [1, 1]


def test_dates_move_by_whole_weeks_to_end_before_now(data: Households) -> None:
    assert weeks_to(NOW_MS) == 463
    at_ms = data.purchases.at_ms
    assert (np.diff(at_ms) >= 0).all()
    last = datetime.fromtimestamp(at_ms[-1] / 1_000, ZoneInfo("Europe/Helsinki"))
    assert last.isoformat() == "2026-11-15T23:01:20+02:00"  # 2017-12-31 23:01:20 in New York, a Sunday too
    first = datetime.fromtimestamp(at_ms[0] / 1_000, UTC)
    assert first >= datetime(2026, 10, 18, 21, tzinfo=UTC)


def test_shops_are_busy_in_the_afternoon_not_at_night(data: Households) -> None:
    zone = ZoneInfo("Europe/Helsinki")
    hours = Counter(datetime.fromtimestamp(at / 1_000, zone).hour for at in data.purchases.at_ms[::50].tolist())
    assert 11 <= hours.most_common(1)[0][0] <= 19
    assert sum(hours[hour] for hour in range(1, 6)) < 0.03 * hours.total()


def test_shifted_dates_survive_summer_time() -> None:
    spring = datetime(2026, 4, 11, 11, tzinfo=ZoneInfo("Europe/Helsinki"))  # the gap lies among the purchases
    moved = read_households(int(spring.timestamp() * 1_000), DAYS).purchases.at_ms
    assert (np.diff(moved) >= -3_600_000).all() and moved[-1] < spring.timestamp() * 1_000


def test_a_product_is_described(data: Households) -> None:
    gelatin = data.products[28116]
    assert (gelatin.name, gelatin.brand) == ("Gelatin, .3 oz", "Store brand")
    assert (gelatin.category, gelatin.department, gelatin.price_cents) == ("DRY MIX DESSERTS", "GROCERY", 33)
    assert {product.brand for product in data.products.values()} >= {"Store brand", "Maker 2"}


def test_coupons_are_those_redeemed(data: Households) -> None:
    first = data.coupons[0]
    assert (first.upc, first.redemptions, first.campaign_type) == (10000085475, 63, "A")
    assert len(data.coupons) > 400
    for coupon in data.coupons:
        assert coupon.redemptions > 0 and coupon.product_ids and set(coupon.product_ids) <= set(data.products)
        assert coupon.percent_off is None or 5 <= coupon.percent_off <= 50
    order = [(-coupon.redemptions, coupon.upc) for coupon in data.coupons]
    assert order == sorted(order)


def test_customer_ids_are_opaque_and_distinct(data: Households) -> None:
    ids = {customer_id(household, copy) for household in data.households.tolist() for copy in range(3)}
    assert len(ids) == 3 * 2_469
    assert all(len(one) == 22 for one in ids) and customer_id(900) == customer_id(900)


def test_every_department_has_a_shop_in_the_city(city: City) -> None:
    for department in KINDS:
        assert any(sells(shop, department) for shop in city.shops), department


def test_shops_stand_for_stores_by_a_fixed_rule(data: Households, city: City) -> None:
    names = {product.product_id: product.department for product in data.products.values()}
    stores, products = data.purchases.store.tolist(), data.purchases.product_id.tolist()
    visits = {(store, names[product]) for store, product in zip(stores, products, strict=True)}
    found = assign(visits, city.shops)
    assert found.keys() == visits
    assert all(shop is not None and department in departments(shop) for (_, department), shop in found.items())
    assert found == assign(sorted(visits, reverse=True), tuple(reversed(city.shops)))
    grocers = {shop.place_id for (_, department), shop in found.items() if shop and department == "GROCERY"}
    assert len(grocers) > 20


def test_no_suitable_shop_is_said(city: City) -> None:
    bars = [shop for shop in city.shops if shop.kind == "bar"]
    assert assign([(330, "PRODUCE"), (330, "SPIRITS")], bars)[330, "PRODUCE"] is None


def test_without_the_extra_a_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> ModuleSpec | None:
        return None if name == "pyarrow" else ModuleSpec(name, None)

    monkeypatch.setattr(journey, "find_spec", absent)
    with pytest.raises(SettingError, match=r"pip install 'candlemaker\[demo\]'"):
        read_households(NOW_MS, DAYS)


def test_promotions_are_never_read(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def noted(path: Path, **how: Any) -> Any:
        seen.append(path.stem)
        return genuine(path, **how)

    genuine = pandas.read_parquet
    monkeypatch.setattr(pandas, "read_parquet", noted)
    read_households(NOW_MS, 7)
    assert set(seen) == {"transactions", "products", "coupons", "coupon_redemptions", "campaign_descriptions"}
