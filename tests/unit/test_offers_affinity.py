"""Affinity: its levels, its decay, its order, and whose purchases it may use."""

from __future__ import annotations

from typing import Any

import pytest

from offers.affinity import HALF_LIFE_DAYS, looked_up, profile, weight
from offers.audience import Consent
from offers.decide import decide
from offers.history import History, Purchase
from offers.products import ProductTable
from tests.reference.offers_world import (
    ALL_CONSENTS,
    DAY_MS,
    NOW_MS,
    ROW,
    campaign,
    entering,
    product,
    snapshot,
    standing,
)

PRODUCTS = [
    product(1, brand="Fazer", category="Sweets"),
    product(2, brand="Fazer", category="Bread"),
    product(3, brand="Panda", category="Sweets"),
    product(4, brand="Arla", category="Dairy"),
    product(11, retailer=2, brand="fazer", category="sweets"),
]


def terms(purchases: list[int], consents: int = ALL_CONSENTS, codes: tuple[str, ...] = ("p1",)) -> dict[str, Any]:
    """The affinity terms of an offer of p1 to somebody who just bought these."""
    history = History()
    for id in purchases:
        history.note(ROW, id, NOW_MS, 1)
    offer = {"kind": "percent_off", "percent": 10, "valid_for_s": 60, "products": list(codes)}
    live = snapshot([campaign(offer=offer)], products=PRODUCTS)
    choice = decide(live, entering(live), standing(history=history, consents=int(consents))).choice
    assert choice is not None
    return {name: value for name, value in choice.terms.items() if name.startswith("affinity")}


def test_each_level_has_its_own_term_and_the_affinity_is_their_sum() -> None:
    assert terms([1]) == {
        "affinity": 1.875,
        "affinity_product": 1.0,
        "affinity_brand": 0.5,
        "affinity_category": 0.25,
        "affinity_retailer": 0.125,
    }
    assert terms([2]) == {"affinity": 0.625, "affinity_brand": 0.5, "affinity_retailer": 0.125}
    assert terms([3]) == {"affinity": 0.375, "affinity_category": 0.25, "affinity_retailer": 0.125}
    assert terms([4]) == {"affinity": 0.125, "affinity_retailer": 0.125}
    assert terms([4], codes=()) == {"affinity": 0.125, "affinity_retailer": 0.125}
    assert terms([]) == terms([99]) == {"affinity": 0.0}


def test_other_retailers_purchases_count_only_with_consent_and_none_without_history() -> None:
    assert terms([1, 2, 3], ALL_CONSENTS & ~Consent.CROSS_RETAILER) == terms([1, 2, 3])
    assert terms([11], ALL_CONSENTS & ~Consent.CROSS_RETAILER) == {"affinity": 0.0}
    assert terms([11]) == {"affinity": 0.75, "affinity_brand": 0.5, "affinity_category": 0.25}
    assert terms([1], ALL_CONSENTS & ~Consent.HISTORY) == {"affinity": 0.0}


def test_weight_halves_in_thirty_days_and_grows_slowly_with_quantity() -> None:
    assert HALF_LIFE_DAYS == 30
    assert weight(Purchase(1, NOW_MS, 1), NOW_MS) == 1.0
    assert weight(Purchase(1, NOW_MS - 30 * DAY_MS, 1), NOW_MS) == 0.5
    assert weight(Purchase(1, NOW_MS - 60 * DAY_MS, 3), NOW_MS) == 0.5
    assert weight(Purchase(1, NOW_MS + DAY_MS, 1), NOW_MS) == 1.0
    assert weight(Purchase(1, NOW_MS, 65_535), NOW_MS) == pytest.approx(16.0)


def test_the_order_of_the_purchases_changes_no_bit() -> None:
    table = ProductTable.of(PRODUCTS)
    lines = [Purchase(1 + i % 4, NOW_MS - i * 7_654_321, 1 + i % 5) for i in range(200)]
    there = profile(looked_up(lines, table), False, NOW_MS)
    back = profile(looked_up(lines[::-1], table), False, NOW_MS)
    assert there == back
