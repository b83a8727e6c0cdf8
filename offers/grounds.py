"""The fences of all campaigns: one for each store and outline, a circle or a drawn area, that any campaign asks for."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

from geo.errors import GeoError
from geo.fence import Circle
from geo.geojson import polygon_of
from geo.polygon import Polygon
from offers.campaign import Campaign
from offers.catalogue import StoreRow
from offers.live import LiveCampaign

ID_BITS = 63
_CIRCLE = [None]

Where = tuple[Sequence[StoreRow], Mapping[str, Sequence[dict[str, Any]]]]
"""A campaign's stores, and by store code what is drawn around it in place of the circle."""


@dataclass(slots=True)
class Ground:
    """Surroundings of a store and the places (in the list of live campaigns) of those that use them."""

    store: StoreRow
    radius_m: float
    geometry: dict[str, Any] | None = None
    """Drawn, in place of the circle."""
    places: list[int] = field(default_factory=list)
    waits: set[int] = field(default_factory=set)
    """Seconds of dwell that some of those ask for."""

    @property
    def dwells_s(self) -> tuple[int, ...]:
        """The same, ascending."""
        return tuple(sorted(self.waits))


def fence_id(store: int, outline: str, salt: int = 0) -> int:
    """A stable id in [0, 2**63): the same store and outline keep it, so presence survives a compile."""
    key = f"{store}:{outline}:{salt}".encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") >> (64 - ID_BITS)


def numbered(keys: Iterable[tuple[int, str]]) -> dict[tuple[int, str], int]:
    """(store, outline) → fence id, distinct: of two that collide the greater key is hashed again."""
    out: dict[tuple[int, str], int] = {}
    taken: set[int] = set()
    for store, outline in sorted(keys):
        salt = 0
        while (fence := fence_id(store, outline, salt)) in taken:
            salt += 1
        taken.add(fence)
        out[store, outline] = fence
    return out


def gathered(
    live: Sequence[LiveCampaign], where: Mapping[int, Where], specs: Mapping[int, Campaign]
) -> dict[int, Ground]:
    """Fence id → ground, in ascending id. *where* and *specs* go by campaign id."""
    grounds: dict[tuple[int, str], Ground] = {}
    for place, campaign in enumerate(live):
        radius_m = round(specs[campaign.id].radius_m * 1000) / 1000
        circle = outline_of(radius_m, None)
        stores, drawn = where[campaign.id]
        for store in stores:
            for geometry in drawn.get(store.code, _CIRCLE):
                key = store.id, circle if geometry is None else outline_of(radius_m, geometry)
                ground = grounds.get(key)
                if ground is None:
                    ground = grounds[key] = Ground(store, radius_m, geometry)
                if not ground.places or ground.places[-1] != place:
                    ground.places.append(place)
                    if campaign.trigger == "dwell":
                        ground.waits.add(campaign.dwell_s)
    ids = numbered(grounds)
    return {ids[key]: grounds[key] for key in sorted(grounds, key=ids.__getitem__)}


def outline_of(radius_m: float, geometry: dict[str, Any] | None) -> str:
    """What tells one outline from another: millimetres of the radius, or a digest of what was drawn."""
    if geometry is None:
        return str(round(radius_m * 1000))
    return hashlib.blake2b(msgspec.json.encode(geometry, order="deterministic"), digest_size=16).hexdigest()


def fences(grounds: Mapping[int, Ground]) -> list[Circle | Polygon]:
    """The fences for the index, in the order of *grounds*; each knows the dwell times that anybody waits for."""
    return [_fence(number, ground, ground.dwells_s) for number, ground in grounds.items()]


def _fence(number: int, ground: Ground, dwells_s: tuple[int, ...]) -> Circle | Polygon:
    if ground.geometry is None:
        return Circle(number, ground.store.lat, ground.store.lng, ground.radius_m, dwells_s)
    return polygon_of(number, ground.geometry, dwells_s)


@lru_cache(maxsize=10_000)
def drawable(lat: float, lng: float, radius_m: float) -> bool:
    """Whether such a circle can be drawn at all."""
    try:
        Circle(0, lat, lng, radius_m)
    except GeoError:
        return False
    return True


def why_not_drawn(geometry: dict[str, Any]) -> str | None:
    """What is wrong with a drawn area, in a sentence; None when it can be drawn."""
    try:
        polygon_of(0, geometry)
    except GeoError as error:
        return str(error).removeprefix("fence 0: ")
    return None


def by_retailer(stores: Iterable[StoreRow]) -> dict[int, dict[str, StoreRow]]:
    """Retailer → code → store, only stores around which a circle can be drawn."""
    out: dict[int, dict[str, StoreRow]] = defaultdict(dict)
    for store in stores:
        if drawable(store.lat, store.lng, radius_m=1.0):
            out[store.retailer][store.code] = store
    return out
