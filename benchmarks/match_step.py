"""The matcher alone: pings put into the log until their positions and coupons are committed.

Customers, purchases and campaigns are put into PostgreSQL by SQL before the matcher starts, which loads them as after
any start. The pings are appended by the product's own writer from this process: no HTTP, no JSON. One in so many is
inside a store's fence, where about twenty campaigns wait; the others are far from all fences.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np

from benchmarks import evidence, world
from benchmarks.bars import Plan
from benchmarks.ground import Square, degrees
from benchmarks.result import Row, row
from benchmarks.stage import Stage, staged
from benchmarks.turns import told
from engine.log.entries import PingBatch
from engine.log.valkey import connect
from engine.log.writer import LogWriter

STORES = 5_000
SIDE_M = 60_000.0
AWAY_M = 100_000.0
"""North of the square: nobody there is near a store."""
RADIUS_M = 100.0
PAGE = 100_000
AT_ONCE = 4
"""Appends under way."""
PATIENCE_S = 240.0

_CUSTOMERS = """INSERT INTO customer (number, p, id, zone, consents)
SELECT n, n % 16, 'c' || lpad(n::text, 8, '0'), 'Europe/Helsinki', 11 FROM generate_series($1::bigint, $2) n"""
_COUNTERS = "UPDATE customer_counter SET next_row = $1"
_PRODUCTS = """INSERT INTO product (retailer, code, name, brand, category)
SELECT $1, 'p' || n, 'Product ' || n, 'Brand ' || n % 97, 'Category ' || n % 31 FROM generate_series(1, 1000) n"""
_PURCHASES = """WITH bought AS (
    INSERT INTO purchase (retailer, customer, p, receipt, at, total_minor, currency)
    SELECT $1, n, n % 16, 'r' || n, now() - interval '1 day' * (1 + n % 300), 100, 'EUR'
    FROM generate_series($2::bigint, $3) n RETURNING id, customer
) INSERT INTO purchase_line (purchase, line, retailer, product, quantity, amount_minor)
SELECT id, line, $1, (SELECT min(id) FROM product) + (customer * 7 + line * 131) % 1000, 1, 25
FROM bought, generate_series(1, $4::integer) line"""
_CAMPAIGNS = """WITH made AS (
    INSERT INTO campaign (retailer, code, state, spec, starts_at, ends_at)
    SELECT retailer, 'c' || n, 'live', spec || jsonb_build_object('code', 'c' || n, 'priority', n % 10, 'stores',
        jsonb_build_array('s' || lpad((n % $2)::text, 6, '0'))), starts_at, ends_at
    FROM campaign, generate_series(1, $1::integer) n WHERE code = 'one' RETURNING id, retailer
) INSERT INTO budget (campaign, retailer, total, first, leased) SELECT id, retailer, 100000000, 1000, 16000 FROM made"""
_DECIDED = "SELECT count(*) FROM decision"


async def bench(plan: Plan) -> list[Row]:
    """Rounds follow each other; the first, in which everybody is seen, does not count."""
    async with staged(plan.settings) as stage:
        square = Square(plan.seed, SIDE_M, STORES)
        await _furnish(stage, plan, square)
        stage.stack.kill("matcher")
        await stage.stack.matching(PATIENCE_S)
        client = connect(stage.stack.settings.redis_url)
        writer = LogWriter(client, bound_bytes=stage.stack.settings.log_bytes, group_ms=0.0)
        rates, decisions = [], []
        try:
            for number in range(plan.count("rounds") + 1):
                rate, decided = await _round(stage, writer, plan, square, number)
                told(f"{rate:,.0f} pings/s, {decided:,.0f} decisions/s")
                if number:
                    rates.append(rate)
                    decisions.append(decided)
        finally:
            await client.aclose()
    note = (
        f"{len(rates)} rounds of {plan.count('pings'):,} pings, one matcher's process with the log, the transactions "
        f"and the bench's appends on the same cores; {plan.count('campaigns'):,} campaigns at {STORES:,} stores, "
        f"{plan.count('customers'):,} customers with {plan.count('lines')} purchase lines each"
    )
    return [row(plan.bar("step_pings"), rates, note), row(plan.bar("step_decisions"), decisions, note)]


async def _furnish(stage: Stage, plan: Plan, square: Square) -> None:
    made = await asyncio.to_thread(world.make, stage.client, stage.admin_key, square, 0, phones=False)
    body = world.a_campaign("one", [world.store_code(0)], RADIUS_M)
    await asyncio.to_thread(made.post, "/v1/campaigns", body)
    database, customers = stage.database, plan.count("customers")
    await database.execute(_PRODUCTS, made.retailer)
    for first in range(0, customers, PAGE):
        last = min(first + PAGE, customers) - 1
        await database.execute(_CUSTOMERS, first, last, timeout=PATIENCE_S)
        await database.execute(_PURCHASES, made.retailer, first, last, plan.count("lines"), timeout=PATIENCE_S)
    await database.execute(_COUNTERS, -(-customers // 16))
    await database.execute(_CAMPAIGNS, plan.count("campaigns"), STORES, timeout=PATIENCE_S)
    await database.execute("ANALYZE", timeout=PATIENCE_S)
    await evidence.until_live(database, PATIENCE_S)


async def _round(stage: Stage, writer: LogWriter, plan: Plan, square: Square, number: int) -> tuple[float, float]:
    """(pings, decisions a second) from the first append until the last position is committed."""
    batches = _batches(plan, square, number)
    matched, decided = await evidence.matched(stage.database), await stage.database.fetchval(_DECIDED)
    began_s, slots = time.time(), asyncio.Semaphore(AT_ONCE)

    async def append(batch: PingBatch) -> None:
        async with slots:
            await writer.pings(batch)

    await asyncio.gather(*map(append, batches))
    took_s = await evidence.until_matched(stage.database, matched + plan.count("pings"), PATIENCE_S) / 1000 - began_s
    more = await stage.database.fetchval(_DECIDED) - decided
    return plan.count("pings") / took_s, more / took_s


def _batches(plan: Plan, square: Square, number: int) -> list[PingBatch]:
    """Everybody once, in an order by lot; an entry of each partition has as many pings as the plan says."""
    random, customers = np.random.default_rng([plan.seed, number]), plan.count("customers")
    who = random.permutation(customers)[: plan.count("pings")].astype(np.int64)
    lat, lng = degrees(random.uniform(-SIDE_M, SIDE_M, len(who)), np.full(len(who), AWAY_M))
    inside = random.random(len(who)) < plan.number("trigger_share")
    at: Any = random.integers(0, STORES, int(inside.sum()))
    lat[inside], lng[inside] = (axis[at] for axis in square.fences)
    at_ms = np.full(len(who), int(1000 * time.time()), np.int64)
    everything = PingBatch(who, lat, lng, np.full(len(who), 8.5, np.float32), at_ms)
    size = 16 * plan.count("entry")
    return [everything.cut(first, first + size) for first in range(0, len(who), size)]
