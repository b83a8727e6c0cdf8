"""A retailer with stores and campaigns, and its customers with their phones: made through the API's bulk routes."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Any

from benchmarks.bodies import customer_id
from benchmarks.client import Client
from benchmarks.ground import Square

PAGE = 1_000
STORES_A_CAMPAIGN = 100
BUDGET = 100_000_000
CONSENTS = {"location": True, "marketing_push": True, "marketing_inapp": True}


@dataclass
class World:
    """What was made. Keys are secrets of a stack that lives as long as the bench."""

    client: Client
    retailer: int
    app_key: str = field(repr=False)
    retailer_key: str = field(repr=False)
    campaigns: list[int] = field(default_factory=list)

    def post(self, path: str, body: Any = None) -> Any:
        """As the retailer."""
        return self.client.ask("POST", path, self.retailer_key, body)

    def launch(self, code: str, stores: list[str], radius_m: float, more: dict[str, Any] | None = None) -> int:
        """Make a campaign live; its id."""
        campaign: int = self.post("/v1/campaigns", a_campaign(code, stores, radius_m) | (more or {}))["id"]
        self.post(f"/v1/campaigns/{campaign}/activate")
        self.campaigns.append(campaign)
        return campaign

    def stop(self, campaign: int) -> None:
        """Kill it."""
        self.post(f"/v1/campaigns/{campaign}/stop")


def make(client: Client, admin_key: str, square: Square, customers: int, *, phones: bool = True) -> World:
    """A world without campaigns; without *phones* messages are for the inbox alone."""
    retailer = client.ask("POST", "/v1/retailers", admin_key, {"name": "Bench", "currency": "EUR"})["id"]
    app = client.ask("POST", "/v1/keys", admin_key, {"scope": "app", "name": "bench"})["key"]
    row = {"scope": "retailer", "retailer": retailer, "name": "bench"}
    world = World(client, retailer, app, client.ask("POST", "/v1/keys", admin_key, row)["key"])
    stores = _stores(square)
    for first in range(0, len(stores), PAGE):
        world.post("/v1/stores", {"stores": stores[first : first + PAGE]})
    for first in range(0, customers, PAGE):
        rows = [_customer(index, phones) for index in range(first, min(first + PAGE, customers))]
        client.ask("POST", "/v1/customers", app, {"customers": rows})
    return world


def launch_everywhere(world: World, square: Square, radius_m: float, more: dict[str, Any] | None = None) -> None:
    """Campaigns of a hundred stores each, until every store has one; *more*: in what they differ from `a_campaign`."""
    codes = [store_code(index) for index in range(len(square.fence_east_m))]
    for first in range(0, len(codes), STORES_A_CAMPAIGN):
        world.launch(f"all-{first}", codes[first : first + STORES_A_CAMPAIGN], radius_m, more)


def store_code(index: int) -> str:
    """The code of a store."""
    return f"s{index:06d}"


def a_campaign(code: str, stores: list[str], radius_m: float) -> dict[str, Any]:
    """An enter campaign that nobody's cap, hours or budget holds back."""
    now = datetime.datetime.now(datetime.UTC)
    return {
        "code": code,
        "name": code,
        "trigger": "enter",
        "stores": stores,
        "radius_m": radius_m,
        "starts_at": (now - datetime.timedelta(minutes=1)).isoformat(),
        "ends_at": (now + datetime.timedelta(days=1)).isoformat(),
        "schedule": {"only_while_open": False},
        "cap": {"coupons": 1_000, "per_days": 1},
        "budget_coupons": BUDGET,
        "offer": {"kind": "percent_off", "percent": 10, "valid_for_s": 3600},
        "creative": {"title": "10 % off", "body": "Today in our store"},
    }


def _stores(square: Square) -> list[dict[str, Any]]:
    lat, lng = square.fences
    return [
        {
            "code": store_code(index),
            "name": f"Store {index}",
            "lat": float(lat[index]),
            "lng": float(lng[index]),
            "zone": "Europe/Helsinki",
            "opening_hours": "24/7",
        }
        for index in range(len(lat))
    ]


def instant_now() -> str:
    """RFC 3339."""
    return datetime.datetime.now(datetime.UTC).isoformat()


def _customer(index: int, phones: bool) -> dict[str, Any]:
    one = customer_id(index)
    if not phones:
        consents = CONSENTS | {"marketing_push": False}
        return {"id": one, "zone": "Europe/Helsinki", "consents": consents}
    phone = {"name": "phone", "platform": "android", "kind": "token", "registration": f"bench-{one}"}
    return {"id": one, "zone": "Europe/Helsinki", "consents": CONSENTS, "devices": [phone]}
