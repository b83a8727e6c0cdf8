"""Random worlds in which every reason and every choice comes up often; the same seed gives the same world."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec

from offers.campaign import WEEKDAYS, Campaign
from offers.catalogue import CampaignRow, Catalogue, ProductRow, StoreRow
from tests.reference.offers_decide import Event, Person
from tests.reference.offers_world import DAY_MS, NOW_MS, raw_campaign

RADII = [50.0, 100.0]
DWELLS = [60, 300]
BRANDS = [None, "Fazer", "FAZER ", "Arla"]
CATEGORIES = [None, "sweets", "Sweets", "dairy"]
AGES_MS = [0, 1000, DAY_MS - 1, DAY_MS, DAY_MS + 1000, 7 * DAY_MS, 7 * DAY_MS + 1000]


def some(draw: Random, values: list[Any], least: int = 0) -> list[Any]:
    """A few of *values*, in random order."""
    return draw.sample(values, draw.randint(least, min(len(values), least + 2)))


def rarely(draw: Random, one_in: int) -> bool:
    return draw.randrange(one_in) == 0


def catalogue(draw: Random) -> Catalogue:
    """Up to four stores, six products and eight campaigns of two retailers."""
    stores = [_store(draw, id) for id in range(1, draw.randint(2, 5))]
    products = [
        ProductRow(id, 1 + id % 2, f"p{id // 2}", draw.choice(BRANDS), draw.choice(CATEGORIES))
        for id in range(draw.randint(0, 6))
    ]
    campaigns = [CampaignRow(id, draw.choice([1, 1, 1, 2]), _campaign(draw, id)) for id in range(1, draw.randint(3, 9))]
    return Catalogue(stores, products, campaigns)


def _store(draw: Random, id: int) -> StoreRow:
    zone = draw.choice(["Europe/Helsinki", "Europe/Helsinki", "America/New_York"])
    hours = draw.choice([None, "24/7", "24/7", "24/7", "off", "Mo-Su 08:00-20:00"])
    return StoreRow(id, draw.choice([1, 1, 1, 2]), f"s{id}", 60.0 + id, 24.9, zone, None, hours)


def _campaign(draw: Random, id: int) -> Campaign:
    trigger = draw.choice(["enter", "enter", "dwell", "search"])
    raw = raw_campaign(
        code=f"c{id}",
        trigger=trigger,
        stores=[] if draw.random() < 0.6 else some(draw, ["s1", "s2", "s3", "gone"], 1),
        radius_m=draw.choice(RADII),
        dwell_s=draw.choice(DWELLS) if trigger == "dwell" else 0,
        starts_at="2026-11-21T11:00:01Z" if rarely(draw, 12) else "2026-11-21T11:00:00Z",
        ends_at="2026-11-21T11:00:00.001Z" if rarely(draw, 12) else "2026-12-24T00:00:00Z",
        schedule={"weekly": _weekly(draw), "only_while_open": draw.random() < 0.7},
        audience={"bought": _bought(draw) if rarely(draw, 3) else None},
        cap={"coupons": draw.randint(1, 2), "per_days": draw.choice([1, 7])},
        priority=draw.choice([0, 0, 0, 1]),
        offer=_offer(draw),
        search=_search(draw) if trigger == "search" else None,
    )
    if rarely(draw, 12):
        raw |= {"starts_at": "2026-11-01T00:00:00Z", "ends_at": "2026-11-21T11:00:00Z"}
    return msgspec.convert(raw, Campaign)


def _weekly(draw: Random) -> list[dict[str, Any]]:
    if draw.random() < 0.7:
        return []
    start, end = draw.choice(["00:00", "12:00", "13:00", "22:00"]), draw.choice(["13:00", "13:01", "24:00", "06:00"])
    return [{"days": draw.sample(list(WEEKDAYS), 5), "start": start, "end": end}]


def _bought(draw: Random) -> dict[str, Any]:
    return {
        "products": some(draw, ["p0", "p1", "p2"], 1),
        "brands": some(draw, ["fazer", "Arla"]),
        "categories": some(draw, ["SWEETS", "dairy"]),
        "within_days": draw.choice([1, 7]),
    }


def _search(draw: Random) -> dict[str, Any]:
    return {
        "products": some(draw, ["p0", "p1", "p2"]),
        "brands": some(draw, ["fazer"], 1),
        "categories": some(draw, ["Sweets"]),
    }


def _offer(draw: Random) -> dict[str, Any]:
    if draw.random() < 0.3:
        return {"kind": "money_off", "amount_minor": draw.choice([100, 200, 5000]), "valid_for_s": 60}
    products = some(draw, ["p0", "p1", "p2"]) if draw.random() < 0.5 else []
    return {"kind": "percent_off", "percent": draw.choice([5, 10]), "products": products, "valid_for_s": 60}


def person(draw: Random) -> Person:
    """Somebody who mostly allows everything."""
    lacking = draw.choice([0, 0, 0, 0, 16, 16, 1, 2, 4, 12])
    return Person(
        consents=63 - lacking,
        purchases=tuple(
            (draw.randint(0, 7), (NOW_MS - draw.choice(AGES_MS)) // 1000 * 1000, draw.randint(1, 9))
            for _ in range(draw.randint(0, 4))
        ),
        coupons=tuple((draw.randint(1, 8), NOW_MS - draw.choice(AGES_MS)) for _ in range(draw.randint(0, 4))),
        left={id: draw.choice([0, 1, 2, 2]) for id in range(1, 9)},
        stopped=frozenset(some(draw, [1, 2, 3, 4])) if rarely(draw, 4) else frozenset(),
        stale=rarely(draw, 25),
        after_reset=rarely(draw, 25),
        now_ms=NOW_MS,
    )


def happening(draw: Random) -> Event:
    """Something that happens in many fences at once."""
    return Event(
        kind=draw.choice(["enter", "enter", "dwell", "search"]),
        fences=frozenset((s, r) for s in range(1, 6) for r in RADII if draw.random() < 0.7),
        dwell_s=draw.choice(DWELLS),
        products=frozenset(some(draw, list(range(6)))),
        brands=frozenset(some(draw, ["FAZER", "arla"])),
        categories=frozenset(some(draw, ["sweets", "dairy"])),
    )
