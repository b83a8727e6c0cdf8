"""The slow twin of compiling and deciding: loops over the rows as they were uploaded, no index, no snapshot."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from offers.campaign import Bought, Campaign, SearchTerms
from offers.catalogue import CampaignRow, Catalogue, ProductRow, StoreRow
from tests.reference.offers_schedule import runs_at

DAY_MS = 86_400_000
LOCATION, HISTORY, PUSH, INAPP, CROSS = 1, 2, 4, 8, 16


@dataclass(frozen=True)
class Event:
    """What happened in the fences named by (store, radius in metres)."""

    kind: str
    fences: frozenset[tuple[int, float]]
    dwell_s: int
    products: frozenset[int]
    brands: frozenset[str]
    categories: frozenset[str]


@dataclass(frozen=True)
class Person:
    """The customer: purchases are (product, at_ms, quantity), coupons (campaign, at_ms)."""

    consents: int
    purchases: tuple[tuple[int, int, int], ...]
    coupons: tuple[tuple[int, int], ...]
    left: Mapping[int, int]
    stopped: frozenset[int]
    stale: bool
    after_reset: bool
    now_ms: int


def opened(store: StoreRow, at_ms: int) -> bool | None:
    """None for unknown hours; knows the three specs that the tests use."""
    if store.opening_hours is None:
        return None
    local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(store.zone))
    return {"24/7": True, "off": False, "Mo-Su 08:00-20:00": 8 <= local.hour < 20}[store.opening_hours]


def words(text: str | None) -> str | None:
    return " ".join(text.lower().split()) if text else None


def choose(catalogue: Catalogue, event: Event, person: Person) -> tuple[tuple[int, int] | None, dict[int, str]]:
    """((campaign, store) or None, campaign → reason)."""
    good: list[tuple[tuple[float, ...], int, int]] = []
    bad: dict[int, list[tuple[int, int, str]]] = {}
    for row in catalogue.campaigns:
        for store in catalogue.stores:
            if store.retailer != row.retailer or (store.id, row.spec.radius_m) not in event.fences:
                continue
            if row.spec.stores and store.code not in row.spec.stores:
                continue
            if row.spec.trigger != event.kind or (event.kind == "dwell" and row.spec.dwell_s != event.dwell_s):
                continue
            rank, why = first_problem(catalogue, row, store, event, person)
            if why:
                bad.setdefault(row.id, []).append((-rank, store.id, why))
            else:
                good.append((key(catalogue, row, store, person), row.id, store.id))
    held = {campaign: min(whys)[2] for campaign, whys in bad.items()}
    for _, campaign, _ in good:
        held[campaign] = "outranked"
    if not good:
        return None, held
    _, campaign, place = min(good)
    held.pop(campaign)
    return (campaign, place), held


def first_problem(
    catalogue: Catalogue, row: CampaignRow, store: StoreRow, event: Event, person: Person
) -> tuple[int, str | None]:
    """Which question failed first, and its reason."""
    spec, now = row.spec, datetime.fromtimestamp(person.now_ms / 1000, UTC)
    by_phone = event.kind != "search"
    wants_hours, open_now = spec.schedule.only_while_open, opened(store, person.now_ms)
    bought, can_see = spec.audience.bought, bool(person.consents & HISTORY)
    had = [at for c, at in person.coupons if c == row.id and person.now_ms - at < spec.cap.per_days * DAY_MS]
    questions = [
        ("stopped", row.id in person.stopped),
        ("not_started", now < spec.starts_at),
        ("ended", now >= spec.ends_at),
        ("stale_event", person.stale),
        ("after_reset", by_phone and person.after_reset),
        ("no_location_consent", by_phone and not person.consents & LOCATION),
        ("no_marketing_consent", not person.consents & PUSH and not person.consents & INAPP),
        ("search_mismatch", event.kind == "search" and not answers(catalogue, row, event)),
        ("outside_schedule", not runs_at(spec.schedule.weekly, ZoneInfo(store.zone), person.now_ms)),
        ("hours_unknown", wants_hours and open_now is None),
        ("store_closed", wants_hours and open_now is False),
        ("no_history_consent", bought is not None and not can_see),
        ("not_in_audience", bought is not None and not in_audience(catalogue, row, bought, person)),
        ("cap_reached", len(had) >= spec.cap.coupons),
        ("budget_exhausted", person.left.get(row.id, 0) <= 0),
    ]
    for rank, (reason, failed) in enumerate(questions):
        if failed:
            return rank, reason
    return len(questions), None


def own_ids(catalogue: Catalogue, row: CampaignRow, codes: list[str]) -> set[int]:
    return {p.id for p in catalogue.products if p.retailer == row.retailer and p.code in codes}


def answers(catalogue: Catalogue, row: CampaignRow, event: Event) -> bool:
    terms = row.spec.search or SearchTerms()
    return bool(
        own_ids(catalogue, row, terms.products) & event.products
        or {words(b) for b in terms.brands} & {words(b) for b in event.brands}
        or {words(c) for c in terms.categories} & {words(c) for c in event.categories}
    )


def visible(catalogue: Catalogue, row: CampaignRow, person: Person) -> list[tuple[ProductRow, int, int]]:
    """The purchases that the campaign's retailer may count."""
    by_id = {p.id: p for p in catalogue.products}
    lines = [(by_id[id], at, q) for id, at, q in person.purchases if id in by_id]
    return [line for line in lines if person.consents & CROSS or line[0].retailer == row.retailer]


def in_audience(catalogue: Catalogue, row: CampaignRow, bought: Bought, person: Person) -> bool:
    ids = own_ids(catalogue, row, bought.products)
    for product, at_ms, _ in visible(catalogue, row, person):
        if person.now_ms - at_ms > bought.within_days * DAY_MS:
            continue
        brand = product.brand and words(product.brand) in map(words, bought.brands)
        category = product.category and words(product.category) in map(words, bought.categories)
        if product.id in ids or brand or category:
            return True
    return False


def key(catalogue: Catalogue, row: CampaignRow, store: StoreRow, person: Person) -> tuple[float, ...]:
    """Smaller is better. The customer stands on the edge of every fence, so a smaller radius is nearer."""
    spec = row.spec
    return (
        -spec.priority,
        -round(affinity(catalogue, row, person), 6),
        -worth(spec),
        spec.radius_m,
        row.id,
        store.id,
    )


def affinity(catalogue: Catalogue, row: CampaignRow, person: Person) -> float:
    if not person.consents & HISTORY:
        return 0.0
    ids = own_ids(catalogue, row, row.spec.offer.products)
    covered = [p for p in catalogue.products if p.id in ids]
    brands = {words(p.brand) for p in covered if p.brand}
    categories = {words(p.category) for p in covered if p.category}
    total = 0.0
    for product, at_ms, quantity in visible(catalogue, row, person):
        weight = math.log2(1 + quantity) * 0.5 ** ((person.now_ms - at_ms) / DAY_MS / 30)
        total += weight * (product.id in ids)
        total += weight * 0.5 * (words(product.brand) in brands if product.brand else 0)
        total += weight * 0.25 * (words(product.category) in categories if product.category else 0)
        total += weight * 0.125 * (product.retailer == row.retailer)
    return total


def worth(spec: Campaign) -> int:
    basket = max(2000, spec.offer.minimum_purchase_minor)
    if spec.offer.percent is not None:
        return basket * spec.offer.percent // 100
    return min(spec.offer.amount_minor or 0, basket)
