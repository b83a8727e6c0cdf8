"""A drawn area, from the stored campaign to a coupon: walked into far from the store's circle."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from engine.log.entries import PingBatch
from engine.postgres.pool import connect
from engine.settings import Settings
from offers.campaign import Area
from tests.contract.matcher_rig import Owner, furnish, lasting, owner, rows
from tests.reference.matcher_world import SPECS, STORES, number

LAT, LNG = 60.25, 25.05
RING = [[25.04, 60.24], [25.06, 60.24], [25.06, 60.26], [25.04, 60.26], [25.04, 60.24]]
"""Kilometres away from both stores, longitude first."""


async def draw(settings: Settings) -> None:
    """Campaign 1 gets an area in place of its store's circle."""
    area = Area(store=STORES[0].code, geometry={"type": "Polygon", "coordinates": [RING]})
    spec = msgspec.structs.replace(SPECS[1], areas=[area])
    database = await connect(settings)
    try:
        await database.execute("UPDATE campaign SET spec = $1 WHERE id = 1", lasting(spec))
    finally:
        await database.close()


async def report(one: Owner, row: int, lat: float, lng: float, at_ms: int) -> None:
    columns = (np.array([lat]), np.array([lng]), np.array([8.0], np.float32), np.array([at_ms], np.int64))
    await one.writer.pings(PingBatch(np.array([number(row)], np.int64), *columns))


async def test_who_walks_into_a_drawn_area_gets_the_coupon(settings: Settings, tmp_path: Path) -> None:
    await furnish(settings)
    await draw(settings)
    async with owner(settings, tmp_path) as one:
        await one.take()
        for row, (lat, lng) in enumerate([(LAT, LNG), (STORES[0].lat, STORES[0].lng)]):
            await report(one, row, LAT - 0.03, LNG, one.began_ms - 90_000)  # three kilometres south, inside of nothing
            await report(one, row, lat, lng, one.began_ms + 5)
        await one.cycle.turn()
        await one.cycle.flush(list(one.cycle.owned))
    assert await rows(settings, "SELECT customer, trigger FROM decision") == [(number(0), "enter")]
