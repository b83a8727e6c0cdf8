"""Amounts as texts, `19.99 EUR`, to integer minor units: exact, never through a float."""

from __future__ import annotations

import re

# ISO 4217: currencies whose minor unit is not a hundredth.
_EXPONENTS = {
    **dict.fromkeys(
        [
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ],
        0,
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
_AMOUNT = re.compile(r"(?P<sign>-?)(?P<whole>[0-9]{1,12})(?:\.(?P<part>[0-9]+))?")


class NoAmount(ValueError):
    """A text that is no amount in that currency; the sentence says why."""


def exponent(currency: str) -> int:
    """Decimals of a currency by ISO 4217; 2 for one it does not single out."""
    return _EXPONENTS.get(currency, 2)


def minor_of(text: str, currency: str) -> int:
    """`19.99 EUR` → 1999; raises `NoAmount` for another currency, no currency, too many decimals, a minus, a comma."""
    amount, _, named = text.strip().rpartition(" ")
    if not amount:
        raise NoAmount(f"write an amount and the currency, such as 19.99 {currency}")
    if named != currency:
        raise NoAmount(f"the retailer's amounts are in {currency}")
    found = _AMOUNT.fullmatch(amount.strip())
    if found is None:
        hint = ", with a point before the decimals" if "," in amount else ""
        raise NoAmount(f"write the amount in digits{hint}, such as 19.99 {currency}")
    if found["sign"]:
        raise NoAmount("an amount is not negative")
    part, decimals = found["part"] or "", exponent(currency)
    if len(part) > decimals:
        raise NoAmount(f"{currency} has {decimals} decimals")
    return int(found["whole"] + part.ljust(decimals, "0"))
