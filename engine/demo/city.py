"""The shops of a real city, from OpenStreetMap's points of interest; what is left out is counted."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from engine.demo.plane import Floats, Plane, around

DATA = Path(__file__).parent / "data"
HELSINKI = DATA / "helsinki"
ZONE = "Europe/Helsinki"
NOTICE = "Shops, streets and hours: © OpenStreetMap contributors, ODbL, as of April 2019."

AMENITIES = frozenset({"restaurant", "cafe", "fast_food", "pub", "bar", "pharmacy"})  # these sell things too

NOT_A_SHOP = "not a shop"
NO_NAME = "no name"
NOT_A_PLACE = "neither a point nor one building"
HOURS_UNREADABLE = "hours unreadable"  # the shop stays, as one whose hours are unknown


@dataclass(frozen=True)
class Shop:
    """`hours` is OpenStreetMap's opening_hours, None where unknown; `kind` the tag shop= or amenity=."""

    place_id: int
    name: str
    kind: str
    lat_deg: float
    lng_deg: float
    hours: str | None
    address: str | None


@dataclass(frozen=True)
class City:
    """Shops in order of `place_id`, and how many places were left out, by reason."""

    shops: tuple[Shop, ...]
    left_out: Mapping[str, int]

    @cached_property
    def lat_deg(self) -> Floats:
        """Latitude of each shop."""
        return np.array([shop.lat_deg for shop in self.shops])

    @cached_property
    def lng_deg(self) -> Floats:
        """Longitude of each shop."""
        return np.array([shop.lng_deg for shop in self.shops])

    @cached_property
    def plane(self) -> Plane:
        """Local metres around the middle of the shops."""
        return around(self.lat_deg, self.lng_deg)

    @cached_property
    def east_north_m(self) -> tuple[Floats, Floats]:
        """Each shop on the city's plane."""
        return self.plane.to_metres(self.lat_deg, self.lng_deg)


def read_city(folder: Path = HELSINKI, readable: Callable[[str], bool] = bool) -> City:
    """Read `poi.geojson.gz`; *readable* says whether the user of an opening_hours text understands it."""
    left_out: Counter[str] = Counter()
    shops: list[Shop] = []
    for feature in features(folder / "poi.geojson.gz"):
        shop = _shop(feature)
        if isinstance(shop, str):
            left_out[shop] += 1
            continue
        if shop.hours is not None and not readable(shop.hours):
            left_out[HOURS_UNREADABLE] += 1
            shop = Shop(**{**vars(shop), "hours": None})
        shops.append(shop)
    return City(tuple(sorted(shops, key=lambda shop: shop.place_id)), dict(left_out))


def features(path: Path) -> Iterator[dict[str, Any]]:
    """The features of a gzipped GeoJSON FeatureCollection."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from json.load(file)["features"]


def spread_out(city: City, count: int, suits: Callable[[Shop], bool], apart_m: float) -> Sequence[Shop]:
    """Up to *count* shops that suit, no two nearer than *apart_m*, each the farthest from those before it.

    A shop here has 86 others within 150 m and 8 within 30 m (measured), so live campaigns are few and their
    fences 25–40 m. Starts at the shop nearest to the middle; ties go to the lower place id. Fewer than *count*
    come back where no more fit.
    """
    suited = [n for n, shop in enumerate(city.shops) if suits(shop)]
    if not suited or count < 1:
        return ()
    east_m, north_m = (axis[suited] for axis in city.east_north_m)
    chosen = [int(np.argmin(np.hypot(east_m, north_m)))]
    away_m = np.full(len(suited), np.inf)
    while len(chosen) < count:
        last = chosen[-1]
        away_m = np.minimum(away_m, np.hypot(east_m - east_m[last], north_m - north_m[last]))
        farthest = int(np.argmax(away_m))
        if away_m[farthest] < apart_m:
            break
        chosen.append(farthest)
    return tuple(city.shops[suited[n]] for n in chosen)


def _shop(feature: dict[str, Any]) -> Shop | str:
    """The shop of a feature, or the reason why it is none."""
    tags = feature["properties"]
    kind = tags.get("shop") or (tags.get("amenity") if tags.get("amenity") in AMENITIES else None)
    if kind is None:
        return NOT_A_SHOP
    middle = _middle(feature["geometry"])
    if middle is None:
        return NOT_A_PLACE
    if not tags.get("name"):
        return NO_NAME
    lat_deg, lng_deg = middle
    return Shop(tags["id"], tags["name"], kind, lat_deg, lng_deg, tags.get("opening_hours"), _address(tags))


def _middle(geometry: dict[str, Any]) -> tuple[float, float] | None:
    """(lat, lng) of a point or of the middle of a building's box; None for anything larger or linear."""
    if geometry["type"] == "Point":
        lng_deg, lat_deg = geometry["coordinates"]
        return lat_deg, lng_deg
    if geometry["type"] == "Polygon":
        ring = np.array(geometry["coordinates"][0])
        lng_deg, lat_deg = (ring.min(axis=0) + ring.max(axis=0)) / 2
        return float(lat_deg), float(lng_deg)
    return None


def _address(tags: dict[str, Any]) -> str | None:
    street, number = tags.get("addr:street"), tags.get("addr:housenumber")
    return f"{street} {number}" if street and number else street
