"""How much a customer's purchases speak for an offer: what the levels are, and how purchases fade.

A purchase weighs log2(1 + quantity), since somebody who buys fuel by the litre is not ten thousand times as fond of
it, and loses half of that every 30 days. What the offer's products, their brands, their categories and its retailer
add up to are four terms; their sum is the affinity. Decayed purchases of a coupon's products are the strongest
untrained signal for its redemption in the Complete Journey data (area under the curve .865 against .776 for
popularity), and the terms are those a trained score will weigh. Brands and categories count across retailers for
customers who allow it. The sums are `offers.kernels.bought`.
"""

from __future__ import annotations

from typing import Final

HALF_LIFE_DAYS: Final = 30.0
# Chosen by hand, each half as telling as the one before.
PRODUCT: Final = 1.0
BRAND: Final = 0.5
CATEGORY: Final = 0.25
RETAILER: Final = 0.125
