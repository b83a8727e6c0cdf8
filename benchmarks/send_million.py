"""A start campaign to a million people, everything on this machine, and transactional pushes that need not wait."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

from benchmarks import send_world
from benchmarks.bars import Plan
from benchmarks.peers import stub
from benchmarks.result import Row, row
from benchmarks.send_stage import Sending, cpu_s, end_of, outcomes, sending
from benchmarks.sending import peak_mb

LOOK_S = 0.5
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
    """On fresh servers; the figure is one run."""
    end, where = end_of(plan)
    recipients = plan.count("recipients")
    async with sending(plan, native=True) as stage:
        await send_world.people(stage.database, recipients, send_world.PUSH)
        await stage.database.execute("VACUUM ANALYZE")
        async with stage.sender() as process:
            began_s = cpu_s(process)
            took_s, waited_ms = await _run(stage, plan)
            spent_us, most_mb = (cpu_s(process) - began_s) / recipients * 1e6, peak_mb(process.pid)
        states = await outcomes(stage.database)
    again = states.pop("requeued", 0)
    assert states == {"sent": recipients + len(waited_ms)}, states
    note = (
        f"{where}; one run; nginx {stub.version()} as stub; the sender's CPU {spent_us:.0f} µs a recipient with the "
        f"issuing, its memory {most_mb:.0f} MB at most; {again} tried again; ramp of {stage.settings.fcm_ramp_s} s to "
        f"{stage.settings.fcm_quota_share} % of {stage.settings.fcm_quota_per_s}/s"
    )
    p99 = sorted(waited_ms)[len(waited_ms) * 99 // 100]
    told = f"{where}; {len(waited_ms)} pushes; from the call that puts one into the outbox until FCM's answer to it"
    return [
        row(plan.bar(f"million{end}"), [took_s], note),
        row(plan.bar(f"million_transactional{end}"), waited_ms, told, ours=p99),
    ]


async def _run(stage: Sending, plan: Plan) -> tuple[float, list[float]]:
    """(seconds to the last outcome, waits of the transactional pushes)."""
    campaign = await start_campaign(stage, plan.count("recipients"))
    async with _pushed(stage, plan.number("transactional_per_s")) as put_ms:
        began_s = time.monotonic()
        await stage.start(campaign)
        while not await _done(stage.database, campaign):  # noqa: ASYNC110 - it is another process that ends it
            await asyncio.sleep(LOOK_S)
        took_s = time.monotonic() - began_s
    await asyncio.sleep(1.0)
    return took_s, [await stage.database.fetchval(WAITED, one) - at_ms for one, at_ms in put_ms.items()]


@asynccontextmanager
async def _pushed(stage: Sending, per_s: float) -> AsyncIterator[dict[UUID, float]]:
    """One transactional push after the other while the block lasts; when each was put into the outbox, epoch ms."""
    put_ms: dict[UUID, float] = {}
    over = asyncio.Event()

    async def push() -> None:
        while not over.is_set():
            message = uuid4()
            put_ms[message] = time.time() * 1000
            await stage.push(TRANSACTIONAL, message, len(put_ms))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), 1 / per_s)

    pushing = asyncio.create_task(push())
    try:
        yield put_ms
    finally:
        over.set()
        await pushing


async def start_campaign(stage: Sending, total: int) -> int:
    """A draft with trigger start, for everybody; the budget allows for *total*."""
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
