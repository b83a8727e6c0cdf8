"""Coupon codes and discounts."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any
from uuid import UUID

import msgspec
import pytest

from offers.campaign import Offer
from offers.coupon import ALPHABET, code, code_hash, discount_minor, normalise
from offers.errors import InvalidCode

KEY = b"a key of the test, 32 bytes long"
ID = UUID("018f2b6e-7f00-7000-8000-000000000001")


def offer(**changes: Any) -> Offer:
    return msgspec.convert({"kind": "percent_off", "percent": 15, "valid_for_s": 60} | changes, Offer)


def test_a_code_is_the_first_eighty_bits_of_the_hmac_in_base_32() -> None:
    bits = "".join(f"{byte:08b}" for byte in hmac.new(KEY, ID.bytes, hashlib.sha256).digest()[:10])
    letters = "".join(ALPHABET[int(bits[i : i + 5], 2)] for i in range(0, 80, 5))
    assert code(KEY, ID) == "-".join(letters[i : i + 4] for i in (0, 4, 8, 12))


def test_the_code_hangs_on_key_and_id() -> None:
    other = UUID(int=ID.int + 1)
    assert len({code(KEY, ID), code(KEY, other), code(KEY + b"!", ID)}) == 3


@pytest.mark.parametrize(
    "typed", ["0123-4567-89AB-CDEF", "o123456789abcdef", " OI23 4567 89ab-cdef ", "0l23–4567-89AB-CDEF"]
)
def test_what_people_type_is_read_as_the_code(typed: str) -> None:
    assert normalise(typed) == "0123-4567-89AB-CDEF"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "0123-4567-89AB-CDE",
        "0123-4567-89AB-CDEFG",
        "U123-4567-89AB-CDEF",
        "ß" * 16,
        "１" * 16,
        "0" * 65,
        "0123\x004567 89AB CDEF",
    ],
)
def test_what_cannot_be_a_code_is_refused_without_repeating_it(typed: str) -> None:
    with pytest.raises(InvalidCode) as refused:
        normalise(typed)
    assert not typed or typed not in str(refused.value)


def test_the_hash_is_sha256_of_the_normal_code() -> None:
    assert code_hash("0123-4567-89AB-CDEF") == hashlib.sha256(b"0123-4567-89AB-CDEF").digest()


def test_a_percentage_rounds_down_and_never_exceeds_the_basket() -> None:
    assert [discount_minor(offer(), basket) for basket in (0, 1, 6, 7, 1999)] == [0, 0, 0, 1, 299]
    assert discount_minor(offer(percent=100), 1999) == 1999
    # Far beyond what a float holds exactly.
    assert discount_minor(offer(percent=33), 10**18 + 1) == 330_000_000_000_000_000


def test_money_off_stops_at_the_basket_and_needs_the_minimum() -> None:
    money = offer(kind="money_off", percent=None, amount_minor=500, minimum_purchase_minor=300)
    assert [discount_minor(money, basket) for basket in (299, 300, 500, 900)] == [0, 300, 500, 500]


def test_a_negative_basket_is_refused() -> None:
    with pytest.raises(ValueError, match="-1"):
        discount_minor(offer(), -1)
