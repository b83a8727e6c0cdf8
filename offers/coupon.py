"""Coupon codes and what a coupon takes off a basket.

A code is an HMAC of the coupon's id under a key outside the database: it can be shown again at any time and cannot
be read from a dump. 80 bits make guessing hopeless within any life of a coupon.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from uuid import UUID

from offers.campaign import Offer
from offers.errors import InvalidCode

# Crockford's base 32: no I, L, O, U, so that nothing is misread and no word appears. https://www.crockford.com/base32.html
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_FROM_RFC_4648 = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", ALPHABET.encode("ascii"))
MISREAD = str.maketrans({"O": "0", "I": "1", "L": "1"})
CODE_BYTES = 10
CODE_LETTERS = 16
MOST_TYPED = 64


def code(key: bytes, coupon_id: UUID) -> str:
    """XXXX-XXXX-XXXX-XXXX: the first 80 bits of HMAC-SHA256(key, id), in Crockford's base 32."""
    digest = hmac.digest(key, coupon_id.bytes, "sha256")
    return _grouped(base64.b32encode(digest[:CODE_BYTES]).translate(_FROM_RFC_4648).decode("ascii"))


def normalise(text: str) -> str:
    """What a person typed or a scanner read → the code as issued; raises `InvalidCode` (without the text in it)."""
    if len(text) > MOST_TYPED:
        raise InvalidCode("a coupon code has 16 letters and digits")
    letters = "".join(c for c in text if c not in "-‐‑– \t").upper().translate(MISREAD)
    if len(letters) != CODE_LETTERS or any(c not in ALPHABET for c in letters):
        raise InvalidCode("a coupon code has 16 letters and digits, such as 7QJ2-0B4M-XK9T-3HVC")
    return _grouped(letters)


def code_hash(code: str) -> bytes:
    """SHA-256 of a normal code, 32 bytes: what the database stores. 80 random bits need no salt."""
    return hashlib.sha256(code.encode("ascii")).digest()


def discount_minor(offer: Offer, basket_minor: int) -> int:
    """What the offer takes off a basket, in minor units: 0 .. basket.

    *basket_minor* is the price of what the offer covers, before the discount. Below the minimum purchase nothing
    is taken off. A percentage is rounded down: a till cannot pay parts of a minor unit, and rounding up would take
    off more than the percentage promised (and the retailer agreed to).
    """
    if basket_minor < 0:
        raise ValueError(f"a basket cannot be worth {basket_minor}")
    if basket_minor < offer.minimum_purchase_minor:
        return 0
    if offer.kind == "percent_off":
        return basket_minor * (offer.percent or 0) // 100
    return min(offer.amount_minor or 0, basket_minor)


def _grouped(letters: str) -> str:
    return "-".join(letters[i : i + 4] for i in range(0, CODE_LETTERS, 4))
