"""The fences of all campaigns: one circle for each store and radius that any campaign asks for."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from geo.errors import GeoError
from geo.fence import Circle
from offers.catalogue import StoreRow
from offers.live import LiveCampaign

ID_BITS = 63


@dataclass(slots=True)
class Ground:
    """A circle around a store and the places (in the list of live campaigns) of those that use it."""

    store: StoreRow
    radius_m: float
    places: list[int] = field(default_factory=list)


def fence_id(store: int, radius_mm: int, salt: int = 0) -> int:
    """A stable id in [0, 2**63): the same store and radius keep it, so presence survives a compile."""
    key = f"{store}:{radius_mm}:{salt}".encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") >> (64 - ID_BITS)


def numbered(keys: Iterable[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """(store, radius_mm) → fence id, distinct: of two that collide the greater key is hashed again."""
    out: dict[tuple[int, int], int] = {}
    taken: set[int] = set()
    for store, radius_mm in sorted(keys):
        salt = 0
        while (fence := fence_id(store, radius_mm, salt)) in taken:
            salt += 1
        taken.add(fence)
        out[store, radius_mm] = fence
    return out


def gathered(
    live: Sequence[LiveCampaign], where: Mapping[int, Sequence[StoreRow]], radius_m: Mapping[int, float]
) -> dict[int, Ground]:
    """Fence id → ground, in ascending id. *where* and *radius_m* go by campaign id."""
    grounds: dict[tuple[int, int], Ground] = {}
    for place, campaign in enumerate(live):
        radius_mm = round(radius_m[campaign.id] * 1000)
        for store in where[campaign.id]:
            ground = grounds.get((store.id, radius_mm))
            if ground is None:
                ground = grounds[store.id, radius_mm] = Ground(store, radius_mm / 1000)
            ground.places.append(place)
    ids = numbered(grounds)
    return {ids[key]: grounds[key] for key in sorted(grounds, key=ids.__getitem__)}


def circles(grounds: Mapping[int, Ground], live: Sequence[LiveCampaign]) -> list[Circle]:
    """The circles for the index, in the order of *grounds*; each knows the dwell times that anybody waits for."""
    return [
        Circle(fence, ground.store.lat, ground.store.lng, ground.radius_m, _dwells(ground, live))
        for fence, ground in grounds.items()
    ]


def _dwells(ground: Ground, live: Sequence[LiveCampaign]) -> tuple[int, ...]:
    return tuple(sorted({live[place].dwell_s for place in ground.places if live[place].trigger == "dwell"}))


def drawable(lat: float, lng: float, radius_m: float) -> bool:
    """Whether such a circle can be drawn at all."""
    try:
        Circle(0, lat, lng, radius_m)
    except GeoError:
        return False
    return True


def by_retailer(stores: Iterable[StoreRow]) -> dict[int, dict[str, StoreRow]]:
    """Retailer → code → store, only stores around which a circle can be drawn."""
    out: dict[int, dict[str, StoreRow]] = defaultdict(dict)
    for store in stores:
        if drawable(store.lat, store.lng, radius_m=1.0):
            out[store.retailer][store.code] = store
    return out
