"""People's own hours through the days on which their clocks jump, by the whole sender with its clock moved there."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from engine.clock import Clock
from engine.postgres.pool import ENGINE, open_pool
from engine.sender.walk import Walks
from engine.settings import Settings
from tests.contract.sender_rig import Rig, rig

HELSINKI = "Europe/Helsinki"
HOUR_MS = 3_600_000
AHEAD_MS = 1_500
PEOPLE = 12
SPRING, AUTUMN = "2027-03-28T01:00:00", "2026-10-25T00:30:00"
"""03:00 becomes 04:00 there; 04:00 becomes 03:00 half an hour after this."""
START = {
    "code": "s", "name": "s", "trigger": "start", "radius_m": 50, "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2100-01-01T00:00:00Z", "cap": {"coupons": 1, "per_days": 1}, "budget_coupons": 1000,
    "offer": {"kind": "percent_off", "percent": 10, "valid_for_s": 86_400}, "creative": {"title": "T", "body": "B"},
    "delivery": {"local_time": "03:30"},
}  # fmt: skip


def ms(utc: str) -> int:
    return round(datetime.fromisoformat(utc).replace(tzinfo=UTC).timestamp() * 1000)


def moved(settings: Settings, to_ms: int) -> Settings:
    """The clock of everything, so that it is *to_ms* now."""
    return replace(settings, clock_offset_ms=to_ms - Clock().now_ms())


def wall(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, ZoneInfo(HELSINKI)).strftime("%H:%M")


async def planned(world: Rig, now_ms: int) -> None:
    """A campaign at everybody's 03:30, planned by the product at *now_ms*."""
    number = await world.campaign("start")
    await world.database.execute("UPDATE campaign SET spec = $2 WHERE id = $1", number, START)
    await world.database.execute("INSERT INTO budget (campaign, retailer, total) VALUES ($1, 1, 1000)", number)
    pool = await open_pool(world.settings, ENGINE, 1, 2)
    assert await Walks(pool, b"k" * 32).plan(now_ms) == 1
    await pool.close()


@pytest.mark.parametrize(
    ("utc", "reads"),
    [
        pytest.param(SPRING, "04:00", id="an hour that is leapt over is met where the clock lands"),
        pytest.param(AUTUMN, "03:30", id="an hour that comes twice is met the first time, and only then"),
    ],
)
async def test_a_start_campaign_meets_people_at_their_hour(
    settings: Settings, tmp_path: Path, utc: str, reads: str
) -> None:
    due_ms = ms(utc)
    async with rig(moved(settings, due_ms - AHEAD_MS), tmp_path, PEOPLE) as world:
        await world.database.execute("UPDATE customer SET zone = 'America/New_York' WHERE number IN (1, 2)")
        await world.database.execute("UPDATE customer SET zone = NULL WHERE number = 3")
        await planned(world, due_ms - 2 * HOUR_MS)
        async with world.sender():
            await world.until(lambda: _came(world, PEOPLE - 3))
            await asyncio.sleep(0.3)
        assert {a.registration for a in world.arrivals} == {f"r{n}" for n in range(PEOPLE) if n not in (1, 2, 3)}
        assert all(a.at_ms >= due_ms for a in world.arrivals), "nobody is met early"
        assert {wall(a.at_ms) for a in world.arrivals} == {reads}
        before = len(world.arrivals)
        later = moved(settings, due_ms + HOUR_MS - 500).clock_offset_ms
        async with world.sender(clock_offset_ms=later):
            await asyncio.sleep(1.5)
        assert len(world.arrivals) == before, "half past three comes again, and nobody is met again"


async def _came(world: Rig, count: int) -> bool:
    return len(world.arrivals) >= count


async def quiet(world: Rig) -> dict[Any, Any]:
    """What becomes of an offer of the moment and of one for everybody, both due now; states with bulk's next hour."""
    await world.database.execute("UPDATE customer SET quiet_from = 180, quiet_until = 240")  # 03:00 to 04:00
    await world.queue(await world.campaign("t"), 1)
    await world.queue(await world.campaign("b"), 1, "bulk", life_s=30 * 3600)
    settled = "SELECT count(*) >= 2 FROM outcome"
    async with world.sender():
        await world.go()
        await world.until(lambda: world.database.fetchval(settled))
    rows = await world.database.fetch(
        "SELECT s.state, s.reason, extract(epoch FROM s.due_at) AS due, k.code FROM message_state s"
        " JOIN campaign k ON k.id = s.campaign ORDER BY k.code"
    )
    return {row["code"]: (row["state"], row["reason"], row["due"] and int(row["due"])) for row in rows}


@pytest.mark.parametrize("utc", ["2026-10-25T00:30:00", "2026-10-25T01:30:00"])
async def test_both_halves_of_a_double_hour_are_quiet(settings: Settings, tmp_path: Path, utc: str) -> None:
    """A triggered offer is held back and never comes; bulk waits for the second end of the hour."""
    async with rig(moved(settings, ms(utc)), tmp_path, 1) as world:
        assert await quiet(world) == {
            "t": ("suppressed", "quiet_hours", None),
            "b": ("queued", "", ms("2026-10-25T02:00:00") // 1000),
        }
        assert world.arrivals == []


async def test_a_quiet_hour_that_is_leapt_over_is_none(settings: Settings, tmp_path: Path) -> None:
    async with rig(moved(settings, ms("2027-03-28T01:00:01")), tmp_path, 1) as world:
        assert {state for state, _, _ in (await quiet(world)).values()} == {"sent"}
        assert {wall(a.at_ms) for a in world.arrivals} == {"04:00"}
