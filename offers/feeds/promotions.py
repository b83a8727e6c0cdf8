"""A campaign as a row of a table: the column names of Google's promotions, and our own.

https://support.google.com/merchants/answer/2906014 names the columns. What they leave open is stated here: a promotion
without `trigger` greets who enters, within 100 m, once a day, in every store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from offers.interval import NoInterval, instants_of
from offers.money import NoAmount, minor_of

_NAMES = (
    "promotion_id", "product_applicability", "offer_type", "long_title", "promotion_effective_dates",
    "redemption_channel", "coupon_value_type", "percent_off", "money_off_amount", "minimum_purchase_amount",
    "limit_quantity", "item_id", "brand", "product_type", "store_code", "trigger", "radius_m", "dwell_s", "eta_minutes",
    "audience", "daily_cap", "budget", "priority", "holdout_percent", "quiet_hours", "tag", "city", "drawn",
    "name", "title", "body", "valid_for_s", "only_while_open", "rrule", "own_codes",
)  # fmt: skip
COLUMNS: Mapping[str, str] = {
    **dict(zip(_NAMES, _NAMES, strict=True)),
    "code": "promotion_id",
    "store": "store_code",
    "description": "body",
}
REQUIRED = frozenset({"promotion_id", "long_title", "promotion_effective_dates", "coupon_value_type", "budget"})
RADIUS_M, VALID_S = "100", "86400"
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
AUDIENCES = {"bought_product": "products", "bought_brand": "brands", "bought_category": "categories"}

Cells = Mapping[str, str]
Many = Callable[[str], list[str]]


class CellFault(ValueError):
    """A cell that cannot be read; its column, a stable code and a sentence."""

    def __init__(self, column: str, code: str, detail: str) -> None:
        super().__init__(code)
        self.column, self.code, self.detail = column, code, detail


def campaign_of(cells: Cells, currency: str, many: Many) -> dict[str, Any]:
    """What `Campaign` is converted from; numbers stay texts, *many* splits a cell that holds several. Raises
    `CellFault`."""
    _require_known(cells)
    code, long_title = cells.get("promotion_id", ""), cells.get("long_title", "")
    starts_at, ends_at = _dates(cells)
    trigger = cells.get("trigger", "enter").lower()
    found: dict[str, Any] = {
        "code": code,
        "name": cells.get("name", long_title)[:200],
        "trigger": trigger,
        "stores": many(cells.get("store_code", "")),
        "tags": many(cells.get("tag", "")),
        "cities": many(cells.get("city", "")),
        "drawn": many(cells.get("drawn", "")),
        "radius_m": cells.get("radius_m", RADIUS_M),
        "starts_at": starts_at,
        "ends_at": ends_at,
        "schedule": _schedule(cells, starts_at),
        "audience": _audience(cells, many),
        "cap": _cap(cells),
        "budget_coupons": cells.get("budget", ""),
        "offer": _offer(cells, currency, many),
        "creative": {"title": cells.get("title", long_title)[:120], "body": cells.get("body", long_title)[:400]},
        "own_codes": cells.get("own_codes", "false").lower(),
    }
    for name in ("dwell_s", "eta_minutes", "priority"):
        if name in cells:
            found[name] = cells[name]
    if trigger == "search":
        found["search"] = _terms(cells, many)
    return found


def _require_known(cells: Cells) -> None:
    """Words that say something we cannot do are refused, not read over."""
    for column, known in (
        ("product_applicability", ("all_products", "specific_products")),
        ("offer_type", ("no_code", "generic_code")),
        ("coupon_value_type", ("percent_off", "money_off")),
    ):
        word = _word(cells, column)
        if word and word not in known:
            raise CellFault(column, "value", f"one of {', '.join(known)}")
    if "in_store" not in _word(cells, "redemption_channel", "in_store"):
        raise CellFault("redemption_channel", "value", "coupons are redeemed in_store")
    if cells.get("holdout_percent", "0").strip() not in ("0", "0%"):
        raise CellFault("holdout_percent", "not_supported", "nobody is held out yet: leave it at 0")
    if _word(cells, "product_applicability") == "specific_products" and not any(
        name in cells for name in ("item_id", "brand", "product_type")
    ):
        raise CellFault("product_applicability", "missing", "name the products by item_id, brand or product_type")


def _word(cells: Cells, column: str, default: str = "") -> str:
    return cells.get(column, default).strip().lower().replace(" ", "_")


def _dates(cells: Cells) -> tuple[str, str]:
    try:
        start, end = instants_of(cells.get("promotion_effective_dates", ""))
    except NoInterval as error:
        raise CellFault("promotion_effective_dates", "value", str(error)) from None
    return start.isoformat(), end.isoformat()


def _offer(cells: Cells, currency: str, many: Many) -> dict[str, Any]:
    kind = _word(cells, "coupon_value_type")
    offer: dict[str, Any] = {
        "kind": kind,
        "products": many(cells.get("item_id", "")),
        "brands": many(cells.get("brand", "")),
        "categories": many(cells.get("product_type", "")),
        "valid_for_s": cells.get("valid_for_s", VALID_S),
    }
    if "percent_off" in cells:
        offer["percent"] = cells["percent_off"].strip().removesuffix("%").strip()
    if "money_off_amount" in cells:
        offer["amount_minor"] = _money(cells, "money_off_amount", currency)
    if "minimum_purchase_amount" in cells:
        offer["minimum_purchase_minor"] = _money(cells, "minimum_purchase_amount", currency)
    return offer


def _money(cells: Cells, column: str, currency: str) -> int:
    try:
        return minor_of(cells[column], currency)
    except NoAmount as error:
        raise CellFault(column, "value", str(error)) from None


def _cap(cells: Cells) -> dict[str, Any]:
    """`daily_cap` coupons a day; or `limit_quantity` in a year, which is as long as a campaign may remember."""
    if "daily_cap" in cells and "limit_quantity" in cells:
        raise CellFault("limit_quantity", "not_applicable", "give either daily_cap or limit_quantity")
    if "limit_quantity" in cells:
        return {"coupons": cells["limit_quantity"], "per_days": 365}
    return {"coupons": cells.get("daily_cap", "1"), "per_days": 1}


def _schedule(cells: Cells, starts_at: str) -> dict[str, Any]:
    schedule: dict[str, Any] = {"only_while_open": cells.get("only_while_open", "true").lower()}
    if "quiet_hours" in cells:
        start, dash, end = cells["quiet_hours"].strip().partition("-")
        if not dash:
            raise CellFault("quiet_hours", "value", "two times of day, such as 21:00-08:00")
        schedule["weekly"] = [{"days": DAYS, "start": end.strip(), "end": start.strip()}]
    if "rrule" in cells:
        rule, _, lasts_s = cells["rrule"].partition(" DURATION=")
        lasts = lasts_s.strip() or "86400"
        schedule["recurrences"] = [{"rrule": rule.strip(), "start": starts_at[:16], "duration_s": lasts}]
    return schedule


def _audience(cells: Cells, many: Many) -> dict[str, Any]:
    """`bought_brand:Bee; bought_category:Candles; within_days:30`."""
    if "audience" not in cells:
        return {}
    bought: dict[str, Any] = {"within_days": "90"}
    for part in many(cells["audience"]):
        name, _, value = part.partition(":")
        if name.strip() == "within_days":
            bought["within_days"] = value.strip()
        elif name.strip() in AUDIENCES:
            bought.setdefault(AUDIENCES[name.strip()], []).append(value.strip())
        else:
            known = ", ".join((*AUDIENCES, "within_days"))
            raise CellFault("audience", "value", f"{name.strip()[:40]!r} is none of {known}, each with : and a value")
    return {"bought": bought}


def _terms(cells: Cells, many: Many) -> dict[str, Any]:
    """What a search campaign answers is what its offer is for."""
    names = {"products": "item_id", "brands": "brand", "categories": "product_type"}
    return {ours: many(cells.get(theirs, "")) for ours, theirs in names.items()}
