"""Affinity: its levels, its decay, its order, and whose purchases it may use."""

from __future__ import annotations

import math
from typing import Any

import pytest

from offers.affinity import HALF_LIFE_DAYS
from offers.consent import Consent
from offers.decide import decide
from offers.history import History
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
    return told([(id, NOW_MS, 1) for id in purchases], consents, codes)


def told(
    lines: list[tuple[int, int, int]], consents: int = ALL_CONSENTS, codes: tuple[str, ...] = ("p1",)
) -> dict[str, Any]:
    """The same of purchases (product, at_ms, quantity)."""
    history = History()
    for id, at_ms, quantity in lines:
        history.note(ROW, id, at_ms, quantity)
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


def weight(at_ms: int, quantity: int) -> float:
    """What one purchase of the offer's product adds to the affinity by product."""
    return float(told([(1, at_ms, quantity)])["affinity_product"])


def test_weight_halves_in_thirty_days_and_grows_slowly_with_quantity() -> None:
    assert HALF_LIFE_DAYS == 30
    assert weight(NOW_MS, 1) == 1.0
    assert weight(NOW_MS - 30 * DAY_MS, 1) == 0.5
    assert weight(NOW_MS - 60 * DAY_MS, 3) == 0.5
    assert weight(NOW_MS + DAY_MS, 1) == 1.0
    assert weight(NOW_MS, 65_535) == pytest.approx(16.0)


@pytest.mark.parametrize("count", [200, 2_000])
def test_the_order_of_the_purchases_changes_no_bit(count: int) -> None:
    lines = [(1 + i % 4, NOW_MS - i * 7_654_321, 1 + i % 5) for i in range(count)]
    there = told(lines)
    assert there == told(lines[::-1])
    assert there["affinity_product"] == pytest.approx(math.fsum(heft(*line) for line in lines if line[0] == 1))


def heft(_: int, at_ms: int, quantity: int) -> float:
    return math.log2(1 + quantity) * math.exp2(-(NOW_MS - at_ms // 1000 * 1000) / DAY_MS / 30)
