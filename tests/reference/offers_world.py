"""A small world for the tests of offers: one retailer, a few stores, campaigns by overriding a plain one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np

from offers.budget import Blocks
from offers.campaign import Campaign
from offers.caps import Caps
from offers.catalogue import CampaignRow, Catalogue, ProductRow, StoreRow
from offers.compile import compile_snapshot
from offers.event import Standing, Trigger
from offers.history import History
from offers.snapshot import Snapshot

ALL_CONSENTS = 63
ROW = 3


def ms(text: str) -> int:
    """'2026-11-21T11:00:00Z' as epoch milliseconds."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)


NOW_MS = ms("2026-11-21T11:00:00+00:00")  # a Saturday, 13:00 in Helsinki
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def raw_campaign(**changes: Any) -> dict[str, Any]:
    """A campaign as decoded JSON; *changes* replace top-level fields."""
    plain: dict[str, Any] = {
        "code": "autumn",
        "name": "Autumn",
        "trigger": "enter",
        "radius_m": 100,
        "starts_at": "2026-11-01T00:00:00Z",
        "ends_at": "2026-12-24T18:00:00+02:00",
        "cap": {"coupons": 1, "per_days": 7},
        "budget_coupons": 100,
        "offer": {"kind": "percent_off", "percent": 10, "valid_for_s": 3600},
        "creative": {"title": "Ten off", "body": "Today only"},
    }
    return plain | changes


def campaign(**changes: Any) -> Campaign:
    """The same as a `Campaign`."""
    return msgspec.convert(raw_campaign(**changes), Campaign)


def store(id: int = 1, **changes: Any) -> StoreRow:
    """Store *id* of retailer 1 with the code 's<id>', always open."""
    plain: dict[str, Any] = {
        "id": id,
        "retailer": 1,
        "code": f"s{id}",
        "lat": 60.17 + id / 100,
        "lng": 24.94,
        "zone": "Europe/Helsinki",
        "country": "FI",
        "opening_hours": "24/7",
    }
    return StoreRow(**(plain | changes))


def product(id: int, retailer: int = 1, brand: str | None = None, category: str | None = None) -> ProductRow:
    """Product *id* with the code 'p<id>'."""
    return ProductRow(id, retailer, f"p{id}", brand, category)


def snapshot(
    campaigns: Sequence[Campaign],
    stores: Iterable[StoreRow] = (),
    products: Iterable[ProductRow] = (),
    now_ms: int = NOW_MS,
) -> Snapshot:
    """Compiled; campaigns get the ids 1, 2, ... of retailer 1; without stores there is store 1."""
    rows = [CampaignRow(id, 1, spec) for id, spec in enumerate(campaigns, start=1)]
    return compile_snapshot(Catalogue(list(stores) or [store()], list(products), rows), now_ms)


def standing(granted: Iterable[int] = range(1, 100), **changes: Any) -> Standing:
    """A customer who allows everything and has had nothing; each campaign in *granted* has ten coupons left."""
    blocks = Blocks()
    for id in granted:
        blocks.grant(id, 10)
    plain: dict[str, Any] = {
        "row": ROW,
        "consents": ALL_CONSENTS,
        "caps": Caps(),
        "blocks": blocks,
        "history": History(),
        "now_ms": NOW_MS,
    }
    return Standing(**(plain | changes))


def fence_of(within: Snapshot, store_id: int) -> int:
    """The place of the first fence of a store."""
    return int(np.flatnonzero(within.fence_store == store_id)[0])


def entering(within: Snapshot, *store_ids: int) -> list[Trigger]:
    """Enter triggers for every fence of these stores (all stores for none)."""
    at = within.fence_store.tolist()
    return [Trigger("enter", f) for f, s in enumerate(at) if not store_ids or s in store_ids]


def utc(at_ms: int) -> datetime:
    """The instant as an aware datetime."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)
