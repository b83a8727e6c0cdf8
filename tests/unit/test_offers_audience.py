"""Audiences by purchases: windows, brands, and whose purchases a retailer may count."""

from __future__ import annotations

from typing import Any

import pytest

from offers.catalogue import ProductRow
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

OWN = product(1, retailer=1, brand="Fazer", category="Sweets")
OWN_OTHER = product(2, retailer=1, brand="Arla", category="Dairy")
RIVALS = product(11, retailer=2, brand=" FAZER", category="sweets")
ALONE = ALL_CONSENTS & ~Consent.CROSS_RETAILER


def reached(
    bought: dict[str, Any],
    purchases: dict[int, int],
    consents: int = ALONE,
    products: tuple[ProductRow, ...] = (OWN, OWN_OTHER, RIVALS),
) -> bool:
    """Whether the customer with *purchases* (product → milliseconds before now) is in the audience."""
    history = History()
    for id, ago_ms in purchases.items():
        history.note(ROW, id, NOW_MS - ago_ms, 1)
    live = snapshot([campaign(audience={"bought": {"within_days": 30} | bought})], products=products)
    verdict = decide(live, entering(live), standing(history=history, consents=int(consents)))
    return verdict.choice is not None


@pytest.mark.parametrize("bought", [{"products": ["p1"]}, {"brands": ["fazer "]}, {"categories": ["SWEETS"]}], ids=str)
def test_product_brand_and_category_match(bought: dict[str, Any]) -> None:
    assert reached(bought, {1: 0})
    assert not reached(bought, {2: 0})
    assert not reached(bought, {})


def test_the_window_is_closed_at_its_far_end() -> None:
    assert reached({"products": ["p1"]}, {1: 30 * DAY_MS})
    assert not reached({"products": ["p1"]}, {1: 30 * DAY_MS + 1000})


@pytest.mark.parametrize("bought", [{"brands": ["Fazer"]}, {"categories": ["Sweets"]}], ids=str)
def test_a_rivals_sales_count_only_with_the_customers_consent(bought: dict[str, Any]) -> None:
    assert not reached(bought, {11: 0})
    assert reached(bought, {11: 0}, ALL_CONSENTS)


def test_a_rivals_product_with_the_same_code_is_another_product() -> None:
    rivals_p1 = ProductRow(11, 2, "p1", None, None)
    assert not reached({"products": ["p1"]}, {11: 0}, ALL_CONSENTS, (OWN, rivals_p1))


def test_a_product_no_longer_in_the_catalogue_has_no_brand() -> None:
    assert not reached({"brands": ["Fazer"]}, {1: 0}, ALL_CONSENTS, (OWN_OTHER,))
