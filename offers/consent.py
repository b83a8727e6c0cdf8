"""What a customer allows."""

from __future__ import annotations

from enum import IntFlag
from typing import Final


class Consent(IntFlag):
    """The bits of `customer.consents`."""

    LOCATION = 1
    HISTORY = 2
    MARKETING_PUSH = 4
    MARKETING_INAPP = 8
    CROSS_RETAILER = 16
    MEASUREMENT = 32


LOCATION: Final = int(Consent.LOCATION)
HISTORY: Final = int(Consent.HISTORY)
CROSS_RETAILER: Final = int(Consent.CROSS_RETAILER)
MARKETING: Final = int(Consent.MARKETING_PUSH | Consent.MARKETING_INAPP)
"""By any channel."""
