"""The errors of offers, sorted by what the caller does about them.

OfferError
├── InvalidHours      the retailer fixes the store's opening hours or time zone
├── IllegalMove       the caller asks for a verb that the campaign's state does not know
├── InvalidCode       the till reads the coupon again
├── BrokenSnapshot    fetch the part again, then give up: its bytes are not what the encoder wrote
└── LedgerError       a bug of the caller: it spends or returns what was never granted
"""

from __future__ import annotations


class OfferError(Exception):
    """Root of all errors the package raises on purpose."""


class InvalidHours(OfferError):
    """Opening hours or a time zone that cannot be read; the sentence names what and where."""


class IllegalMove(OfferError):
    """The state table has no such move."""


class InvalidCode(OfferError):
    """A text that cannot be a coupon code."""


class BrokenSnapshot(OfferError):
    """A snapshot part is missing, truncated or of another version."""


class LedgerError(OfferError):
    """A spend beyond the grant, a refund of nothing, a negative grant."""
