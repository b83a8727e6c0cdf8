"""The app's mix on a running `candlemaker up`: 70 % pings, 15 % searches, 10 % purchases, 5 % redemptions.

    candlemaker up &
    pip install 'candlemaker[bench]'
    CANDLEMAKER_ADMIN_KEY=$(cat .candlemaker/admin.key) locust -f benchmarks/locustfile.py --headless \
        --host http://127.0.0.1:8470 --users 50 --spawn-rate 25 --run-time 60s

It makes a retailer, stores, products, a campaign and customers of its own before the first user starts, so the host
must be a loopback address, and without --run-time it ends after two minutes. Each user is one phone with a customer
token: it steps in and out of a store, searches, buys, and carries the coupons it was given to the till.
"""

from __future__ import annotations

import datetime
import ipaddress
import itertools
import os
import random
import secrets
import socket
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from locust import HttpUser, between, constant, constant_throughput, events, task

from benchmarks.client import Client
from benchmarks.ground import MIDDLE
from benchmarks.world import a_campaign

LONGEST_S = 120
STORES = 20
CUSTOMERS = 500
STEP = 0.01
"""Degrees of latitude between stores, and from a store to outside: a kilometre."""


@dataclass
class Town:
    """What the users share."""

    admin: Client
    app_key: str = field(repr=False)
    till_key: str = field(repr=False)
    retailer: int
    shop: str
    """The retailer's name, as its coupons have it."""
    names: list[str]
    turns: itertools.count[int] = field(default_factory=itertools.count)


_towns: list[Town] = []


def bound(environment: Any, **_: Any) -> None:
    """Refuse a host that is not this machine, and an endless run."""
    host = environment.host or (environment.parsed_options and environment.parsed_options.host)
    if not host or not on_loopback(host):
        raise SystemExit("--host must be a loopback address: the run writes customers and campaigns there")
    if environment.parsed_options and environment.parsed_options.run_time is None:
        environment.parsed_options.run_time = LONGEST_S


def furnish(environment: Any, **_: Any) -> None:
    """Make the town."""
    key = os.environ.get("CANDLEMAKER_ADMIN_KEY", "")
    if not key:
        raise SystemExit("set CANDLEMAKER_ADMIN_KEY to the admin key of the stack: <data>/admin.key")
    _towns.append(town(Client(environment.host), key))


events.init.add_listener(bound)  # type: ignore[no-untyped-call]  # locust leaves it unannotated
events.test_start.add_listener(furnish)  # type: ignore[no-untyped-call]  # as above


def on_loopback(host: str) -> bool:
    """Whether every address of the URL's host is of this machine."""
    name = urlsplit(host).hostname or ""
    try:
        found = {info[4][0] for info in socket.getaddrinfo(name, None)}
    except OSError:
        return False
    return bool(found) and all(ipaddress.ip_address(one).is_loopback for one in found)


def town(client: Client, admin_key: str) -> Town:
    """A retailer of its own name, with all a user needs."""
    name = f"locust-{secrets.token_hex(4)}"
    retailer = client.ask("POST", "/v1/retailers", admin_key, {"name": name, "currency": "EUR"})["id"]

    def key(scope: str, **more: Any) -> str:
        text: str = client.ask("POST", "/v1/keys", admin_key, {"scope": scope, "name": name} | more)["key"]
        return text

    app, till, own = key("app"), key("till", retailer=retailer), key("retailer", retailer=retailer)
    client.ask("POST", "/v1/stores", own, {"stores": [_store(name, number) for number in range(STORES)]})
    products = [{"code": f"p{n}", "name": f"Candle {n}", "brand": "Bee", "category": "Candles"} for n in range(50)]
    client.ask("POST", "/v1/products", own, {"products": products})
    prices = [{"product": f"p{n}", "price_minor": 500 + n, "currency": "EUR"} for n in range(50)]
    client.ask("POST", "/v1/prices", own, {"prices": prices})
    campaign = a_campaign(name, [], 100.0)
    number = client.ask("POST", "/v1/campaigns", own, campaign)["id"]
    client.ask("POST", f"/v1/campaigns/{number}/activate", own)
    names = [f"{name}-{number}" for number in range(CUSTOMERS)]
    consents = {"location": True, "history": True, "marketing_inapp": True}
    rows = [{"id": one, "zone": "Europe/Helsinki", "consents": consents} for one in names]
    client.ask("POST", "/v1/customers", app, {"customers": rows})
    return Town(client, app, till, retailer, name, names)


def _wait_time() -> Any:
    """CANDLEMAKER_LOAD_A_USER: requests a second of each user, 0: as many as are answered; unset: a short pause."""
    given = os.environ.get("CANDLEMAKER_LOAD_A_USER")
    if given is None:
        return between(0.01, 0.05)
    return constant_throughput(float(given)) if float(given) else constant(0)


class Phone(HttpUser):
    """One customer."""

    wait_time = _wait_time()

    def on_start(self) -> None:
        """Become a customer and get a token."""
        self.town = _towns[-1]
        turn = next(self.town.turns)
        self.name = self.town.names[turn % CUSTOMERS]
        self.lat = MIDDLE[0] + STEP * (turn % STORES)
        self.inside = False
        token = self.town.admin.ask("POST", f"/v1/customers/{self.name}/token", self.town.app_key)["token"]
        self.own = {"Authorization": f"Bearer {token}"}

    @task(70)
    def ping(self) -> None:
        """In and out of the store by turns."""
        self.inside = not self.inside
        lat = self.lat + (0.0 if self.inside else STEP / 2)
        body = {"customer": self.name, "lat": lat, "lng": MIDDLE[1], "accuracy_m": 8.5, "at": _now()}
        self.client.post("/v1/pings", json=body, headers=self.own)

    @task(15)
    def search(self) -> None:
        """Look for a candle around here."""
        asked = {"q": f"candle {random.randrange(50)}", "lat": self.lat, "lng": MIDDLE[1], "radius_m": 2_000}
        self.client.get("/v1/search", params=asked, headers=self.own, name="/v1/search")

    @task(10)
    def buy(self) -> None:
        """A receipt of one line, sent by the app's backend."""
        line = {"product": f"p{random.randrange(50)}", "quantity": 1, "amount_minor": 500}
        receipt = {"customer": self.name, "receipt": secrets.token_hex(8), "at": _now(), "total_minor": 500}
        body = receipt | {"currency": "EUR", "lines": [line]}
        path, headers = f"/v1/purchases?retailer={self.town.retailer}", _bearer(self.town.app_key)
        self.client.post(path, json=body, headers=headers, name="/v1/purchases")

    @task(5)
    def redeem(self) -> None:
        """Show the newest coupon at the till; a phone without one asks for its coupons all the same."""
        answer = self.client.get("/v1/coupons", headers=self.own, name="/v1/coupons")
        coupons = answer.json()["coupons"] if answer.ok else []
        ours = [one for one in coupons if one["state"] == "issued" and one["retailer"] == self.town.shop]
        if ours:
            body = {"code": ours[0]["code"], "basket_minor": 2_000, "currency": "EUR", "till": "till 1"}
            headers = _bearer(self.town.till_key) | {"Idempotency-Key": secrets.token_hex(16)}
            self.client.post("/v1/redemptions", json=body, headers=headers, name="/v1/redemptions")


def _store(name: str, number: int) -> dict[str, Any]:
    place = {"lat": MIDDLE[0] + STEP * number, "lng": MIDDLE[1], "zone": "Europe/Helsinki", "opening_hours": "24/7"}
    return {"code": f"s{number}", "name": f"{name} {number}"} | place


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat()
