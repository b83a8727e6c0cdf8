"""A start campaign to a million people, everything on this machine, and transactional pushes that need not wait."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any
from uuid import uuid4

from benchmarks import send_world
from benchmarks.bars import Plan
from benchmarks.peers import stub
from benchmarks.result import Row, row
from benchmarks.send_stage import Sending, cpu_s, outcomes, sending

LOOK_S = 0.5
CLEAR_S = 290.0
"""A run begins when no quarter of an hour comes within so long: bulk stands still around those, by design."""
TRANSACTIONAL = """
WITH made AS (
    INSERT INTO chunk (day, channel, lane, size, due_at)
    VALUES (current_date, 'fcm', 'transactional', 1, now()) RETURNING id
)
INSERT INTO message (day, chunk, seq, id, customer, channel, title, body, data, expires_at)
SELECT current_date, id, 1, $1, $2, 'fcm', 'Your order is ready', '', '{}', now() + interval '1 hour' FROM made
"""
WAITED = """
SELECT (extract(epoch FROM o.at) * 1000)::float8 FROM message m
JOIN outcome o ON (o.day, o.chunk, o.seq) = (m.day, m.chunk, m.seq) WHERE m.id = $1 AND o.state = 'sent'
"""
LEFT = """SELECT (SELECT count(*) FROM walk WHERE campaign = $1 AND done_at IS NULL),
    (SELECT count(*) FROM chunk WHERE lane = 'bulk'), (SELECT count(*) FROM walk WHERE campaign = $1)"""


async def bench(plan: Plan) -> list[Row]:
    """Near, then a tenth of a second away; each on fresh servers, the figure is one run."""
    rows: list[Row] = []
    for end in ("", "_far"):
        async with sending(plan, native=True) as stage:
            await send_world.people(stage.database, plan.count("recipients"), send_world.PUSH)
            await stage.database.execute("VACUUM ANALYZE")
            async with stage.sender(stage.far if end else stage.near) as process:
                await _clear_of_quarters(plan)
                took_s, waited_ms, peak_mb = await _run(stage, plan, process)
                states = await outcomes(stage.database)
                spent_us = cpu_s(process) / plan.count("recipients") * 1e6
        states.pop("requeued", 0)
        assert states == {"sent": plan.count("recipients") + len(waited_ms)}, states
        note = (
            f"nginx {stub.version()} as stub; the sender's CPU {spent_us:.0f} µs a recipient with the issuing, its "
            f"memory {peak_mb:.0f} MB at most; ramp of {stage.settings.fcm_ramp_s} s at {stage.settings.fcm_quota_per_s}/s"
        )
        rows.append(row(plan.bar(f"million{end}"), [took_s], note))
        p99 = sorted(waited_ms)[len(waited_ms) * 99 // 100]
        told = (
            f"{len(waited_ms)} pushes, put into the outbox and woken for; until FCM's answer was recorded with its time"
        )
        rows.append(row(plan.bar(f"million_transactional{end}"), waited_ms, told, ours=p99))
    return rows


async def _clear_of_quarters(plan: Plan) -> None:
    guard_s = 120
    while True:
        within_s = time.time() % 900
        if guard_s <= within_s <= 900 - guard_s - CLEAR_S:
            return
        await asyncio.sleep(1.0)


async def _run(stage: Sending, plan: Plan, process: Any) -> tuple[float, list[float], float]:
    """(seconds to the last outcome, waits of the transactional pushes, peak memory in MB)."""
    campaign = await _campaign(stage, plan.count("recipients"))
    began_s = time.monotonic()
    await stage.start(campaign)
    peak_mb, waited_ms = 0.0, []
    pushes = asyncio.create_task(_transactional(stage, plan.number("transactional_per_s")))
    try:
        while not await _done(stage.database, campaign):
            peak_mb = max(peak_mb, _memory_mb(process.pid))
            await asyncio.sleep(LOOK_S)
        took_s = time.monotonic() - began_s
    finally:
        pushes.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pushes
    await asyncio.sleep(1.0)
    for message, put_ms in _PUT:
        at_ms = await stage.database.fetchval(WAITED, message)
        waited_ms.append(at_ms - put_ms)
    _PUT.clear()
    return took_s, waited_ms, peak_mb


_PUT: list[tuple[Any, float]] = []


async def _transactional(stage: Sending, per_s: float) -> None:
    """One after the other, from a connection of their own."""
    nth = 0
    while True:
        message = uuid4()
        put_ms = time.time() * 1000
        await stage.push(TRANSACTIONAL, message, nth)
        _PUT.append((message, put_ms))
        nth += 1
        await asyncio.sleep(1 / per_s)


async def _campaign(stage: Sending, total: int) -> int:
    spec = {
        "code": "million", "name": "Everybody", "trigger": "start", "radius_m": 100, "budget_coupons": total,
        "starts_at": "2026-01-01T00:00:00Z", "ends_at": "2036-01-01T00:00:00Z", "cap": {"coupons": 1, "per_days": 1},
        "offer": {"kind": "percent_off", "percent": 15, "valid_for_s": 86400},
        "creative": {"title": "15 % off", "body": "You are welcome: come in."},
    }  # fmt: skip
    number: int = await stage.database.fetchval(
        """INSERT INTO campaign (retailer, code, state, spec, starts_at, ends_at)
           SELECT id, 'million', 'draft', $1::jsonb, now(), now() + interval '7 days' FROM retailer RETURNING id""",
        spec,
    )
    await stage.database.execute(
        "INSERT INTO budget (campaign, retailer, total) SELECT $1, id, $2 FROM retailer", number, total
    )
    return number


async def _done(database: Any, campaign: int) -> bool:
    walks, chunks, parts = await database.fetchrow(LEFT, campaign)
    return bool(parts) and not walks and not chunks


def _memory_mb(pid: int) -> float:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6
