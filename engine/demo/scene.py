"""Everything the demo makes up or reads before the curtain: shops, streets, people, receipts, campaigns, walks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.demo.campaigns import NOTICE as CAMPAIGNS_NOTICE
from engine.demo.campaigns import Placed, campaigns, live_places
from engine.demo.chains import NOTICE as CHAINS_NOTICE
from engine.demo.chains import store_code
from engine.demo.city import NOTICE as CITY_NOTICE
from engine.demo.city import City, Shop, read_city
from engine.demo.households import read_households
from engine.demo.mapping import NOTICE as MAPPING_NOTICE
from engine.demo.people import Person, people
from engine.demo.receipts import Books, books
from engine.demo.replay import GUEST, Replay, replayed
from engine.demo.rides import Rides, rides
from engine.demo.streets import Streets, read_streets
from engine.demo.traffic import PERIOD_S
from engine.demo.walkers import Walkers, places
from offers.errors import InvalidHours
from offers.hours import check

DAYS, PRODUCTS, OTHER_PLACES = 14, 6_000, 40
WALKERS_NOTICE = (
    "People: households of the data and copies of them; who walks where, how fast, who allows what, and every "
    "receiver's accuracy are simulated (errors shaped by a recorded run)."
)
NOTICES = (CITY_NOTICE, MAPPING_NOTICE, CHAINS_NOTICE, CAMPAIGNS_NOTICE, WALKERS_NOTICE)
_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True)
class Wanted:
    """Words to search for, and a shop that answers with an offer."""

    words: str
    shop: Shop


@dataclass(frozen=True)
class Scene:
    """`live` are the places of the campaigns, `searches` what people look for."""

    city: City
    streets: Streets
    live: Sequence[Shop]
    people: Sequence[Person]
    books: Books
    placed: Sequence[Placed]
    walkers: Walkers
    rides: Rides
    searches: Sequence[Wanted]
    replay: Replay | None


def scene(phones: int, seed: int, now_ms: int, track: Path | None = None) -> Scene:
    """The same *phones*, *seed*, time and *track* give the same scene. Takes seconds: run it in a thread."""
    city = read_city(readable=readable)
    streets = read_streets(city.plane)
    replay = replayed(track, city, streets, now_ms) if track is not None else None
    live = live_places(city, now_ms)
    data = read_households(now_ms, DAYS)
    folk = people(data.households.tolist(), phones, seed)
    known = {one.household: one.id for one in folk if not one.copy and one.consents["history"]}
    kept = books(city, data, known, PRODUCTS)
    uploaded = frozenset(int(row["code"].partition("-")[2]) for rows in kept.products.values() for row in rows)
    placed = campaigns(live, data, uploaded, now_ms)
    if replay is not None:
        placed.append(replay.placed)
    aims = places(city, streets, live, OTHER_PLACES, seed)
    couriers = [person.phone for person in folk if person.part in {"rider", "waiting"}]
    return Scene(
        city,
        streets,
        live,
        folk,
        kept,
        placed,
        Walkers(aims, phones, PERIOD_S, seed),
        rides(aims, len(live), couriers, guest=GUEST if replay is None else None),
        searched(placed, city),
        replay,
    )


def readable(hours: str) -> bool:
    """Whether the engine understands opening hours."""
    try:
        check(hours)
    except InvalidHours:
        return False
    return True


def searched(placed: Sequence[Placed], city: City) -> list[Wanted]:
    """What each search campaign answers, as somebody might type it, and where its first shop is."""
    shops = {store_code(shop): shop for shop in city.shops}
    found = []
    for campaign in (one.campaign for one in placed if one.campaign.search is not None):
        assert campaign.search is not None
        for category in campaign.search.categories:
            found.append(Wanted(" ".join(_WORD.findall(category.lower())[:2]), shops[campaign.stores[0]]))
    return found
