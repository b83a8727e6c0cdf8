"""Consent purposes as bits of one integer, as `customer.consents` stores them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PURPOSES: Mapping[str, int] = MappingProxyType(
    {
        "location": 1,
        "history": 2,
        "marketing_push": 4,
        "marketing_inapp": 8,
        "cross_retailer": 16,
        "measurement": 32,
    }
)
LOCATION = PURPOSES["location"]
HISTORY = PURPOSES["history"]
BITS = 6


def to_bits(purposes: Mapping[str, bool | None], before: int = 0) -> int:
    """*before* with the named purposes set or cleared; a purpose that is None or not named stays."""
    bits = before
    for purpose, given in purposes.items():
        if given is not None:
            bits = bits | PURPOSES[purpose] if given else bits & ~PURPOSES[purpose]
    return bits


def to_purposes(bits: int) -> dict[str, bool]:
    """Every purpose and whether it is consented to."""
    return {purpose: bool(bits & bit) for purpose, bit in PURPOSES.items()}
