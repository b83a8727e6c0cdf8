"""Coupon codes of a retailer's own making: found by a keyed hash, kept under a key outside the database.

Such codes may be short and guessable, so their hash is keyed and their text is sealed. The same code gives the
same bytes.
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers.aead import AESSIV


def own_hash(coupon_key: bytes, retailer: int, code: str) -> bytes:
    """32 bytes by which a till's code is found; letters' case and outer spaces do not matter."""
    text = f"own code\0{retailer}\0{code.strip().upper()}".encode()
    return hmac.digest(coupon_key, text, "sha256")


def seal(coupon_key: bytes, code: str) -> bytes:
    """The code as it is stored."""
    return _cipher(coupon_key).encrypt(code.encode(), None)


def unseal(coupon_key: bytes, sealed: bytes) -> str:
    """Inverse of `seal`; raises `cryptography.exceptions.InvalidTag` for another key's."""
    return _cipher(coupon_key).decrypt(sealed, None).decode()


def _cipher(coupon_key: bytes) -> AESSIV:
    return AESSIV(hashlib.sha512(b"own coupon codes" + coupon_key).digest())
