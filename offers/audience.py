"""Whether a customer belongs to a campaign's audience, by consent and by what they bought."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntFlag

from offers.affinity import Bought
from offers.live import LiveAudience, Wanted


class Consent(IntFlag):
    """What a customer allows; the bits of `customer.consents`."""

    LOCATION = 1
    HISTORY = 2
    MARKETING_PUSH = 4
    MARKETING_INAPP = 8
    CROSS_RETAILER = 16
    MEASUREMENT = 32


MARKETING = int(Consent.MARKETING_PUSH | Consent.MARKETING_INAPP)


def belongs(
    audience: LiveAudience, retailer: int, history: Sequence[Bought], cross_retailer: bool, now_ms: int
) -> bool:
    """Whether any purchase of the last `within_ms` (to the second, both ends included) is a wanted one.

    A retailer's audience counts purchases of its own products; with *cross_retailer* brand and category count
    across retailers.
    """
    since_s = (now_ms - audience.within_ms) // 1000
    return any(
        bought.purchase.at_ms // 1000 >= since_s and _meets(audience.wanted, bought, retailer, cross_retailer)
        for bought in history
    )


def _meets(wanted: Wanted, bought: Bought, retailer: int, cross_retailer: bool) -> bool:
    if bought.purchase.product in wanted.products:
        return True
    kind = bought.kind
    if kind is None or not (cross_retailer or kind.retailer == retailer):
        return False
    return kind.brand in wanted.brands or kind.category in wanted.categories
