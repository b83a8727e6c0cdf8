"""The index of stores: the k nearest, with masks that admit all, some and hardly any."""

from __future__ import annotations

import sys
import time

import msgspec
import numpy as np

import geo
from geo.nearest import StoreIndex, nearest

K = 10
SHARES = (1.0, 0.1, 0.01, 0.0)


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Times of single calls: (share of stores admitted, median, 99th percentile)."""

    stores: int
    nearest_us: list[tuple[float, float, float]]
    build_s: float
    bytes_a_store: float


def measure(stores: int = 100_000, asked: int = 2_000, seed: int = 20260730) -> Figures:
    """Stores all over a square of ten degrees, asked for from anywhere in it."""
    random = np.random.default_rng(seed)
    geo.warm()
    lat, lng = random.uniform(40.0, 50.0, stores), random.uniform(0.0, 10.0, stores)
    began = time.perf_counter()
    index = StoreIndex.build(np.arange(stores), lat, lng)
    build_s = time.perf_counter() - began
    return Figures(
        stores=stores,
        nearest_us=[(share, *_asked(random, index, share, asked)) for share in SHARES],
        build_s=build_s,
        bytes_a_store=sum(array.nbytes for array in index.arrays().values()) / stores,
    )


def _asked(random: np.random.Generator, index: StoreIndex, share: float, asked: int) -> tuple[float, float]:
    mask = random.random(len(index)) < share
    spent_us = []
    for lat, lng in zip(random.uniform(40.0, 50.0, asked), random.uniform(0.0, 10.0, asked), strict=True):
        began = time.perf_counter()
        nearest(index, lat, lng, K, mask)
        spent_us.append(1e6 * (time.perf_counter() - began))
    return float(np.percentile(spent_us, 50)), float(np.percentile(spent_us, 99))


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(measure())) + b"\n")
